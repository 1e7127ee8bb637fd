//! A steady stream of deadlines: how late each order is received and attempted, and what it costs.

use std::time::Instant;

use autoreceive_domain::Time;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};
use super::worker::{Cpu, Workers};

/// What is measured.
pub struct Steady {
    /// How many orders fall due in a second, evenly spread.
    pub rate: usize,
    /// For how many seconds.
    pub seconds: usize,
    /// How many workers share the work.
    pub workers: usize,
}

impl Steady {
    /// Measures on `ground` and returns the figures.
    ///
    /// # Errors
    /// Where the store does not answer, or does not take the orders before the first is due.
    pub async fn run(&self, ground: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let orders = self.rate * self.seconds;
        let first = ground.instant_after_filling(orders).await?;
        let deadline = |i: usize| Time::from_ms(first.ms() + (i * 1_000 / self.rate.max(1)) as i64);
        ground.fill(Filling { deadline: &deadline, ..Filling::of(orders) }, progress).await?;
        let workers = Workers::start(ground, self.workers, 200).await?;
        ground.wait_until(first).await?;
        let (start, cpu) = (Instant::now(), Cpu::read(ground).await?);
        workers.drain(ground, orders as u64, progress).await?;
        let seconds = start.elapsed().as_secs_f64();
        let cores = cpu.since(ground, 1.0 / seconds).await?;
        let lag_ms = workers.nothing.lag_ms();
        let duplicates_percent = workers.duplicates_percent(orders);
        workers.stop().await;
        Ok(json!({
            "bench": "steady", "store": ground.name, "rate": self.rate, "seconds": self.seconds, "workers": self.workers,
            "orders": orders, "orders_per_second": orders as f64 / seconds, "lag_ms": lag_ms, "cores": cores,
            "duplicates_percent": duplicates_percent,
        }))
    }
}
