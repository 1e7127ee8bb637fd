//! Processor time of workers and Redis while orders wait and nothing is due.

use std::time::{Duration, Instant};

use autoreceive_domain::Span;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};
use super::worker::{Cpu, Workers};

/// The benchmark without due orders.
pub struct Idle {
    /// Waiting orders.
    pub orders: usize,
    /// Duration.
    pub seconds: usize,
    /// Number of workers.
    pub workers: usize,
}

/// Time to open connections and to check all shards once.
const SETTLING: Duration = Duration::from_secs(1);

impl Idle {
    /// Measures on `target` and returns the figures.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let later = target.store.now().await?.after(Span::from_hours(24));
        target.fill(Filling { deadline: &|_| later, ..Filling::of(self.orders) }, progress).await?;
        let workers = Workers::start(target, self.workers, 200).await?;
        tokio::time::sleep(SETTLING).await;
        let start = Instant::now();
        let cpu = Cpu::read(target).await?;
        tokio::time::sleep(Duration::from_secs(self.seconds as u64)).await;
        let cores = cpu.since(target, 1.0 / start.elapsed().as_secs_f64()).await?;
        anyhow::ensure!(workers.noop.attempted() == 0, "an order was due during the benchmark");
        workers.stop().await;
        Ok(json!({
            "bench": "idle",
            "store": target.name,
            "orders": self.orders,
            "seconds": self.seconds,
            "workers": self.workers,
            "cores": cores,
        }))
    }
}
