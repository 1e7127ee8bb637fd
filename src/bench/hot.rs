//! The effect of one hot order on the others of its shard. All orders are in one shard and several
//! workers share the store. Every worker changes the hot order all the time, so that commits
//! conflict.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use autoreceive_domain::{Command, OrderId, Place, Policy, Span, Terms};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::bench_store::BenchStore;
use super::{histogram, percentiles_ms};
use crate::engine::Engine;
use crate::store::Store;

/// The shard of all orders.
const SHARD: u16 = 0;
/// Commands on the hot order that each worker has in flight.
const HOT_IN_FLIGHT: usize = 4;

/// The benchmark of a hot order.
pub struct Hot {
    /// Orders besides the hot one.
    pub orders: usize,
    /// Workers that share the store.
    pub workers: usize,
    /// Duration of each half of the benchmark.
    pub seconds: u64,
}

impl Hot {
    /// Measures on `target`, first without the hot order and then with it. Returns the duration of
    /// commands on the other orders.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let mut engines = Vec::new();
        for worker in 0..self.workers {
            let store =
                if worker == 0 { target.store.clone() } else { target.another_store().await? };
            engines.push(start(store)?);
        }
        let first = engines.first().context("no worker")?;
        let ids = place(first, &target.store, self.orders + 1).await?;
        let (hot, others) = ids.split_first().context("no orders")?;
        let calm = self.half(&engines, None, others, progress).await?;
        let busy = self.half(&engines, Some(hot), others, progress).await?;
        for engine in engines {
            engine.stop(Duration::from_secs(5)).await;
        }
        Ok(json!({
            "bench": "hot",
            "store": target.name,
            "orders": self.orders,
            "workers": self.workers,
            "without_ms": percentiles_ms(&calm),
            "with_hot_ms": percentiles_ms(&busy),
        }))
    }

    async fn half(
        &self,
        engines: &[Engine],
        hot: Option<&OrderId>,
        others: &[OrderId],
        progress: &ProgressBar,
    ) -> anyhow::Result<Histogram<u64>> {
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let done = Arc::new(AtomicBool::new(false));
        let mut heating = JoinSet::new();
        for engine in engines {
            for _ in 0..hot.map_or(0, |_| HOT_IN_FLIGHT) {
                let id = hot.context("no hot order")?.clone();
                heating.spawn(heat(engine.clone(), id, done.clone()));
            }
        }
        let mut clients = JoinSet::new();
        for (i, id) in others.iter().enumerate() {
            let engine = engines.get(i % engines.len()).context("no worker")?.clone();
            clients.spawn(extend(engine, id.clone(), until, progress.clone()));
        }
        let mut micros = histogram()?;
        while let Some(client) = clients.join_next().await {
            micros.add(client??)?;
        }
        done.store(true, Ordering::Relaxed);
        while let Some(heated) = heating.join_next().await {
            heated??;
        }
        Ok(micros)
    }
}

fn start(store: Arc<dyn Store>) -> anyhow::Result<Engine> {
    let terms = Terms {
        max_extensions: u32::MAX,
        extend_by: Span::from_ms(1),
        receive_after: Span::from_hours(24 * 365),
        ..Terms::default()
    };
    Ok(Engine::builder(store).policy(Policy::new("default", terms)?).start())
}

/// Places and pays `count` orders of one shard.
async fn place(
    engine: &Engine,
    store: &Arc<dyn Store>,
    count: usize,
) -> anyhow::Result<Vec<OrderId>> {
    let mut ids = Vec::with_capacity(count);
    for i in 0.. {
        let id: OrderId = format!("hot{i:015}").parse()?;
        if store.about().shards.of(&id) != SHARD {
            continue;
        }
        engine.submit(id.clone(), Place::new().into()).await?;
        engine.submit(id.clone(), Command::Pay { at: None }).await?;
        ids.push(id);
        if ids.len() == count {
            break;
        }
    }
    Ok(ids)
}

/// Extends an order all the time. After a lost race it continues with the other worker's number.
async fn heat(engine: Engine, id: OrderId, done: Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut number = 1;
    while !done.load(Ordering::Relaxed) {
        // A command that lost every race is sent again.
        if let Ok(reply) = engine.submit(id.clone(), Command::Extend { number }).await {
            number = reply.order.map_or(number, |(order, _)| order.extensions + 1);
        }
    }
    Ok(())
}

/// Extends its own order, and returns the duration of each command, in microseconds.
async fn extend(
    engine: Engine,
    id: OrderId,
    until: Instant,
    progress: ProgressBar,
) -> anyhow::Result<Histogram<u64>> {
    let mut micros = histogram()?;
    let mut number = 1;
    while Instant::now() < until {
        let begun = Instant::now();
        let reply = engine.submit(id.clone(), Command::Extend { number }).await?;
        micros.record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX))?;
        number = reply.order.map_or(number, |(order, _)| order.extensions + 1);
        progress.inc(1);
    }
    Ok(micros)
}
