//! The workers of a benchmark, and the processor time that they and Redis use.

use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::{Policy, Terms};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::BenchStore;
use super::cpu;
use super::noop::NoopAction;
use crate::action::Subscription;
use crate::engine::{Engine, Metrics};

/// Engines on one store, and the action that does nothing.
pub struct Workers {
    engines: Vec<Engine>,
    metrics: Vec<Arc<Metrics>>,
    /// The action that counts attempts.
    pub noop: NoopAction,
}

impl Workers {
    /// Starts `count` workers with batches of `batch` orders.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn start(target: &BenchStore, count: usize, batch: usize) -> anyhow::Result<Workers> {
        let noop = NoopAction::new(target.store.now().await?)?;
        let policy = Policy::new("default", Terms::default())?;
        let mut workers = Workers { engines: Vec::new(), metrics: Vec::new(), noop: noop.clone() };
        for worker in 0..count {
            let store =
                if worker == 0 { target.store.clone() } else { target.another_store().await? };
            let action = Subscription { batch, ..Subscription::new("noop".parse()?, noop.clone()) };
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

    /// Receipts that lost against another worker's, in per cent of `orders`.
    #[must_use]
    pub fn duplicates_percent(&self, orders: usize) -> f64 {
        let lost = |metrics: &Arc<Metrics>| metrics.conflicts_of("timer");
        self.metrics.iter().map(lost).sum::<u64>() as f64 * 100.0 / orders.max(1) as f64
    }

    /// Waits until `orders` events were attempted and every entry is settled.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn drain(
        &self,
        target: &BenchStore,
        orders: u64,
        progress: &ProgressBar,
    ) -> anyhow::Result<()> {
        while self.noop.attempted() < orders {
            progress.set_position(self.noop.attempted());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while target.store.stats().await?.actions.iter().any(|action| action.pending > 0) {
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
    /// The processor time of this process and of Redis, if the store is on Redis.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn read(target: &BenchStore) -> anyhow::Result<Cpu> {
        let redis = match &target.redis_url {
            Some(url) => Some(cpu::redis_seconds(url).await?),
            None => None,
        };
        Ok(Cpu { own: cpu::own_seconds(), redis })
    }

    /// The processor time since then, in seconds multiplied by `factor`.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn since(&self, target: &BenchStore, factor: f64) -> anyhow::Result<Value> {
        let now = Cpu::read(target).await?;
        let redis = now.redis.zip(self.redis).map(|(now, then)| (now - then) * factor);
        let own = (now.own - self.own) * factor;
        Ok(json!({"own": own, "redis": redis, "total": own + redis.unwrap_or(0.0)}))
    }
}
