//! `autoreceive adopt`: takes over all orders that a shop keeps in Redis keys, at once.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::Span;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::config::ConfigFile;
use super::{CliError, output, zone};
use crate::app;
use crate::config::Config;
use crate::intake::CountFrom;
use crate::intake::adopt::{Adopted, Survey, survey};
use crate::intake::shop::Shop;

/// Time for the engine's shutdown at the end.
const STOP_WITHIN: Duration = Duration::from_secs(8);

const EXAMPLES: &str = "\
Examples:
  autoreceive adopt --dry-run                          # what is there, and what would be done
  autoreceive adopt --config /etc/autoreceive.toml
  autoreceive adopt --json | jq 'select(.skipped)'     # skipped keys, and why

Reads the keys that [intake] names, shows them, and then takes over every paid order, also orders
without a trigger, which the intake of the service skips. Repeating it changes nothing. If the store
is Redis, the service may keep running; with an SQLite file, stop it first. See
docs/from-ttl-keys.md.";

/// Arguments of `adopt`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AdoptArgs {
    /// Only show what would be done. Nothing is written, in the store or in the shop's Redis.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: one object for each skipped key, then one with the totals.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

pub async fn run(args: AdoptArgs) -> Result<(), CliError> {
    let config = args.file.load()?;
    let shop = app::open_shop(&config).await?;
    let found = survey(&shop, |key, why| skipped(args.json, key, why))
        .await
        .map_err(|error| CliError::Unavailable(error.to_string()))?;
    if !args.json {
        show(&found, &config);
    }
    let adopted = if args.dry_run {
        None
    } else {
        Some(adopt(&config, shop, found.orders, args.json).await?)
    };
    if args.json {
        output::print(&figures(&found, adopted.as_ref()).to_string());
    } else {
        conclude(adopted.as_ref());
    }
    Ok(())
}

async fn adopt(
    config: &Config,
    shop: Arc<Shop>,
    orders: u64,
    json: bool,
) -> Result<Adopted, CliError> {
    let (engine, intake) = app::taking_over(config, shop).await?;
    let bar = bar(orders);
    let adopted = intake
        .adopt_all(
            |keys| bar.set_position(keys),
            |key, why| bar.suspend(|| skipped(json, key, why)),
        )
        .await;
    bar.finish_and_clear();
    engine.stop(STOP_WITHIN).await;
    adopted.map_err(|error| CliError::Unavailable(error.to_string()))
}

fn bar(orders: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos}/{human_len} {eta}");
    ProgressBar::new(orders).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn skipped(json: bool, key: &str, why: &str) {
    if json {
        output::print(&json!({"skipped": key, "why": why}).to_string());
    } else {
        output::print(&format!("skipped: {key}: {why}"));
    }
}

fn show(found: &Survey, config: &Config) {
    let statuses =
        found.statuses.iter().map(|(word, count)| vec![word.clone(), count.to_string()]).collect();
    output::table(&["STATUS", "ORDERS"], statuses);
    output::print("");
    let settings = &config.intake.settings;
    let from_now = settings.policy.terms.receive_after;
    let in_words = |ms: i64| zone::length(&Span::from_ms(ms).to_string());
    let due = match (settings.count_from, found.ends_ms) {
        (CountFrom::Trigger, Some((first, last))) => {
            format!(
                "in {} to {}, with their triggers; without a trigger in {from_now}",
                in_words(first),
                in_words(last)
            )
        }
        _ => format!("in {from_now}, counted from the moment when each is taken over"),
    };
    output::pairs(&[
        ("paid", found.paid.to_string()),
        ("paid, without a trigger", found.without_trigger.to_string()),
        ("received", due),
        ("triggers without a status", found.stray_triggers.to_string()),
        ("invalid keys", found.odd.to_string()),
    ]);
    for ((word, ours), orders) in &found.nearly {
        let counted =
            if *orders == 1 { "1 order says".to_owned() } else { format!("{orders} orders say") };
        output::print(&format!(
            "skipped: {counted} `{word}`, which is not a word in [intake]; did you mean {ours}?"
        ));
    }
}

fn conclude(adopted: Option<&Adopted>) {
    output::print("");
    let Some(Adopted { adopted, followed, placed_by_command, unchanged }) = adopted else {
        return output::print("this was a dry run: nothing was changed");
    };
    output::pairs(&[
        ("adopted", adopted.to_string()),
        ("updated to their status", followed.to_string()),
        ("placed by a command", placed_by_command.to_string()),
        ("unchanged", unchanged.to_string()),
    ]);
}

fn figures(found: &Survey, adopted: Option<&Adopted>) -> serde_json::Value {
    let ends = found.ends_ms.map(|(first, last)| json!({"first_ms": first, "last_ms": last}));
    let nearly = found
        .nearly
        .iter()
        .map(|((word, ours), orders)| json!({"status": word, "orders": orders, "nearly": ours}));
    let adopted = adopted.map(|a| {
        json!({
            "adopted": a.adopted,
            "followed": a.followed,
            "placed_by_command": a.placed_by_command,
            "unchanged": a.unchanged,
        })
    });
    json!({
        "orders": found.orders,
        "statuses": found.statuses,
        "paid": found.paid,
        "without_trigger": found.without_trigger,
        "triggers_end": ends,
        "stray_triggers": found.stray_triggers,
        "odd": found.odd,
        "nearly": nearly.collect::<Vec<_>>(),
        "result": adopted,
    })
}
