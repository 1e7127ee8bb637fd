//! `autoreceive bench …`

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::Failure;
use super::output;
use crate::app;
use crate::bench::api::Api;
use crate::bench::bench_store::BenchStore;
use crate::bench::herd::Herd;
use crate::bench::hot::Hot;
use crate::bench::idle::Idle;
use crate::bench::limit::Limit;
use crate::bench::memory::Memory;
use crate::bench::scan::Scan;
use crate::bench::steady::Steady;
use crate::bench::sweep::Sweep;
use crate::bench::takeover::Takeover;
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

On Redis it needs a database without keys, and removes its own afterwards. Use a server that nobody else needs meanwhile.";

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
    /// How often it is measured, each time on an empty store; the median of each figure counts.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000), global = true)]
    runs: u16,
    /// Draw an SVG picture of the figures into this directory.
    #[arg(long, value_name = "DIR", global = true)]
    plot: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Many orders due at one instant, received and attempted by an action that does nothing.
    #[command(after_help = "Example:\n  autoreceive bench herd --orders 1000000 --workers 4")]
    Herd {
        /// How many.
        #[arg(long, default_value_t = 200_000, value_parser = count)]
        orders: usize,
        /// How many workers share the work.
        #[arg(long, default_value_t = 1, value_parser = count)]
        workers: usize,
        /// Orders in one batch, at most 500.
        #[arg(long, default_value_t = 500, value_parser = batch)]
        batch: usize,
    },
    /// A steady stream of deadlines.
    #[command(after_help = "Example:\n  autoreceive bench steady --rate 1000 --seconds 30")]
    Steady {
        /// How many fall due in a second.
        #[arg(long, default_value_t = 1_000, value_parser = count)]
        rate: usize,
        /// For how many seconds.
        #[arg(long, default_value_t = 20, value_parser = count)]
        seconds: usize,
        /// How many workers share the work.
        #[arg(long, default_value_t = 1, value_parser = count)]
        workers: usize,
    },
    /// Orders that wait while nothing is due.
    #[command(after_help = "Example:\n  autoreceive bench idle --seconds 60")]
    Idle {
        /// How many wait.
        #[arg(long, default_value_t = 10_000, value_parser = count)]
        orders: usize,
        /// For how many seconds.
        #[arg(long, default_value_t = 20, value_parser = count)]
        seconds: usize,
        /// How many workers look after them.
        #[arg(long, default_value_t = 1, value_parser = count)]
        workers: usize,
    },
    /// A thousand orders due among ever more that wait.
    #[command(after_help = "Example:\n  autoreceive bench waiting --steps 10000,1000000")]
    Waiting {
        /// How many wait, step by step: 10000,100000,1000000,5000000 as far as half of the free
        /// memory holds them.
        #[arg(long, value_delimiter = ',', value_parser = count)]
        steps: Vec<usize>,
    },
    /// What a waiting order takes.
    #[command(after_help = "Example:\n  autoreceive bench memory --orders 100000")]
    Memory {
        /// How many of each kind are measured.
        #[arg(long, default_value_t = 100_000, value_parser = count)]
        orders: usize,
    },
    /// The copied pattern (a key that expires) beside this program: what goes wrong with either.
    /// Needs a Redis without such keys.
    #[command(
        after_help = "Example:\n  autoreceive bench takeover --store redis://127.0.0.1:6379/0 \
            --orders 20000"
    )]
    Takeover {
        /// How many orders the shop has.
        #[arg(long, default_value_t = 20_000)]
        orders: usize,
        /// How long after its payment an order is to be received, in ms: 24 hours in a shop.
        #[arg(long, default_value_t = 4_000)]
        window_ms: u64,
        /// The pause between two sweeps of the pattern (30 minutes in a shop), and between two
        /// scans of ours, in ms.
        #[arg(long, default_value_t = 1_000)]
        every_ms: u64,
        /// How often one of the two instances is killed.
        #[arg(long, default_value_t = 4)]
        kills: u32,
        /// How long an order's post-receive actions take, in ms.
        #[arg(long, default_value_t = 1)]
        action_ms: u64,
        /// Let the server tell of changed keys.
        #[arg(long)]
        notifications: bool,
    },
    /// What the intake's scan costs other clients of the shop's Redis: a GET with it and without.
    /// Needs a Redis.
    #[command(
        after_help = "Example:\n  autoreceive bench scan --store redis://127.0.0.1:6379/0 --keys \
            1000000"
    )]
    Scan {
        /// How many keys of others there are.
        #[arg(long, default_value_t = 1_000_000)]
        keys: usize,
        /// For how many seconds each half of a round is measured.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// How many rounds, each without a scan and with scans that follow each other without a
        /// pause.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Commands over HTTP, single and in bulk.
    #[command(after_help = "Example:\n  autoreceive bench api --clients 256")]
    Api {
        /// How many orders are placed and paid each way.
        #[arg(long, default_value_t = 50_000, value_parser = count)]
        orders: usize,
        /// How many clients send single commands.
        #[arg(long, default_value_t = 64, value_parser = count)]
        clients: usize,
    },
    /// What one hot order costs the others of its shard: commands on them with it and without.
    #[command(after_help = "Example:\n  autoreceive bench hot --workers 4 --store \
            redis://127.0.0.1:6379/0")]
    Hot {
        /// How many orders there are besides the hot one.
        #[arg(long, default_value_t = 200, value_parser = count)]
        orders: usize,
        /// How many workers share the store.
        #[arg(long, default_value_t = 4, value_parser = count)]
        workers: usize,
        /// For how many seconds each half is measured.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// To compare with: the least conceivable work for due orders on the same Redis.
    #[command(after_help = "Example:\n  autoreceive bench limit --store redis://127.0.0.1:6379/0")]
    Limit {
        /// How many are due.
        #[arg(long, default_value_t = 200_000, value_parser = count)]
        orders: usize,
        /// Orders in one batch, at most 500.
        #[arg(long, default_value_t = 500, value_parser = batch)]
        batch: usize,
    },
    /// To compare with: the sweep over keys that expire, as shops copy it.
    #[command(after_help = "Example:\n  autoreceive bench pattern --tuned --store \
            redis://127.0.0.1:6379/0")]
    Pattern {
        /// How many paid orders it finds.
        #[arg(long, default_value_t = 20_000, value_parser = count)]
        orders: usize,
        /// SCAN, MGET and pipelines in place of KEYS and three round trips an order.
        #[arg(long)]
        tuned: bool,
    },
}

/// The most of anything; ten times what was ever measured.
const MOST: usize = 100_000_000;

fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=MOST).contains(count))
        .ok_or_else(|| format!("expected a number from 1 to {MOST}"))
}

fn batch(text: &str) -> Result<usize, String> {
    let most = Engine::MAX_BATCH;
    text.parse()
        .ok()
        .filter(|count| (1..=most).contains(count))
        .ok_or_else(|| format!("expected a number from 1 to {most}"))
}

pub async fn run(args: BenchArgs) -> Result<(), Failure> {
    let wrong = |why| Failure::Other(anyhow::anyhow!("--store: {why}"));
    let url = args.store.as_deref().map(StoreAddress::parse).transpose().map_err(wrong)?;
    let mut measured = Vec::new();
    for _ in 0..args.runs {
        measured.push(measure_on_empty_store(&args.what, url.clone()).await?);
    }
    let median = runs::median(&measured);
    show(&args, &measured, &median);
    if let Some(directory) = &args.plot {
        match plot::draw(&median, directory)? {
            Some(path) => eprintln!("drawn: {}", path.display()),
            None => eprintln!("nothing of this is drawn; the table has all of it"),
        }
    }
    Ok(())
}

/// Measures once. The keys are removed also where it fails or is interrupted.
async fn measure_on_empty_store(what: &What, url: Option<StoreAddress>) -> anyhow::Result<Value> {
    let ground = BenchStore::open(url).await?;
    let measured = tokio::select! {
        measured = measure(what, &ground) => measured,
        asked = app::asked_to_stop() => asked.and_then(|()| anyhow::bail!("interrupted")),
    };
    ground.clear().await?;
    measured
}

async fn measure(what: &What, ground: &BenchStore) -> anyhow::Result<Value> {
    let bar = |orders: usize| Bar::new(orders);
    match *what {
        What::Herd { orders, workers, batch } => {
            Herd { orders, workers, batch }.run(ground, &bar(orders).0).await
        }
        What::Steady { rate, seconds, workers } => {
            Steady { rate, seconds, workers }.run(ground, &bar(rate * seconds).0).await
        }
        What::Idle { orders, seconds, workers } => {
            Idle { orders, seconds, workers }.run(ground, &bar(orders).0).await
        }
        What::Waiting { ref steps } => {
            let steps = if steps.is_empty() { Waiting::steps_that_fit() } else { steps.clone() };
            let bar = bar(steps.iter().max().copied().unwrap_or(0));
            Waiting { steps }.run(ground, &bar.0).await
        }
        What::Memory { orders } => {
            Memory { orders }.run(ground, &bar(Memory::KINDS.len() * orders).0).await
        }
        What::Takeover { orders, window_ms, every_ms, kills, action_ms, notifications } => {
            let [window, every, action] =
                [window_ms, every_ms, action_ms].map(Duration::from_millis);
            Takeover { orders, window, every, kills, action, notifications }
                .run(ground, &bar(2).0)
                .await
        }
        What::Scan { keys, seconds, rounds } => {
            Scan { keys, seconds, rounds }.run(ground, &bar(keys).0).await
        }
        What::Api { orders, clients } => {
            Api { orders, clients }.run(ground, &bar(4 * orders).0).await
        }
        What::Hot { orders, workers, seconds } => {
            Hot { orders, workers, seconds }.run(ground, &bar(0).0).await
        }
        What::Limit { orders, batch } => Limit { orders, batch }.run(ground, &bar(orders).0).await,
        What::Pattern { orders, tuned } => {
            Sweep { orders, tuned }.run(ground, &bar(orders).0).await
        }
    }
}

/// A progress bar that is gone when the measurement is over, and hidden where nobody looks.
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
    let (min, max) = (runs::min(measured), runs::max(measured));
    if args.json {
        let mut figures = median.clone();
        if measured.len() > 1 {
            figures["runs"] = measured.len().into();
            figures["min"] = min;
            figures["max"] = max;
        }
        return output::print(&figures.to_string());
    }
    // Two sides of one measurement stand beside each other.
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

/// The figures as rows, `lag_ms.p99` for a figure within a figure, one cell for each of `columns`,
/// which are of one shape.
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
