//! A steady stream of deadlines: how late each order is received and attempted, and what it costs.

use std::time::{Duration, Instant};

use autoreceive_domain::{Span, Time};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::ground::{Filling, Ground};
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
    /// Where the store does not answer.
    pub async fn run(&self, ground: &Ground, progress: &ProgressBar) -> anyhow::Result<Value> {
        let orders = self.rate * self.seconds;
        let first = ground.store.heads().await?.now.after(Span::from_secs((orders / 20_000) as i64 + 2));
        let deadline = |i: usize| Time::from_ms(first.ms() + (i * 1_000 / self.rate.max(1)) as i64);
        ground.fill(Filling { from: 0, count: orders, deadline: &deadline, data: 0 }, progress).await?;
        let workers = Workers::start(ground, self.workers, 200).await?;
        tokio::time::sleep(first.since(ground.store.heads().await?.now).to_std()).await;
        let (start, cpu) = (Instant::now(), Cpu::read(ground).await?);
        workers.drain(ground, orders as u64, progress).await?;
        let cores = cpu.since(ground, 1.0 / start.elapsed().as_secs_f64()).await?;
        let lag_ms = workers.nothing.lag_ms();
        // The same workers with nothing to do.
        let (idle, idle_start) = (Cpu::read(ground).await?, Instant::now());
        tokio::time::sleep(Duration::from_secs(5)).await;
        let idle_cores = idle.since(ground, 1.0 / idle_start.elapsed().as_secs_f64()).await?;
        workers.stop().await;
        Ok(json!({
            "bench": "steady", "store": ground.name, "rate": self.rate, "seconds": self.seconds, "workers": self.workers,
            "orders_per_second": orders as f64 / start.elapsed().as_secs_f64().min(self.seconds as f64), "lag_ms": lag_ms,
            "cores": cores, "idle_cores": idle_cores,
        }))
    }
}
