//! `autoreceive bench …`

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::CliError;
use super::output;
use crate::app;
use crate::bench::api::ApiBench;
use crate::bench::bench_store::BenchStore;
use crate::bench::herd::Herd;
use crate::bench::hot::Hot;
use crate::bench::idle::Idle;
use crate::bench::limit::Limit;
use crate::bench::memory::Memory;
use crate::bench::scan::Scan;
use crate::bench::steady::Steady;
use crate::bench::sweep::Sweep;
use crate::bench::takeover::TakeoverBench;
use crate::bench::waiting::Waiting;
use crate::bench::{plot, runs};
use crate::config::StoreAddress;
use crate::engine::Engine;

const EXAMPLES: &str = "\
Examples:
  autoreceive bench herd                                           # on a temporary SQLite file
  autoreceive bench herd --store redis://127.0.0.1:6379/0 --orders 1000000 --batch 500
  autoreceive bench herd --store redis://127.0.0.1:6379/0 --workers 4 --runs 5
  autoreceive bench steady --rate 1000 --seconds 30 --json
  autoreceive bench waiting --plot plots

A Redis database must be empty; the keys of the benchmark are removed afterwards. Use a server that
no other program uses at the same time.";

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: Measurement,
    /// The store: redis://user:password@host:port/db. The default is a temporary SQLite file.
    #[arg(long, value_name = "URL", global = true)]
    store: Option<String>,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
    /// Number of runs, each on an empty store; the result is the median of each figure.
    #[arg(
        long,
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1_000),
        global = true
    )]
    runs: u16,
    /// Write an SVG chart of the figures into this directory.
    #[arg(long, value_name = "DIR", global = true)]
    plot: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Measurement {
    /// Many orders due at the same instant, with an action that does nothing.
    #[command(after_help = "Example:\n  autoreceive bench herd --orders 1000000 --workers 4")]
    Herd {
        /// Number of orders.
        #[arg(long, default_value_t = 200_000, value_parser = count)]
        orders: usize,
        /// Number of workers.
        #[arg(long, default_value_t = 1, value_parser = count)]
        workers: usize,
        /// Orders per batch, at most 500.
        #[arg(long, default_value_t = 500, value_parser = batch)]
        batch: usize,
    },
    /// A steady stream of deadlines.
    #[command(after_help = "Example:\n  autoreceive bench steady --rate 1000 --seconds 30")]
    Steady {
        /// Deadlines per second.
        #[arg(long, default_value_t = 1_000, value_parser = count)]
        rate: usize,
        /// Duration in seconds.
        #[arg(long, default_value_t = 20, value_parser = count)]
        seconds: usize,
        /// Number of workers.
        #[arg(long, default_value_t = 1, value_parser = count)]
        workers: usize,
    },
    /// Waiting orders while nothing is due.
    #[command(after_help = "Example:\n  autoreceive bench idle --seconds 60")]
    Idle {
        /// Number of waiting orders.
        #[arg(long, default_value_t = 10_000, value_parser = count)]
        orders: usize,
        /// Duration in seconds.
        #[arg(long, default_value_t = 20, value_parser = count)]
        seconds: usize,
        /// Number of workers.
        #[arg(long, default_value_t = 1, value_parser = count)]
        workers: usize,
    },
    /// A thousand due orders among a growing number of waiting ones.
    #[command(after_help = "Example:\n  autoreceive bench waiting --steps 10000,1000000")]
    Waiting {
        /// Number of waiting orders in each step. The default is 10000,100000,1000000,5000000, as
        /// far as they fit into half of the free memory.
        #[arg(long, value_delimiter = ',', value_parser = count)]
        steps: Vec<usize>,
    },
    /// Memory per waiting order.
    #[command(after_help = "Example:\n  autoreceive bench memory --orders 100000")]
    Memory {
        /// Number of orders of each kind.
        #[arg(long, default_value_t = 100_000, value_parser = count)]
        orders: usize,
    },
    /// Errors of the usual pattern (a key that expires) compared with this program. Needs a Redis
    /// without such keys.
    #[command(
        after_help = "Example:\n  autoreceive bench takeover --store redis://127.0.0.1:6379/0 \
            --orders 20000"
    )]
    Takeover {
        /// Number of the shop's orders.
        #[arg(long, default_value_t = 20_000)]
        orders: usize,
        /// Time from payment to receipt in ms; 24 hours in a shop.
        #[arg(long, default_value_t = 4_000)]
        window_ms: u64,
        /// Pause between two sweeps of the pattern (30 minutes in a shop), and between two scans of
        /// this program, in ms.
        #[arg(long, default_value_t = 1_000)]
        every_ms: u64,
        /// How often one of the two instances is killed.
        #[arg(long, default_value_t = 4)]
        kills: u32,
        /// Duration of an order's post-receive actions in ms.
        #[arg(long, default_value_t = 1)]
        action_ms: u64,
        /// Turn on the server's notifications of changed keys.
        #[arg(long)]
        notifications: bool,
    },
    /// Cost of the intake's scan for other clients of the shop's Redis: the time of a GET with and
    /// without it. Needs a Redis.
    #[command(
        after_help = "Example:\n  autoreceive bench scan --store redis://127.0.0.1:6379/0 --keys \
            1000000"
    )]
    Scan {
        /// Number of other keys.
        #[arg(long, default_value_t = 1_000_000)]
        keys: usize,
        /// Duration of each half of a round in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Number of rounds. Half of a round has no scan; the other half scans without a pause.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Commands over HTTP, single and in bulk.
    #[command(after_help = "Example:\n  autoreceive bench api --clients 256")]
    Api {
        /// Number of orders that are placed and paid in each way.
        #[arg(long, default_value_t = 50_000, value_parser = count)]
        orders: usize,
        /// Number of clients that send single commands.
        #[arg(long, default_value_t = 64, value_parser = count)]
        clients: usize,
    },
    /// Cost of one hot order for the other orders of its shard: the time of their commands with and
    /// without it.
    #[command(after_help = "Example:\n  autoreceive bench hot --workers 4 --store \
            redis://127.0.0.1:6379/0")]
    Hot {
        /// Number of other orders.
        #[arg(long, default_value_t = 200, value_parser = count)]
        orders: usize,
        /// Number of workers.
        #[arg(long, default_value_t = 4, value_parser = count)]
        workers: usize,
        /// Duration of each half in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// For comparison: the minimum work for due orders on the same Redis.
    #[command(after_help = "Example:\n  autoreceive bench limit --store redis://127.0.0.1:6379/0")]
    Limit {
        /// Number of due orders.
        #[arg(long, default_value_t = 200_000, value_parser = count)]
        orders: usize,
        /// Orders per batch, at most 500.
        #[arg(long, default_value_t = 500, value_parser = batch)]
        batch: usize,
    },
    /// For comparison: the usual sweep over keys that expire.
    #[command(after_help = "Example:\n  autoreceive bench pattern --tuned --store \
            redis://127.0.0.1:6379/0")]
    Pattern {
        /// Number of paid orders.
        #[arg(long, default_value_t = 20_000, value_parser = count)]
        orders: usize,
        /// Use SCAN, MGET and pipelines in place of KEYS and three round trips per order.
        #[arg(long)]
        tuned: bool,
    },
}

/// Limit of every count; ten times the largest measurement so far.
const MAX_COUNT: usize = 100_000_000;

fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=MAX_COUNT).contains(count))
        .ok_or_else(|| format!("expected a number from 1 to {MAX_COUNT}"))
}

fn batch(text: &str) -> Result<usize, String> {
    let most = Engine::MAX_BATCH;
    text.parse()
        .ok()
        .filter(|count| (1..=most).contains(count))
        .ok_or_else(|| format!("expected a number from 1 to {most}"))
}

pub async fn run(args: BenchArgs) -> Result<(), CliError> {
    let wrong = |why| CliError::Other(anyhow::anyhow!("--store: {why}"));
    let url = args.store.as_deref().map(StoreAddress::parse).transpose().map_err(wrong)?;
    let mut measured = Vec::new();
    for _ in 0..args.runs {
        measured.push(measure_on_empty_store(&args.what, url.clone()).await?);
    }
    let median = runs::median(&measured);
    show(&args, &measured, &median);
    if let Some(directory) = &args.plot {
        match plot::draw(&median, directory)? {
            Some(path) => eprintln!("chart: {}", path.display()),
            None => eprintln!("this measurement has no chart; the table has all figures"),
        }
    }
    Ok(())
}

/// Measures once. Removes the keys also after an error or an interrupt.
async fn measure_on_empty_store(
    what: &Measurement,
    url: Option<StoreAddress>,
) -> anyhow::Result<Value> {
    let store = BenchStore::open(url).await?;
    let measured = tokio::select! {
        measured = measure(what, &store) => measured,
        asked = app::asked_to_stop() => asked.and_then(|()| anyhow::bail!("interrupted")),
    };
    store.clear().await?;
    measured
}

async fn measure(what: &Measurement, store: &BenchStore) -> anyhow::Result<Value> {
    let bar = |orders: usize| Bar::new(orders);
    match *what {
        Measurement::Herd { orders, workers, batch } => {
            Herd { orders, workers, batch }.run(store, &bar(orders).0).await
        }
        Measurement::Steady { rate, seconds, workers } => {
            Steady { rate, seconds, workers }.run(store, &bar(rate * seconds).0).await
        }
        Measurement::Idle { orders, seconds, workers } => {
            Idle { orders, seconds, workers }.run(store, &bar(orders).0).await
        }
        Measurement::Waiting { ref steps } => {
            let steps = if steps.is_empty() { Waiting::steps_that_fit() } else { steps.clone() };
            let bar = bar(steps.iter().max().copied().unwrap_or(0));
            Waiting { steps }.run(store, &bar.0).await
        }
        Measurement::Memory { orders } => {
            Memory { orders }.run(store, &bar(Memory::KINDS.len() * orders).0).await
        }
        Measurement::Takeover { orders, window_ms, every_ms, kills, action_ms, notifications } => {
            let [window, every, action] =
                [window_ms, every_ms, action_ms].map(Duration::from_millis);
            TakeoverBench { orders, window, every, kills, action, notifications }
                .run(store, &bar(2).0)
                .await
        }
        Measurement::Scan { keys, seconds, rounds } => {
            Scan { keys, seconds, rounds }.run(store, &bar(keys).0).await
        }
        Measurement::Api { orders, clients } => {
            ApiBench { orders, clients }.run(store, &bar(4 * orders).0).await
        }
        Measurement::Hot { orders, workers, seconds } => {
            Hot { orders, workers, seconds }.run(store, &bar(0).0).await
        }
        Measurement::Limit { orders, batch } => {
            Limit { orders, batch }.run(store, &bar(orders).0).await
        }
        Measurement::Pattern { orders, tuned } => {
            Sweep { orders, tuned }.run(store, &bar(orders).0).await
        }
    }
}

/// A progress bar that is removed after the measurement, and hidden without a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(orders: usize) -> Bar {
        if !stderr().is_terminal() {
            return Bar(ProgressBar::hidden());
        }
        let style =
            ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos}/{human_len}");
        Bar(ProgressBar::new(orders as u64)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn show(args: &BenchArgs, measured: &[Value], median: &Value) {
    let min = runs::min(measured);
    let max = runs::max(measured);
    if args.json {
        let mut figures = median.clone();
        if measured.len() > 1 {
            figures["runs"] = measured.len().into();
            figures["min"] = min;
            figures["max"] = max;
        }
        return output::print(&figures.to_string());
    }
    // A comparison has one column per side.
    let sides = median.get("autoreceive").zip(median.get("pattern"));
    let (header, columns): (&[&str], Vec<&Value>) = match sides {
        _ if measured.len() > 1 => (&["FIGURE", "MEDIAN", "MIN", "MAX"], vec![median, &min, &max]),
        Some((ours, theirs)) => (&["FIGURE", "AUTORECEIVE", "PATTERN"], vec![ours, theirs]),
        None => (&["FIGURE", "VALUE"], vec![median]),
    };
    let mut rows = Vec::new();
    flatten(&mut rows, "", &columns);
    output::table(header, rows);
}

/// Adds one row per figure, `lag_ms.p99` for a nested one, with a cell for each of `columns`. All
/// columns have the same shape.
fn flatten(rows: &mut Vec<Vec<String>>, name: &str, columns: &[&Value]) {
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match columns.first() {
        Some(Value::Object(fields)) => {
            for key in fields.keys() {
                flatten(
                    rows,
                    &inner(key),
                    &columns.iter().filter_map(|value| value.get(key)).collect::<Vec<_>>(),
                );
            }
        }
        Some(Value::Array(values)) => {
            for i in 0..values.len() {
                flatten(
                    rows,
                    &inner(&i.to_string()),
                    &columns.iter().filter_map(|value| value.get(i)).collect::<Vec<_>>(),
                );
            }
        }
        Some(Value::Null) | None => {}
        Some(_) => rows.push(
            std::iter::once(name.to_owned())
                .chain(columns.iter().map(|value| cell(value)))
                .collect(),
        ),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            format!("{:.3}", number.as_f64().unwrap_or(0.0))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
