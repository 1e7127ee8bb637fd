//! The peers that are written in Rust: apalis-redis, and polling a table of PostgreSQL. Each is
//! given the same orders, all due at one instant or one after another, and a handler that does
//! nothing but note the time. Prints one JSON object.

use clap::{Args, Parser, Subcommand};

mod apalis;
mod lag;
mod postgres;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    peer: Peer,
    #[command(flatten)]
    load: Load,
}

#[derive(Subcommand)]
enum Peer {
    /// Scheduled tasks of apalis-redis.
    Apalis {
        /// redis://…
        #[arg(long)]
        url: String,
        /// Tasks in one fetch.
        #[arg(long, default_value_t = 500)]
        batch: usize,
        /// How often it looks, in ms.
        #[arg(long, default_value_t = 10)]
        poll_ms: u64,
    },
    /// SELECT … FOR UPDATE SKIP LOCKED.
    Postgres {
        /// postgres://…
        #[arg(long)]
        url: String,
        /// The server's first process, whose processor time is counted with its children's.
        #[arg(long)]
        pid: u32,
        /// Rows in one transaction.
        #[arg(long, default_value_t = 500)]
        batch: i64,
        /// Connections that poll.
        #[arg(long, default_value_t = 4)]
        workers: u32,
        /// How often an idle one looks, in ms.
        #[arg(long, default_value_t = 10)]
        poll_ms: u64,
        /// Rows are deleted instead of marked.
        #[arg(long)]
        delete: bool,
    },
}

/// What falls due.
#[derive(Args, Clone, Copy)]
pub struct Load {
    /// How many orders.
    #[arg(long, default_value_t = 20_000, global = true)]
    orders: usize,
    /// How many fall due in a second; all at one instant without it.
    #[arg(long, default_value_t = 0, global = true)]
    rate: usize,
}

/// How fast a peer takes orders, at worst; the first deadline lies so far ahead.
const FILLED_PER_SECOND: usize = 30_000;

impl Load {
    /// In milliseconds: the first deadline.
    fn first_due(self) -> u64 {
        // On a full second, for those that count in seconds.
        (lag::now_ms() / 1_000 + 3 + (self.orders / FILLED_PER_SECOND) as u64) * 1_000
    }

    /// In milliseconds: the deadline of order `i`.
    fn due(self, first: u64, i: usize) -> u64 {
        first + if self.rate == 0 { 0 } else { (i * 1_000 / self.rate) as u64 }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { peer, load } = Cli::parse();
    let figures = match peer {
        Peer::Apalis { url, batch, poll_ms } => apalis::run(&url, batch, poll_ms, load).await?,
        Peer::Postgres { url, pid, batch, workers, poll_ms, delete } => {
            postgres::Polling { url, pid, batch, workers, poll_ms, delete }.run(load).await?
        }
    };
    println!("{figures}");
    Ok(())
}
