//! `autoreceive actions …`

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::client::ClientArgs;
use super::{CliError, output, zone};
use crate::wire::action::{BackfillFields, BackfilledView, MoveFields};

/// Wait while the action has enough pending entries.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Commands for actions.
#[derive(Debug, Subcommand)]
pub enum ActionsCommand {
    /// List every action with its pending events, its dead letters and the state of its endpoint.
    #[command(after_help = "Example:\n  autoreceive actions list")]
    List(ActionListArgs),
    /// Enable an endpoint that was disabled because every attempt failed.
    #[command(after_help = "Example:\n  autoreceive actions enable shop")]
    Enable(ActionNameArgs),
    /// Give the last event of each order, under its own id, to an action that was added later.
    #[command(after_help = "Examples:\n  autoreceive actions backfill tables\n  \
        autoreceive actions backfill tables --cursor 17.2048.5f2a    # continue a stopped run")]
    Backfill(BackfillArgs),
    /// Move the entries and dead letters of a removed action to another action.
    #[command(after_help = "Example:\n  autoreceive actions move old_shop shop")]
    Move(MoveArgs),
    /// Drop the entries and dead letters of a removed action for good.
    #[command(after_help = "Example:\n  autoreceive actions drop old_shop")]
    Drop(ActionNameArgs),
}

#[derive(Debug, Args)]
pub struct ActionListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct ActionNameArgs {
    /// The action's name.
    action: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The action's name.
    action: String,
    /// Continue at this cursor, which an earlier run printed.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The action that is no longer configured.
    old: String,
    /// The action that gets its entries.
    new: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(command: ActionsCommand) -> Result<(), CliError> {
    match command {
        ActionsCommand::List(args) => list(&args.client).await,
        ActionsCommand::Enable(args) => enable(&args).await,
        ActionsCommand::Backfill(args) => backfill(&args).await,
        ActionsCommand::Move(MoveArgs { old, new, client }) => {
            let to = Some(MoveFields { to: new.clone() });
            clear_out(&client, &old, to, &format!("moved from {old} to {new}")).await
        }
        ActionsCommand::Drop(ActionNameArgs { action, client }) => {
            clear_out(&client, &action, None, &format!("of {action} dropped")).await
        }
    }
}

async fn list(client: &ClientArgs) -> Result<(), CliError> {
    let figures = client.get(&["v1", "actions"], &[]).await?;
    if client.json {
        return Ok(());
    }
    let rows: Vec<_> = figures["actions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|action| row(action, &figures["now"]))
        .collect();
    if rows.is_empty() {
        output::print("there are no actions");
    } else {
        output::table(&["ACTION", "PENDING", "DEAD", "NEXT", "ENDPOINT"], rows);
    }
    Ok(())
}

fn row(action: &Value, now: &Value) -> Vec<String> {
    let count = |key: &str| action[key].as_u64().unwrap_or(0).to_string();
    let next = if action["next_at"].is_null() {
        "–".to_owned()
    } else {
        zone::distance(&action["next_at"], now)
    };
    let name = action["name"].as_str().unwrap_or_default().to_owned();
    vec![name, count("pending"), count("dead"), next, endpoint(action, now)]
}

fn endpoint(action: &Value, now: &Value) -> String {
    let distance = |key: &str| zone::distance(&action[key], now);
    if action["configured"] == false {
        "not configured here".to_owned()
    } else if !action["disabled_at"].is_null() {
        format!("DISABLED {}", distance("disabled_at"))
    } else if !action["failing_since"].is_null() {
        format!("failing since {}", distance("failing_since"))
    } else {
        "ok".to_owned()
    }
}

async fn enable(args: &ActionNameArgs) -> Result<(), CliError> {
    let answer = args.client.post(&["v1", "actions", &args.action, "enable"], &json!({})).await?;
    if !args.client.json {
        let was_disabled = answer["was_disabled"] == true;
        let state = if was_disabled { "is enabled" } else { "was not disabled" };
        output::print(&format!("{} {state}", args.action));
    }
    Ok(())
}

/// Totals of the steps of a backfill.
#[derive(Default)]
struct BackfillTotals {
    scanned: u64,
    added: u64,
    there: u64,
    unreadable: u64,
    passed_over: BTreeMap<String, u64>,
}

impl BackfillTotals {
    fn add(&mut self, step: &BackfilledView) {
        self.scanned += step.scanned;
        self.added += step.added;
        self.there += step.there;
        self.unreadable += step.unreadable;
        for (kind, count) in &step.passed_over {
            *self.passed_over.entry(kind.clone()).or_default() += count;
        }
    }

    fn as_json(&self) -> Value {
        let BackfillTotals { scanned, added, there, unreadable, passed_over } = self;
        json!({
            "scanned": scanned, "added": added, "there": there, "unreadable": unreadable,
            "passed_over": passed_over,
        })
    }

    fn show(&self) {
        let mut pairs =
            vec![("orders", self.scanned.to_string()), ("added", self.added.to_string())];
        for (name, count) in [("already there", self.there), ("unreadable", self.unreadable)] {
            if count > 0 {
                pairs.push((name, count.to_string()));
            }
        }
        if !self.passed_over.is_empty() {
            let each: Vec<String> =
                self.passed_over.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            pairs.push(("skipped", each.join(", ")));
        }
        output::pairs(&pairs);
    }
}

async fn backfill(args: &BackfillArgs) -> Result<(), CliError> {
    let bar = progress();
    let mut cursor = args.cursor.clone();
    let mut totals = BackfillTotals::default();
    let result = tokio::select! {
        result = take_steps(args, &mut cursor, &mut totals, &bar) => result,
        _ = tokio::signal::ctrl_c() => Err(CliError::Other(anyhow::anyhow!("interrupted"))),
    };
    bar.finish_and_clear();
    if let (Err(_), Some(cursor)) = (&result, &cursor) {
        eprintln!("{} orders were scanned; continue with --cursor {cursor}", totals.scanned);
    }
    if args.client.json {
        output::print(&totals.as_json().to_string());
    } else {
        totals.show();
    }
    result
}

/// Runs the backfill in steps: each request is sent after the answer to the one before.
async fn take_steps(
    args: &BackfillArgs,
    cursor: &mut Option<String>,
    totals: &mut BackfillTotals,
    bar: &ProgressBar,
) -> Result<(), CliError> {
    loop {
        let step = BackfillFields { cursor: cursor.clone() };
        let asked = args.client.client_for(&[&args.action])?.backfill(&args.action, &step).await;
        let answer = asked.map_err(|error| args.client.failure(error))?;
        if answer.busy {
            bar.set_message("waiting: the action has enough pending entries");
            tokio::time::sleep(BUSY_PAUSE).await;
            continue;
        }
        if let Some(total) = answer.total {
            bar.set_length(total);
        }
        totals.add(&answer);
        bar.set_message("");
        bar.set_position(totals.scanned);
        *cursor = answer.cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// A bar whose length is set by the first answer.
fn progress() -> ProgressBar {
    let bar = if stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    // The template is a constant; if it were wrong, the plain bar would be shown.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} orders {eta} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Moves the entries and dead letters of a removed action; drops them if there is no `to`.
async fn clear_out(
    client: &ClientArgs,
    action: &str,
    to: Option<MoveFields>,
    what: &str,
) -> Result<(), CliError> {
    let mut entries = 0;
    let mut dead_letters = 0;
    loop {
        let asked = match &to {
            Some(to) => client.client_for(&[action])?.move_entries(action, to).await,
            None => client.client_for(&[action])?.drop_entries(action).await,
        };
        let step = asked.map_err(|error| client.failure(error))?;
        entries += step.entries;
        dead_letters += step.dead_letters;
        if !step.more {
            break;
        }
    }
    if client.json {
        output::print(&json!({"entries": entries, "dead_letters": dead_letters}).to_string());
    } else {
        output::print(&format!("{entries} entries and {dead_letters} dead letters {what}"));
    }
    Ok(())
}
