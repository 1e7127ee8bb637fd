//! Many orders due at one instant: how fast they are received and attempted, how late, and what others feel of it.

use std::time::{Duration, Instant};

use autoreceive_domain::Span;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::ground::{Filling, Ground};
use super::histogram;
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

/// How fast orders are filled in, at worst; the instant at which all fall due lies so far ahead.
const FILLED_PER_SECOND: usize = 20_000;

impl Herd {
    /// Measures on `ground` and returns the figures.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn run(&self, ground: &Ground, progress: &ProgressBar) -> anyhow::Result<Value> {
        let filling = Span::from_secs((self.orders / FILLED_PER_SECOND) as i64 + 2);
        let deadline = ground.store.heads().await?.now.after(filling);
        ground.fill(Filling { from: 0, count: self.orders, deadline: &|_| deadline, data: 0 }, progress).await?;
        let workers = Workers::start(ground, self.workers, self.batch).await?;
        let pings = Pings::start(ground.redis_url.clone());
        let wait = deadline.since(ground.store.heads().await?.now).to_std();
        anyhow::ensure!(!wait.is_zero(), "the store took the orders too slowly; they were due before the measurement began");
        tokio::time::sleep(wait).await;
        let (start, cpu) = (Instant::now(), Cpu::read(ground).await?);
        workers.drain(ground, self.orders as u64, progress).await?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu.since(ground, 100_000.0 / self.orders as f64).await?;
        let (ping_ms, lag_ms) = (pings.stop().await, workers.nothing.lag_ms());
        workers.stop().await;
        Ok(json!({
            "bench": "herd", "store": ground.name, "orders": self.orders, "workers": self.workers, "batch": self.batch,
            "seconds": seconds, "orders_per_second": self.orders as f64 / seconds, "lag_ms": lag_ms,
            "cpu_seconds_per_100k": cpu, "ping_ms": ping_ms,
        }))
    }
}

/// Another client that does nothing but ask the server whether it is there.
struct Pings {
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<anyhow::Result<Histogram<u64>>>>,
}

impl Pings {
    fn start(url: Option<String>) -> Pings {
        let stop = CancellationToken::new();
        let task = url.map(|url| tokio::spawn(ping(url, stop.clone())));
        Pings { stop, task }
    }

    /// Percentiles in milliseconds; nothing where there is no server to ask.
    async fn stop(self) -> Option<Value> {
        self.stop.cancel();
        let micros = self.task?.await.ok()?.ok()?;
        let at = |q: f64| micros.value_at_quantile(q) as f64 / 1_000.0;
        Some(json!({"p50": at(0.5), "p99": at(0.99), "max": micros.max() as f64 / 1_000.0, "count": micros.len()}))
    }
}

async fn ping(url: String, stop: CancellationToken) -> anyhow::Result<Histogram<u64>> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut micros = histogram()?;
    while !stop.is_cancelled() {
        let start = Instant::now();
        let () = redis::cmd("PING").query_async(&mut connection).await?;
        micros.saturating_record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(micros)
}
