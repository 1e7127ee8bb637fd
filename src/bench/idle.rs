//! What a worker and Redis use while orders wait and nothing is due.

use std::time::{Duration, Instant};

use autoreceive_domain::Span;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};
use super::worker::{Cpu, Workers};

/// What is measured.
pub struct Idle {
    /// How many orders wait meanwhile.
    pub orders: usize,
    /// For how many seconds.
    pub seconds: usize,
    /// How many workers look after them.
    pub workers: usize,
}

/// Until connections are open and the first looks are over.
const SETTLING: Duration = Duration::from_secs(1);

impl Idle {
    /// Measures on `ground` and returns the figures.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn run(&self, ground: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let later = ground.store.now().await?.after(Span::from_hours(24));
        ground.fill(Filling { deadline: &|_| later, ..Filling::of(self.orders) }, progress).await?;
        let workers = Workers::start(ground, self.workers, 200).await?;
        tokio::time::sleep(SETTLING).await;
        let (start, cpu) = (Instant::now(), Cpu::read(ground).await?);
        tokio::time::sleep(Duration::from_secs(self.seconds as u64)).await;
        let cores = cpu.since(ground, 1.0 / start.elapsed().as_secs_f64()).await?;
        anyhow::ensure!(workers.nothing.attempted() == 0, "something was due");
        workers.stop().await;
        Ok(json!({
            "bench": "idle", "store": ground.name, "orders": self.orders, "seconds": self.seconds, "workers": self.workers, "cores": cores,
        }))
    }
}
