//! `autoreceive dead-letters …`

use std::io::{IsTerminal, stderr};

use clap::{ArgGroup, Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::client::ClientArgs;
use super::{Failure, output, zone};
use crate::wire::action::ActionItem;
use crate::wire::dead_letter::{MAX_IDS, ResolvedView, WhichFields};

/// What can be done about events that an action failed at for good. They are kept until they are
/// replayed or discarded.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// A page of them, the oldest first.
    #[command(after_help = "Examples:\n  autoreceive dead-letters list shop\n  \
        autoreceive dead-letters list shop --older-than 24h --error 503")]
    List(ListArgs),
    /// One of them: its errors, and the event as it is sent.
    #[command(after_help = "Example:\n  autoreceive dead-letters show shop A-1:3")]
    Show(ShowArgs),
    /// Attempt them again, under the same event ids.
    #[command(after_help = "Examples:\n  autoreceive dead-letters replay shop A-1:3 A-2:3\n  \
        autoreceive dead-letters replay shop --error 503 --dry-run\n  autoreceive dead-letters \
        replay shop --all")]
    Replay(ResolveArgs),
    /// Remove them for good.
    #[command(after_help = "Examples:\n  autoreceive dead-letters discard shop A-1:3\n  \
        autoreceive dead-letters discard shop --older-than 90d --dry-run")]
    Discard(ResolveArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// The action.
    action: String,
    /// Only those that were given up at least so long ago, for example 24h.
    #[arg(long, value_name = "LENGTH")]
    older_than: Option<String>,
    /// Only those whose last error has this text in it.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// The most dead letters on a page.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Where to go on, as the last page said.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The action.
    action: String,
    /// The event's id.
    event_id: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true).args(["ids", "all", "older_than", "error"])))]
pub struct ResolveArgs {
    /// The action.
    action: String,
    /// Those of these events.
    #[arg(value_name = "EVENT_ID")]
    ids: Vec<String>,
    /// Every one.
    #[arg(long, conflicts_with_all = ["ids", "older_than", "error"])]
    all: bool,
    /// Those that were given up at least so long ago, for example 24h.
    #[arg(long, value_name = "LENGTH", conflicts_with = "ids")]
    older_than: Option<String>,
    /// Those whose last error has this text in it.
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    error: Option<String>,
    /// Only count them.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(command: DeadLettersCommand) -> Result<(), Failure> {
    match command {
        DeadLettersCommand::List(args) => list(args).await,
        DeadLettersCommand::Show(args) => show(args).await,
        DeadLettersCommand::Replay(args) => resolve(args, "replay").await,
        DeadLettersCommand::Discard(args) => resolve(args, "discard").await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
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
    match rows.is_empty() {
        true if more.is_none() => {
            output::print(&format!("{} has no such dead letters", args.action))
        }
        true => {}
        false => output::table(&["EVENT", "TYPE", "ATTEMPTS", "GIVEN UP", "LAST ERROR"], rows),
    }
    if let Some(cursor) = more {
        eprintln!("there are more to look through: --cursor {cursor}");
    }
    Ok(())
}

fn ago(item: &Value, page: &Value) -> String {
    zone::distance(&item["died_at"], &page["now"])
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let letter = args
        .client
        .get(&["v1", "actions", &args.action, "dead-letters", &args.event_id], &[])
        .await?;
    if args.client.json {
        return Ok(());
    }
    let zone = args.client.zone();
    let time = |key: &str| zone::local(&letter[key], &zone);
    let mut pairs = vec![("event", text(&letter["event_id"])), ("given up", time("died_at"))];
    if let Some(why) = letter["unreadable"].as_str() {
        pairs.push(("unreadable", why.to_owned()));
    } else {
        let order = format!("{} (version {})", text(&letter["order_id"]), text(&letter["version"]));
        let attempts = format!("{}, the first {}", text(&letter["attempts"]), time("first_at"));
        pairs.extend([("type", text(&letter["type"])), ("order", order), ("attempts", attempts)]);
    }
    output::pairs(&pairs);
    let row = |error: &Value| vec![zone::local(&error["at"], &zone), text(&error["error"])];
    let errors: Vec<_> = letter["errors"].as_array().into_iter().flatten().map(row).collect();
    if !errors.is_empty() {
        output::print("");
        output::table(&["AT", "ERROR"], errors);
    }
    if !letter["event"].is_null() {
        output::print(&format!("\n{:#}", letter["event"]));
    }
    Ok(())
}

/// What the steps came to.
#[derive(Default)]
struct Sum {
    matched: u64,
    done: u64,
    unreadable: u64,
}

impl Sum {
    fn add(&mut self, step: &ResolvedView) {
        self.matched += step.matched;
        self.done += step.done;
        self.unreadable += step.unreadable;
    }
}

async fn resolve(args: ResolveArgs, word: &str) -> Result<(), Failure> {
    let bar = progress(&args).await?;
    let sum = take_steps(&args, word, &bar).await;
    bar.finish_and_clear();
    let Sum { matched, done, unreadable } = sum?;
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
                "{0} is disabled, so nothing goes out until `autoreceive actions enable {0}`",
                args.action
            );
        }
    }
    let missing = (args.ids.len() as u64).saturating_sub(matched);
    if missing > 0 {
        return Err(Failure::Rejected(format!(
            "{} has no dead letter of {missing} of these events",
            args.action
        )));
    }
    if unreadable > 0 && word == "replay" {
        return Err(Failure::Rejected(format!(
            "{unreadable} dead letters cannot be read and stay where they are"
        )));
    }
    Ok(())
}

/// The service answers in short steps; each is sent when the one before is answered.
async fn take_steps(args: &ResolveArgs, word: &str, bar: &ProgressBar) -> Result<Sum, Failure> {
    let mut sum = Sum::default();
    let dry_run = args.dry_run.then_some(true);
    for ids in args.ids.chunks(MAX_IDS) {
        let step = WhichFields { ids: Some(ids.to_vec()), dry_run, ..WhichFields::default() };
        sum.add(&take_step(args, word, &step).await?);
        bar.set_position(sum.matched);
    }
    if !args.ids.is_empty() {
        return Ok(sum);
    }
    let (older_than, error) = (args.older_than.clone(), args.error.clone());
    let mut step = WhichFields {
        all: args.all.then_some(true),
        older_than,
        error,
        dry_run,
        ..WhichFields::default()
    };
    loop {
        let answer = take_step(args, word, &step).await.inspect_err(|_| {
            if sum.done > 0 {
                eprintln!("{} were {word}ed before this; repeating the command is safe", sum.done);
            }
        })?;
        sum.add(&answer);
        bar.set_position(sum.matched);
        step.cursor = answer.cursor;
        if step.cursor.is_none() {
            return Ok(sum);
        }
    }
}

async fn take_step(
    args: &ResolveArgs,
    word: &str,
    step: &WhichFields,
) -> Result<ResolvedView, Failure> {
    let client = args.client.client_for(&[&args.action])?;
    let asked = match word {
        "replay" => client.replay(&args.action, step).await,
        _ => client.discard(&args.action, step).await,
    };
    asked.map_err(|error| args.client.failure(error))
}

/// How far it is: of those named, or of all that there are; how many fit a filter is not known
/// before.
async fn progress(args: &ResolveArgs) -> Result<ProgressBar, Failure> {
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
    // The templates are constants; a wrong one would leave the plain bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Ok(bar)
}

/// The action's figures, if it has any.
async fn action(args: &ResolveArgs) -> Result<Option<ActionItem>, Failure> {
    let asked = args.client.client()?.actions().await;
    let figures = asked.map_err(|error| args.client.failure(error))?;
    Ok(figures.actions.into_iter().find(|action| action.figures.name == args.action))
}

async fn is_disabled(args: &ResolveArgs) -> bool {
    let action = action(args).await.ok().flatten();
    action.is_some_and(|action| action.figures.disabled_at.is_some())
}

fn counted(letters: u64) -> String {
    if letters == 1 { "1 dead letter".to_owned() } else { format!("{letters} dead letters") }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
