//! The speed of the copied pattern: its job as written, and a tuned version with the same design.

use std::time::Instant;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use redis::aio::MultiplexedConnection;
use redis::{cmd, pipe};
use serde_json::{Value, json};

use super::bench_store::{BenchStore, connect};
use super::pattern::{STATUS, TRIGGER, sweep};
use super::ping::Pings;
use super::worker::Cpu;

/// The benchmark of the copied pattern.
pub struct Sweep {
    /// Paid orders.
    pub orders: usize,
    /// SCAN, MGET and pipelines in place of KEYS and three round trips per order.
    pub tuned: bool,
}

const DAY_MS: u64 = 86_400_000;
/// Keys per SCAN, and so per batch of the tuned version.
const PAGE: usize = 1_000;

impl Sweep {
    /// Measures on the Redis of `target` and returns the figures.
    ///
    /// # Errors
    /// If it is not a Redis, or does not answer.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let url = target
            .redis_url
            .clone()
            .context("this benchmark needs a Redis: --store redis://host:port/db")?;
        let mut connection = connect(&url).await?;
        let before = target.bytes().await?;
        load(&mut connection, self.orders).await?;
        let bytes = target.bytes().await?.saturating_sub(before) as f64 / self.orders as f64;
        let pings = Pings::start(Some(url.clone()));
        let start = Instant::now();
        let cpu = Cpu::read(target).await?;
        let received = tokio::task::spawn_blocking({
            let tuned = self.tuned;
            let progress = progress.clone();
            move || on_one_thread(&url, tuned, &progress)
        })
        .await??;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu.since(target, 100_000.0 / self.orders as f64).await?;
        let ping_ms = pings.stop().await?;
        ensure!(received == self.orders, "{received} orders were received");
        Ok(json!({
            "bench": "pattern",
            "tuned": self.tuned,
            "orders": self.orders,
            "seconds": seconds,
            "orders_per_second": self.orders as f64 / seconds,
            "cpu_seconds_per_100k": cpu,
            "ping_ms": ping_ms,
            "bytes_per_order": bytes.round(),
        }))
    }
}

/// Runs the job on its own thread: a round trip without a thread switch is the best case for this
/// pattern.
fn on_one_thread(url: &str, tuned: bool, progress: &ProgressBar) -> anyhow::Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = connect(url).await?;
        if tuned {
            return tuned_sweep(&mut connection, |received| progress.inc(received as u64)).await;
        }
        Ok(sweep(&mut connection, async |_| progress.inc(1)).await?)
    })
}

fn id(i: usize) -> String {
    format!("20261123{i:010}")
}

async fn load(connection: &mut MultiplexedConnection, orders: usize) -> anyhow::Result<()> {
    for first in (0..orders).step_by(PAGE) {
        let mut pipeline = pipe();
        for id in (first..(first + PAGE).min(orders)).map(id) {
            pipeline.cmd("SET").arg(format!("{STATUS}{id}")).arg("PAID").ignore();
            pipeline
                .cmd("PSETEX")
                .arg(format!("{TRIGGER}{id}"))
                .arg(DAY_MS)
                .arg("trigger")
                .ignore();
        }
        let () = pipeline.query_async(connection).await?;
    }
    Ok(())
}

/// The same job with pages instead of the whole keyspace: one MGET for all statuses of a page, then
/// all its writes and the next SCAN in one round trip. A cancel between MGET and MSET is still
/// overwritten.
async fn tuned_sweep(
    connection: &mut MultiplexedConnection,
    mut on_received: impl FnMut(usize),
) -> anyhow::Result<usize> {
    let scan = |cursor: u64| {
        cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{TRIGGER}*"))
            .arg("COUNT")
            .arg(PAGE)
            .to_owned()
    };
    let (mut cursor, mut triggers): (u64, Vec<String>) = scan(0).query_async(connection).await?;
    let mut received = 0;
    loop {
        let statuses: Vec<String> = triggers
            .iter()
            .filter_map(|key| Some(format!("{STATUS}{}", key.strip_prefix(TRIGGER)?)))
            .collect();
        let found: Vec<Option<String>> = if statuses.is_empty() {
            Vec::new()
        } else {
            cmd("MGET").arg(&statuses).query_async(connection).await?
        };
        let paid: Vec<(&String, &str)> = statuses
            .iter()
            .zip(found)
            .filter(|(_, status)| status.as_deref() == Some("PAID"))
            .map(|(key, _)| (key, "RECEIVED"))
            .collect();
        let mut pipeline = pipe();
        if !paid.is_empty() {
            pipeline.cmd("MSET").arg(&paid).ignore();
        }
        if !triggers.is_empty() {
            pipeline.cmd("DEL").arg(&triggers).ignore();
        }
        received += paid.len();
        on_received(paid.len());
        if cursor == 0 {
            // An empty pipeline is an error.
            if !pipeline.is_empty() {
                let () = pipeline.query_async(connection).await?;
            }
            return Ok(received);
        }
        pipeline.add_command(scan(cursor));
        ((cursor, triggers),) = pipeline.query_async(connection).await?;
    }
}
