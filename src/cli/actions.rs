//! `autoreceive actions …`

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::client::ClientArgs;
use super::{Failure, output, zone};
use crate::wire::action::{BackfillFields, BackfilledView, MoveFields};

/// How long an action that has enough to work on is left to it.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// What can be done about actions over time.
#[derive(Debug, Subcommand)]
pub enum ActionsCommand {
    /// Every action: what waits, what died, how its receiver is doing.
    #[command(after_help = "Example:\n  autoreceive actions list")]
    List(ListArgs),
    /// Let a receiver that was disabled for only failing be attempted again.
    #[command(after_help = "Example:\n  autoreceive actions enable shop")]
    Enable(NameArgs),
    /// Feed an action that was added later: the last event of each order, under its own id.
    #[command(after_help = "Examples:\n  autoreceive actions backfill tables\n  \
        autoreceive actions backfill tables --cursor 17.2048.5f2a    # go on where it was stopped")]
    Backfill(BackfillArgs),
    /// Give what an action that is no longer configured left behind to another one.
    #[command(after_help = "Example:\n  autoreceive actions move old_shop shop")]
    Move(MoveArgs),
    /// Drop what an action that is no longer configured left behind, dead letters too, for good.
    #[command(after_help = "Example:\n  autoreceive actions drop old_shop")]
    Drop(NameArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct NameArgs {
    /// The action.
    action: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The action.
    action: String,
    /// Where to go on, as an earlier run said.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The action that is no longer configured.
    old: String,
    /// The one that gets what it left.
    new: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(command: ActionsCommand) -> Result<(), Failure> {
    match command {
        ActionsCommand::List(args) => list(&args.client).await,
        ActionsCommand::Enable(args) => enable(&args).await,
        ActionsCommand::Backfill(args) => backfill(&args).await,
        ActionsCommand::Move(MoveArgs { old, new, client }) => {
            let to = Some(MoveFields { to: new.clone() });
            clear_out(&client, &old, to, &format!("moved from {old} to {new}")).await
        }
        ActionsCommand::Drop(NameArgs { action, client }) => {
            clear_out(&client, &action, None, &format!("of {action} dropped")).await
        }
    }
}

async fn list(client: &ClientArgs) -> Result<(), Failure> {
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
    match rows.is_empty() {
        true => output::print("there are no actions"),
        false => output::table(&["ACTION", "PENDING", "DEAD", "NEXT", "RECEIVER"], rows),
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
    vec![name, count("pending"), count("dead"), next, receiver(action, now)]
}

fn receiver(action: &Value, now: &Value) -> String {
    let distance = |key: &str| zone::distance(&action[key], now);
    if action["configured"] == false {
        "not configured here".to_owned()
    } else if !action["disabled_at"].is_null() {
        format!("DISABLED {}", distance("disabled_at"))
    } else if !action["failing_since"].is_null() {
        format!("fails only, since {}", distance("failing_since"))
    } else {
        "ok".to_owned()
    }
}

async fn enable(args: &NameArgs) -> Result<(), Failure> {
    let answer = args.client.post(&["v1", "actions", &args.action, "enable"], &json!({})).await?;
    if !args.client.json {
        let was = answer["was_disabled"] == true;
        output::print(&if was {
            format!("{} is enabled", args.action)
        } else {
            format!("{} was not disabled", args.action)
        });
    }
    Ok(())
}

/// What the steps of a backfill came to.
#[derive(Default)]
struct Sum {
    scanned: u64,
    added: u64,
    there: u64,
    unreadable: u64,
    passed_over: BTreeMap<String, u64>,
}

impl Sum {
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
        let Sum { scanned, added, there, unreadable, passed_over } = self;
        json!({"scanned": scanned, "added": added, "there": there, "unreadable": unreadable, "passed_over": passed_over})
    }

    fn show(&self) {
        let mut pairs =
            vec![("orders", self.scanned.to_string()), ("added", self.added.to_string())];
        let others = [("already there", self.there), ("unreadable", self.unreadable)];
        pairs.extend(
            others
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(name, count)| (name, count.to_string())),
        );
        if !self.passed_over.is_empty() {
            let each: Vec<String> =
                self.passed_over.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            pairs.push(("passed over", each.join(", ")));
        }
        output::pairs(&pairs);
    }
}

async fn backfill(args: &BackfillArgs) -> Result<(), Failure> {
    let bar = progress();
    let (mut cursor, mut sum) = (args.cursor.clone(), Sum::default());
    let ended = tokio::select! {
        ended = take_steps(args, &mut cursor, &mut sum, &bar) => ended,
        _ = tokio::signal::ctrl_c() => Err(Failure::Other(anyhow::anyhow!("stopped"))),
    };
    bar.finish_and_clear();
    if let (Err(_), Some(cursor)) = (&ended, &cursor) {
        eprintln!("{} orders were looked at; go on with --cursor {cursor}", sum.scanned);
    }
    match args.client.json {
        true => output::print(&sum.as_json().to_string()),
        false => sum.show(),
    }
    ended
}

/// The service answers in short steps; each is sent when the one before is answered.
async fn take_steps(
    args: &BackfillArgs,
    cursor: &mut Option<String>,
    sum: &mut Sum,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    loop {
        let step = BackfillFields { cursor: cursor.clone() };
        let asked = args.client.client_for(&[&args.action])?.backfill(&args.action, &step).await;
        let answer = asked.map_err(|error| args.client.failure(error))?;
        if answer.busy {
            bar.set_message("waiting: the action has enough to work on");
            tokio::time::sleep(BUSY_PAUSE).await;
            continue;
        }
        if let Some(total) = answer.total {
            bar.set_length(total);
        }
        sum.add(&answer);
        bar.set_message("");
        bar.set_position(sum.scanned);
        *cursor = answer.cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// A bar whose length the first step tells.
fn progress() -> ProgressBar {
    let bar = if stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    // The template is a constant; a wrong one would leave the plain bar.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} orders {eta} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Moves what an action left behind, or drops it where nobody gets it.
async fn clear_out(
    client: &ClientArgs,
    action: &str,
    to: Option<MoveFields>,
    what: &str,
) -> Result<(), Failure> {
    let (mut entries, mut letters) = (0, 0);
    loop {
        let asked = match &to {
            Some(to) => client.client_for(&[action])?.move_entries(action, to).await,
            None => client.client_for(&[action])?.drop_entries(action).await,
        };
        let step = asked.map_err(|error| client.failure(error))?;
        entries += step.entries;
        letters += step.dead_letters;
        if !step.more {
            break;
        }
    }
    match client.json {
        true => output::print(&json!({"entries": entries, "dead_letters": letters}).to_string()),
        false => output::print(&format!("{entries} entries and {letters} dead letters {what}")),
    }
    Ok(())
}
