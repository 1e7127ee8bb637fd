//! Many orders due at one instant: speed and lag of receipts and attempts, and latency for other
//! clients.

use std::time::Instant;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};
use super::ping::Pings;
use super::worker::{Cpu, Workers};

/// The benchmark of a herd.
pub struct Herd {
    /// Number of orders.
    pub orders: usize,
    /// Workers that share the work.
    pub workers: usize,
    /// Orders in one batch.
    pub batch: usize,
}

impl Herd {
    /// Measures on `target` and returns the figures.
    ///
    /// # Errors
    /// If the store does not answer, or does not store the orders before they are due.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let deadline = target.instant_after_filling(self.orders).await?;
        target
            .fill(Filling { deadline: &|_| deadline, ..Filling::of(self.orders) }, progress)
            .await?;
        let workers = Workers::start(target, self.workers, self.batch).await?;
        target.wait_until(deadline).await?;
        // Not earlier: fast answers of an idle server would hide the slow ones.
        let pings = Pings::start(target.redis_url.clone());
        let start = Instant::now();
        let cpu = Cpu::read(target).await?;
        workers.drain(target, self.orders as u64, progress).await?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu.since(target, 100_000.0 / self.orders as f64).await?;
        let ping_ms = pings.stop().await?;
        let lag_ms = workers.noop.lag_ms();
        let duplicates_percent = workers.duplicates_percent(self.orders);
        workers.stop().await;
        Ok(json!({
            "bench": "herd",
            "store": target.name,
            "orders": self.orders,
            "workers": self.workers,
            "batch": self.batch,
            "seconds": seconds,
            "orders_per_second": self.orders as f64 / seconds,
            "lag_ms": lag_ms,
            "cpu_seconds_per_100k": cpu,
            "ping_ms": ping_ms,
            "duplicates_percent": duplicates_percent,
        }))
    }
}
