//! The workers of a measurement, and what they and Redis used while they worked.

use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::{Policy, Terms};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::BenchStore;
use super::cpu;
use super::nothing::Nothing;
use crate::action::Subscription;
use crate::engine::{Engine, Metrics};

/// Engines on one store, and the action that does nothing.
pub struct Workers {
    engines: Vec<Engine>,
    metrics: Vec<Arc<Metrics>>,
    /// What was attempted.
    pub nothing: Nothing,
}

impl Workers {
    /// Starts `count` workers that take `batch` orders at once.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn start(ground: &BenchStore, count: usize, batch: usize) -> anyhow::Result<Workers> {
        let nothing = Nothing::new(ground.store.now().await?)?;
        let policy = Policy::new("default", Terms::default())?;
        let mut workers =
            Workers { engines: Vec::new(), metrics: Vec::new(), nothing: nothing.clone() };
        for worker in 0..count {
            let store =
                if worker == 0 { ground.store.clone() } else { ground.another_store().await? };
            let action =
                Subscription { batch, ..Subscription::new("nothing".parse()?, nothing.clone()) };
            let metrics = Arc::new(Metrics::default());
            let engine = Engine::builder(store)
                .policy(policy.clone())
                .action(action)
                .batch(batch)
                .metrics(metrics.clone());
            workers.engines.push(engine.start());
            workers.metrics.push(metrics);
        }
        Ok(workers)
    }

    /// How much work was done twice: receipts that lost against another worker's, in per cent of
    /// `orders`.
    #[must_use]
    pub fn duplicates_percent(&self, orders: usize) -> f64 {
        let lost = |metrics: &Arc<Metrics>| metrics.conflicts_of("timer");
        self.metrics.iter().map(lost).sum::<u64>() as f64 * 100.0 / orders.max(1) as f64
    }

    /// Waits until `orders` were attempted and every entry is settled.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn drain(
        &self,
        ground: &BenchStore,
        orders: u64,
        progress: &ProgressBar,
    ) -> anyhow::Result<()> {
        while self.nothing.attempted() < orders {
            progress.set_position(self.nothing.attempted());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while ground.store.stats().await?.actions.iter().any(|action| action.pending > 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Stops them.
    pub async fn stop(self) {
        for engine in self.engines {
            engine.stop(Duration::from_secs(5)).await;
        }
    }
}

/// Processor seconds used so far.
pub struct Cpu {
    own: f64,
    redis: Option<f64>,
}

impl Cpu {
    /// What this process, and Redis where it is one, used so far.
    ///
    /// # Errors
    /// Where Redis does not answer.
    pub async fn read(ground: &BenchStore) -> anyhow::Result<Cpu> {
        let redis = match &ground.redis_url {
            Some(url) => Some(cpu::redis_seconds(url).await?),
            None => None,
        };
        Ok(Cpu { own: cpu::own_seconds(), redis })
    }

    /// What was used since then, in seconds multiplied by `factor`.
    ///
    /// # Errors
    /// Where Redis does not answer.
    pub async fn since(&self, ground: &BenchStore, factor: f64) -> anyhow::Result<Value> {
        let now = Cpu::read(ground).await?;
        let redis = now.redis.zip(self.redis).map(|(now, then)| (now - then) * factor);
        let own = (now.own - self.own) * factor;
        Ok(json!({"own": own, "redis": redis, "total": own + redis.unwrap_or(0.0)}))
    }
}
