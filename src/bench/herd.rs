//! Many orders due at one instant: how fast they are received and attempted, how late, and what others feel of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use autoreceive_domain::{Policy, Span, Terms};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::cpu;
use super::ground::{Ground, Nothing};
use crate::action::Subscription;
use crate::engine::{Engine, Settings};
use crate::telemetry::Metrics;

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
        let filling = Span::from_secs((self.orders / FILLED_PER_SECOND) as i64 + 1);
        let deadline = ground.store.heads().await?.now.after(filling);
        ground.fill(0, self.orders, |_| deadline, progress).await?;
        let nothing = Nothing::new(deadline);
        let wait = deadline.since(ground.store.heads().await?.now).to_std();
        let due_at = Instant::now() + wait;
        tokio::time::sleep(wait.saturating_sub(Duration::from_millis(300))).await;
        let pings = Pings::start(ground.redis_url.clone());
        let engines: Vec<Engine> = (0..self.workers).map(|_| self.engine(ground, &nothing)).collect::<anyhow::Result<_>>()?;
        tokio::time::sleep_until(due_at.into()).await;
        let before = Cpu::read(ground).await?;
        let seconds = self.drain(ground, &nothing, due_at, progress).await?;
        let used = Cpu::read(ground).await?.since(&before, self.orders);
        let pings = pings.stop().await;
        for engine in engines {
            engine.stop(Duration::from_secs(5)).await;
        }
        Ok(self.figures(ground, &nothing, seconds, &used, pings))
    }

    fn engine(&self, ground: &Ground, nothing: &Nothing) -> anyhow::Result<Engine> {
        let action = Subscription { batch: self.batch, ..Subscription::new("nothing", nothing.clone()) };
        let settings = Settings { batch: self.batch, ..Settings::default() };
        let policy = Policy::new("default", Terms::default())?;
        Ok(Engine::start(ground.store.clone(), [policy], vec![action], settings, Arc::new(Metrics::default())))
    }

    /// Waits until every order was attempted and every entry settled. Returns the seconds since they fell due.
    async fn drain(&self, ground: &Ground, nothing: &Nothing, due_at: Instant, progress: &ProgressBar) -> anyhow::Result<f64> {
        progress.reset();
        while nothing.attempted() < self.orders as u64 {
            progress.set_position(nothing.attempted());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while ground.store.stats().await?.actions.iter().any(|action| action.pending > 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(due_at.elapsed().as_secs_f64())
    }

    fn figures(&self, ground: &Ground, nothing: &Nothing, seconds: f64, used: &Cpu, pings: Option<Value>) -> Value {
        let lags = nothing.lags_ms();
        json!({
            "bench": "herd",
            "store": ground.name,
            "orders": self.orders,
            "workers": self.workers,
            "batch": self.batch,
            "seconds": seconds,
            "orders_per_second": self.orders as f64 / seconds,
            "lag_ms": percentiles(&lags),
            "attempted": nothing.attempted(),
            "own_cpu_seconds_per_100k": used.own,
            "redis_cpu_seconds_per_100k": used.redis,
            "ping_ms": pings,
        })
    }
}

/// The usual percentiles of sorted values.
#[must_use]
pub fn percentiles<T: Copy + Into<i64>>(sorted: &[T]) -> Value {
    let at = |q: f64| sorted.get(((sorted.len().saturating_sub(1)) as f64 * q).round() as usize).copied().map(Into::into);
    json!({"min": at(0.0), "p50": at(0.5), "p99": at(0.99), "max": at(1.0)})
}

/// Processor seconds; after [`Cpu::since`], for each 100,000 orders.
struct Cpu {
    own: f64,
    redis: Option<f64>,
}

impl Cpu {
    async fn read(ground: &Ground) -> anyhow::Result<Cpu> {
        let redis = match &ground.redis_url {
            Some(url) => Some(cpu::redis_seconds(url).await?),
            None => None,
        };
        Ok(Cpu { own: cpu::own_seconds(), redis })
    }

    fn since(&self, before: &Cpu, orders: usize) -> Cpu {
        let per_100k = |now: f64, then: f64| (now - then) * 100_000.0 / orders as f64;
        Cpu { own: per_100k(self.own, before.own), redis: self.redis.zip(before.redis).map(|(now, then)| per_100k(now, then)) }
    }
}

/// Another client that does nothing but ask the server whether it is there.
struct Pings {
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<anyhow::Result<Vec<i64>>>>,
}

impl Pings {
    fn start(url: Option<String>) -> Pings {
        let stop = CancellationToken::new();
        let task = url.map(|url| tokio::spawn(ping(url, stop.clone())));
        Pings { stop, task }
    }

    /// Percentiles in milliseconds.
    async fn stop(self) -> Option<Value> {
        self.stop.cancel();
        let mut micros = self.task?.await.ok()?.ok()?;
        micros.sort_unstable();
        let at = |q: f64| micros.get(((micros.len().saturating_sub(1)) as f64 * q) as usize).map(|&us| us as f64 / 1_000.0);
        Some(json!({"p50": at(0.5), "p99": at(0.99), "max": at(1.0), "count": micros.len()}))
    }
}

async fn ping(url: String, stop: CancellationToken) -> anyhow::Result<Vec<i64>> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut micros = Vec::new();
    while !stop.is_cancelled() {
        let start = Instant::now();
        let () = redis::cmd("PING").query_async(&mut connection).await?;
        micros.push(i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(micros)
}
