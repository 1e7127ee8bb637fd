//! `autoreceive bench …`

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::Failure;
use super::output;
use crate::bench::api::Api;
use crate::bench::ground::Ground;
use crate::bench::herd::Herd;
use crate::bench::memory::Memory;
use crate::bench::scan::Scan;
use crate::bench::steady::Steady;
use crate::bench::takeover::Takeover;
use crate::bench::waiting::Waiting;
use crate::config::StoreAddress;

const EXAMPLES: &str = "\
Examples:
  autoreceive bench herd                                           # on a temporary SQLite file
  autoreceive bench herd --store redis://127.0.0.1:6379/0 --orders 1000000 --batch 500
  autoreceive bench steady --rate 1000 --seconds 30 --json
  autoreceive bench waiting --steps 10000,1000000

Redis is measured with keys of their own, which are removed afterwards. Use a server that nobody else needs meanwhile.";

/// What is measured, and on which store.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
    /// The store: redis://user:password@host:port/db; a temporary SQLite file without it.
    #[arg(long, value_name = "URL", global = true)]
    store: Option<String>,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Many orders due at one instant, received and attempted by an action that does nothing.
    #[command(after_help = "Example:\n  autoreceive bench herd --orders 1000000 --workers 4")]
    Herd {
        /// How many.
        #[arg(long, default_value_t = 200_000)]
        orders: usize,
        /// How many workers share the work.
        #[arg(long, default_value_t = 1)]
        workers: usize,
        /// Orders in one batch, at most 500.
        #[arg(long, default_value_t = 200)]
        batch: usize,
    },
    /// A steady stream of deadlines.
    #[command(after_help = "Example:\n  autoreceive bench steady --rate 1000 --seconds 30")]
    Steady {
        /// How many fall due in a second.
        #[arg(long, default_value_t = 1_000)]
        rate: usize,
        /// For how many seconds.
        #[arg(long, default_value_t = 20)]
        seconds: usize,
        /// How many workers share the work.
        #[arg(long, default_value_t = 1)]
        workers: usize,
    },
    /// A thousand orders due among ever more that wait.
    #[command(after_help = "Example:\n  autoreceive bench waiting --steps 10000,1000000")]
    Waiting {
        /// How many wait, step by step.
        #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
        steps: Vec<usize>,
    },
    /// What a waiting order takes.
    #[command(after_help = "Example:\n  autoreceive bench memory --orders 100000")]
    Memory {
        /// How many of each kind are measured.
        #[arg(long, default_value_t = 100_000)]
        orders: usize,
    },
    /// The copied pattern (a key that expires) beside this program: what goes wrong with either. Needs a Redis without such keys.
    #[command(after_help = "Example:\n  autoreceive bench takeover --store redis://127.0.0.1:6379/0 --orders 20000")]
    Takeover {
        /// How many orders the shop has.
        #[arg(long, default_value_t = 20_000)]
        orders: usize,
        /// How long after its payment an order is to be received, in ms: 24 hours in a shop.
        #[arg(long, default_value_t = 4_000)]
        window_ms: u64,
        /// The pause between two sweeps of the pattern (30 minutes in a shop), and between two scans of ours, in ms.
        #[arg(long, default_value_t = 1_000)]
        every_ms: u64,
        /// How often one of the two instances is killed.
        #[arg(long, default_value_t = 4)]
        kills: u32,
        /// Let the server tell of changed keys.
        #[arg(long)]
        notifications: bool,
    },
    /// What the intake's scan costs other clients of the shop's Redis: a GET with it and without. Needs a Redis.
    #[command(after_help = "Example:\n  autoreceive bench scan --store redis://127.0.0.1:6379/0 --keys 1000000")]
    Scan {
        /// How many keys of others there are.
        #[arg(long, default_value_t = 1_000_000)]
        keys: usize,
        /// For how many seconds each half of a round is measured.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// How many rounds, each without a scan and with scans that follow each other without a pause.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Commands over HTTP, single and in bulk.
    #[command(after_help = "Example:\n  autoreceive bench api --clients 256")]
    Api {
        /// How many orders are placed and paid each way.
        #[arg(long, default_value_t = 50_000)]
        orders: usize,
        /// How many clients send single commands.
        #[arg(long, default_value_t = 64)]
        clients: usize,
    },
}

pub async fn run(args: BenchArgs) -> Result<(), Failure> {
    let wrong = |why: &str| Failure::Other(anyhow::anyhow!("--store: {why}"));
    let url = args.store.as_deref().map(StoreAddress::parse).transpose().map_err(wrong)?;
    let ground = Ground::open(url).await?;
    let measured = measure(&args.what, &ground).await;
    ground.clear().await?;
    let figures = measured?;
    if args.json {
        output::print(&figures.to_string());
    } else {
        show(&figures);
    }
    Ok(())
}

/// Figures of two sides stand beside each other.
fn show(figures: &Value) {
    let mut rows = Vec::new();
    match (figures["pattern"].as_object(), figures["autoreceive"].as_object()) {
        (Some(pattern), Some(ours)) => {
            let cell = |value: Option<&Value>| value.map_or_else(String::new, Value::to_string);
            rows.extend(pattern.iter().map(|(name, value)| vec![name.clone(), cell(Some(value)), cell(ours.get(name))]));
            output::table(&["FIGURE", "PATTERN", "AUTORECEIVE"], rows);
        }
        _ => {
            flatten(&mut rows, "", figures);
            output::table(&["FIGURE", "VALUE"], rows);
        }
    }
}

async fn measure(what: &What, ground: &Ground) -> anyhow::Result<Value> {
    match *what {
        What::Herd { orders, workers, batch } => Herd { orders, workers, batch }.run(ground, &bar(orders)).await,
        What::Steady { rate, seconds, workers } => Steady { rate, seconds, workers }.run(ground, &bar(rate * seconds)).await,
        What::Waiting { ref steps } => Waiting { steps: steps.clone() }.run(ground, &bar(steps.iter().max().copied().unwrap_or(0))).await,
        What::Memory { orders } => Memory { orders }.run(ground, &bar(4 * orders)).await,
        What::Takeover { orders, window_ms, every_ms, kills, notifications } => {
            let (window, every) = (Duration::from_millis(window_ms), Duration::from_millis(every_ms));
            Takeover { orders, window, every, kills, notifications }.run(ground, &bar(2)).await
        }
        What::Scan { keys, seconds, rounds } => Scan { keys, seconds, rounds }.run(ground, &bar(keys)).await,
        What::Api { orders, clients } => Api { orders, clients: clients.max(1) }.run(ground, &bar(4 * orders)).await,
    }
}

fn bar(orders: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(orders as u64);
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos}/{human_len}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The figures as rows, `lag_ms.p99` for a figure within a figure.
fn flatten(rows: &mut Vec<Vec<String>>, name: &str, value: &Value) {
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(rows, &inner(key), value)),
        Value::Array(values) => values.iter().enumerate().for_each(|(i, value)| flatten(rows, &inner(&i.to_string()), value)),
        Value::Number(number) if number.is_f64() => rows.push(vec![name.to_owned(), format!("{:.3}", number.as_f64().unwrap_or(0.0))]),
        Value::String(text) => rows.push(vec![name.to_owned(), text.clone()]),
        Value::Null => {}
        other => rows.push(vec![name.to_owned(), other.to_string()]),
    }
}
