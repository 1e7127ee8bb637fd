//! Many orders due at one instant: how fast they are received and attempted, how late, and what
//! others feel of it.

use std::time::Instant;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};
use super::ping::Pings;
use super::worker::{Cpu, Workers};

/// What is measured.
pub struct Herd {
    /// How many orders.
    pub orders: usize,
    /// How many workers share the work.
    pub workers: usize,
    /// Orders in one batch.
    pub batch: usize,
}

impl Herd {
    /// Measures on `ground` and returns the figures.
    ///
    /// # Errors
    /// Where the store does not answer, or does not take the orders before they are due.
    pub async fn run(&self, ground: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let deadline = ground.instant_after_filling(self.orders).await?;
        ground
            .fill(Filling { deadline: &|_| deadline, ..Filling::of(self.orders) }, progress)
            .await?;
        let workers = Workers::start(ground, self.workers, self.batch).await?;
        ground.wait_until(deadline).await?;
        // Not before: answers of an idle server would hide those of a busy one.
        let pings = Pings::start(ground.redis_url.clone());
        let (start, cpu) = (Instant::now(), Cpu::read(ground).await?);
        workers.drain(ground, self.orders as u64, progress).await?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu.since(ground, 100_000.0 / self.orders as f64).await?;
        let (ping_ms, lag_ms) = (pings.stop().await?, workers.nothing.lag_ms());
        let duplicates_percent = workers.duplicates_percent(self.orders);
        workers.stop().await;
        Ok(json!({
            "bench": "herd", "store": ground.name, "orders": self.orders, "workers": self.workers, "batch": self.batch,
            "seconds": seconds, "orders_per_second": self.orders as f64 / seconds, "lag_ms": lag_ms,
            "cpu_seconds_per_100k": cpu, "ping_ms": ping_ms, "duplicates_percent": duplicates_percent,
        }))
    }
}
