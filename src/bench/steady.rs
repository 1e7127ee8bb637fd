//! A steady stream of deadlines: the lag of each order, and the processor time.

use std::time::Instant;

use autoreceive_domain::Time;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};
use super::worker::{Cpu, Workers};

/// The benchmark of a steady stream.
pub struct Steady {
    /// Orders that fall due per second, evenly spread.
    pub rate: usize,
    /// Duration.
    pub seconds: usize,
    /// Workers that share the work.
    pub workers: usize,
}

impl Steady {
    /// Measures on `target` and returns the figures.
    ///
    /// # Errors
    /// If the store does not answer, or does not store the orders before the first is due.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let orders = self.rate * self.seconds;
        let first = target.instant_after_filling(orders).await?;
        let deadline = |i: usize| Time::from_ms(first.ms() + (i * 1_000 / self.rate.max(1)) as i64);
        target.fill(Filling { deadline: &deadline, ..Filling::of(orders) }, progress).await?;
        let workers = Workers::start(target, self.workers, 200).await?;
        target.wait_until(first).await?;
        let start = Instant::now();
        let cpu = Cpu::read(target).await?;
        workers.drain(target, orders as u64, progress).await?;
        let seconds = start.elapsed().as_secs_f64();
        let cores = cpu.since(target, 1.0 / seconds).await?;
        let lag_ms = workers.noop.lag_ms();
        let duplicates_percent = workers.duplicates_percent(orders);
        workers.stop().await;
        Ok(json!({
            "bench": "steady",
            "store": target.name,
            "rate": self.rate,
            "seconds": self.seconds,
            "workers": self.workers,
            "orders": orders,
            "orders_per_second": orders as f64 / seconds,
            "lag_ms": lag_ms,
            "cores": cores,
            "duplicates_percent": duplicates_percent,
        }))
    }
}
