//! `autoreceive dead-letters …`

use std::io::{IsTerminal, stderr};

use clap::{ArgGroup, Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::client::ClientArgs;
use super::{CliError, output, zone};
use crate::wire::action::ActionItem;
use crate::wire::dead_letter::{MAX_IDS, ResolvedView, WhichFields};

/// Commands for events that failed for good. They are kept until they are replayed or discarded.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// List dead letters, the oldest first.
    #[command(after_help = "Examples:\n  autoreceive dead-letters list shop\n  \
        autoreceive dead-letters list shop --older-than 24h --error 503")]
    List(DeadLetterListArgs),
    /// Show one dead letter: its errors, and the event as it is sent.
    #[command(after_help = "Example:\n  autoreceive dead-letters show shop A-1:3")]
    Show(DeadLetterShowArgs),
    /// Send dead letters again, under the same event ids.
    #[command(after_help = "Examples:\n  autoreceive dead-letters replay shop A-1:3 A-2:3\n  \
        autoreceive dead-letters replay shop --error 503 --dry-run\n  autoreceive dead-letters \
        replay shop --all")]
    Replay(ResolveArgs),
    /// Remove dead letters for good.
    #[command(after_help = "Examples:\n  autoreceive dead-letters discard shop A-1:3\n  \
        autoreceive dead-letters discard shop --older-than 90d --dry-run")]
    Discard(ResolveArgs),
}

#[derive(Debug, Args)]
pub struct DeadLetterListArgs {
    /// The action's name.
    action: String,
    /// Only events that failed for good at least this long ago, for example 24h.
    #[arg(long, value_name = "LENGTH")]
    older_than: Option<String>,
    /// Only events whose last error contains this text.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Maximum number of dead letters, from 1 to 200.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Continue at this cursor, which the last page printed.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct DeadLetterShowArgs {
    /// The action's name.
    action: String,
    /// The event's id.
    event_id: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
#[command(group(
    ArgGroup::new("which")
        .required(true)
        .multiple(true)
        .args(["ids", "all", "older_than", "error"])
))]
pub struct ResolveArgs {
    /// The action's name.
    action: String,
    /// Dead letters of these events.
    #[arg(value_name = "EVENT_ID")]
    ids: Vec<String>,
    /// All dead letters of the action.
    #[arg(long, conflicts_with_all = ["ids", "older_than", "error"])]
    all: bool,
    /// Events that failed for good at least this long ago, for example 24h.
    #[arg(long, value_name = "LENGTH", conflicts_with = "ids")]
    older_than: Option<String>,
    /// Events whose last error contains this text.
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    error: Option<String>,
    /// Only count the dead letters.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(command: DeadLettersCommand) -> Result<(), CliError> {
    match command {
        DeadLettersCommand::List(args) => list(args).await,
        DeadLettersCommand::Show(args) => show(args).await,
        DeadLettersCommand::Replay(args) => resolve(args, "replay").await,
        DeadLettersCommand::Discard(args) => resolve(args, "discard").await,
    }
}

async fn list(args: DeadLetterListArgs) -> Result<(), CliError> {
    let mut query = vec![("limit", args.limit.to_string())];
    let conditions =
        [("older_than", &args.older_than), ("error", &args.error), ("cursor", &args.cursor)];
    query.extend(conditions.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let page = args.client.get(&["v1", "actions", &args.action, "dead-letters"], &query).await?;
    if args.client.json {
        return Ok(());
    }
    let row = |item: &Value| {
        let error = item["errors"]
            .as_array()
            .and_then(|errors| errors.last())
            .map_or(&item["unreadable"], |last| &last["error"]);
        vec![
            text(&item["event_id"]),
            text(&item["type"]),
            text(&item["attempts"]),
            ago(item, &page),
            text(error),
        ]
    };
    let rows: Vec<_> = page["items"].as_array().into_iter().flatten().map(row).collect();
    let more = page["cursor"].as_str();
    if !rows.is_empty() {
        output::table(&["EVENT", "TYPE", "ATTEMPTS", "FAILED", "LAST ERROR"], rows);
    } else if more.is_none() {
        output::print(&format!("{} has no such dead letters", args.action));
    }
    if let Some(cursor) = more {
        eprintln!("more dead letters to search: --cursor {cursor}");
    }
    Ok(())
}

fn ago(item: &Value, page: &Value) -> String {
    zone::distance(&item["died_at"], &page["now"])
}

async fn show(args: DeadLetterShowArgs) -> Result<(), CliError> {
    let dead_letter = args
        .client
        .get(&["v1", "actions", &args.action, "dead-letters", &args.event_id], &[])
        .await?;
    if args.client.json {
        return Ok(());
    }
    let zone = args.client.zone();
    let field = |key: &str| text(&dead_letter[key]);
    let time = |key: &str| zone::local(&dead_letter[key], &zone);
    let mut pairs = vec![("event", field("event_id")), ("failed", time("died_at"))];
    if let Some(why) = dead_letter["unreadable"].as_str() {
        pairs.push(("unreadable", why.to_owned()));
    } else {
        let order = format!("{} (version {})", field("order_id"), field("version"));
        let attempts = format!("{}, the first {}", field("attempts"), time("first_at"));
        pairs.extend([("type", field("type")), ("order", order), ("attempts", attempts)]);
    }
    output::pairs(&pairs);
    let row = |error: &Value| vec![zone::local(&error["at"], &zone), text(&error["error"])];
    let errors: Vec<_> = dead_letter["errors"].as_array().into_iter().flatten().map(row).collect();
    if !errors.is_empty() {
        output::print("");
        output::table(&["AT", "ERROR"], errors);
    }
    if !dead_letter["event"].is_null() {
        output::print(&format!("\n{:#}", dead_letter["event"]));
    }
    Ok(())
}

/// Totals of the steps.
#[derive(Default)]
struct ResolveTotals {
    matched: u64,
    done: u64,
    unreadable: u64,
}

impl ResolveTotals {
    fn add(&mut self, step: &ResolvedView) {
        self.matched += step.matched;
        self.done += step.done;
        self.unreadable += step.unreadable;
    }
}

async fn resolve(args: ResolveArgs, word: &str) -> Result<(), CliError> {
    let bar = progress(&args).await?;
    let totals = take_steps(&args, word, &bar).await;
    bar.finish_and_clear();
    let ResolveTotals { matched, done, unreadable } = totals?;
    if args.client.json {
        output::print(
            &json!({"matched": matched, "done": done, "unreadable": unreadable}).to_string(),
        );
    } else if args.dry_run {
        output::print(&format!("{} would be {word}ed", counted(matched)));
    } else {
        output::print(&format!("{} {word}ed", counted(done)));
        if word == "replay" && done > 0 && is_disabled(&args).await {
            eprintln!(
                "{0} is disabled: nothing is sent until you run `autoreceive actions enable {0}`",
                args.action
            );
        }
    }
    let missing = (args.ids.len() as u64).saturating_sub(matched);
    if missing > 0 {
        return Err(CliError::Rejected(format!(
            "{} has no dead letter for {missing} of these events",
            args.action
        )));
    }
    if unreadable > 0 && word == "replay" {
        return Err(CliError::Rejected(format!(
            "{unreadable} dead letters cannot be read; they were not replayed"
        )));
    }
    Ok(())
}

/// Works in steps: each request is sent after the answer to the one before.
async fn take_steps(
    args: &ResolveArgs,
    word: &str,
    bar: &ProgressBar,
) -> Result<ResolveTotals, CliError> {
    let mut totals = ResolveTotals::default();
    let dry_run = args.dry_run.then_some(true);
    for ids in args.ids.chunks(MAX_IDS) {
        let step = WhichFields { ids: Some(ids.to_vec()), dry_run, ..WhichFields::default() };
        totals.add(&take_step(args, word, &step).await?);
        bar.set_position(totals.matched);
    }
    if !args.ids.is_empty() {
        return Ok(totals);
    }
    let mut step = WhichFields {
        all: args.all.then_some(true),
        older_than: args.older_than.clone(),
        error: args.error.clone(),
        dry_run,
        ..WhichFields::default()
    };
    loop {
        let answer = take_step(args, word, &step).await.inspect_err(|_| {
            if totals.done > 0 {
                let done = counted(totals.done);
                eprintln!("{done} {word}ed before this error; repeating the command is safe");
            }
        })?;
        totals.add(&answer);
        bar.set_position(totals.matched);
        step.cursor = answer.cursor;
        if step.cursor.is_none() {
            return Ok(totals);
        }
    }
}

async fn take_step(
    args: &ResolveArgs,
    word: &str,
    step: &WhichFields,
) -> Result<ResolvedView, CliError> {
    let client = args.client.client_for(&[&args.action])?;
    let asked = match word {
        "replay" => client.replay(&args.action, step).await,
        _ => client.discard(&args.action, step).await,
    };
    asked.map_err(|error| args.client.failure(error))
}

/// The progress bar. Its length is the number of ids, or of all dead letters; the number of matches
/// of a filter is not known in advance.
async fn progress(args: &ResolveArgs) -> Result<ProgressBar, CliError> {
    if !stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let length = if args.all {
        action(args).await?.map_or(0, |action| action.figures.dead)
    } else {
        args.ids.len() as u64
    };
    let bar = ProgressBar::new(length);
    let template = if length > 0 { "{bar:40} {pos}/{len} {eta}" } else { "{spinner} {pos} found" };
    // The templates are constants; if one were wrong, the plain bar would be shown.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Ok(bar)
}

/// The action's statistics, if the service knows it.
async fn action(args: &ResolveArgs) -> Result<Option<ActionItem>, CliError> {
    let asked = args.client.client()?.actions().await;
    let list = asked.map_err(|error| args.client.failure(error))?;
    Ok(list.actions.into_iter().find(|action| action.figures.name == args.action))
}

async fn is_disabled(args: &ResolveArgs) -> bool {
    let action = action(args).await.ok().flatten();
    action.is_some_and(|action| action.figures.disabled_at.is_some())
}

fn counted(count: u64) -> String {
    if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
