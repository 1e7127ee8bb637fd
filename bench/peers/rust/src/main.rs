//! The peers that are written in Rust: apalis-redis, and polling of a PostgreSQL table. Each gets
//! the same orders, all due at one instant or one after another, and a handler that only records
//! the time. Prints one JSON object.

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
        /// Tasks per fetch.
        #[arg(long, default_value_t = 500)]
        batch: usize,
        /// Polling interval, in ms.
        #[arg(long, default_value_t = 10)]
        poll_ms: u64,
    },
    /// SELECT … FOR UPDATE SKIP LOCKED.
    Postgres {
        /// postgres://…
        #[arg(long)]
        url: String,
        /// The server's first process. Its processor time and its children's are counted.
        #[arg(long)]
        pid: u32,
        /// Rows in one transaction.
        #[arg(long, default_value_t = 500)]
        batch: i64,
        /// Connections that poll.
        #[arg(long, default_value_t = 4)]
        workers: u32,
        /// Polling interval of an idle connection, in ms.
        #[arg(long, default_value_t = 10)]
        poll_ms: u64,
        /// Delete rows instead of marking them.
        #[arg(long)]
        delete: bool,
    },
}

/// The orders that fall due.
#[derive(Args, Clone, Copy)]
pub struct Load {
    /// Number of orders.
    #[arg(long, default_value_t = 20_000, global = true)]
    orders: usize,
    /// Orders that fall due per second; 0: all at one instant.
    #[arg(long, default_value_t = 0, global = true)]
    rate: usize,
}

/// The slowest speed at which a peer stores orders. It determines the first deadline.
const FILLED_PER_SECOND: usize = 30_000;

impl Load {
    /// The first deadline, in milliseconds.
    fn first_due(self) -> u64 {
        // On a full second, for peers with deadlines in seconds.
        (lag::now_ms() / 1_000 + 3 + (self.orders / FILLED_PER_SECOND) as u64) * 1_000
    }

    /// The deadline of order `i`, in milliseconds.
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
