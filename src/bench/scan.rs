//! The effect of the intake's scan on other clients: the latency of GET with and without a scan
//! over a million foreign keys. Also checks that no foreign key changes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use autoreceive_domain::{Policy, Terms};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

use super::bench_store::BenchStore;
use super::histogram;
use super::takeover::shop;
use crate::engine::Engine;
use crate::intake::{self, CountFrom, Intake};
use crate::telemetry::Telemetry;

/// The benchmark of the intake's scan.
pub struct Scan {
    /// Foreign keys.
    pub keys: usize,
    /// Duration of each half of a round: one without a scan, one with scans without a pause.
    pub seconds: u64,
    /// Number of rounds.
    pub rounds: u32,
}

/// Keys that are written or read at once.
const STEP: usize = 1_000;

impl Scan {
    /// Measures on `target`, which must be a Redis.
    ///
    /// # Errors
    /// If it is not a Redis, or does not answer.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let url = target
            .redis_url
            .as_deref()
            .context("this benchmark needs a Redis: --store redis://127.0.0.1:6379/0")?;
        let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let prefix = format!("foreign-{:08x}:", rand::random::<u32>());
        self.fill(&mut redis, &prefix, progress).await?;
        let measured = self.measure(target, url, &mut redis, &prefix).await;
        for first in (0..self.keys).step_by(STEP) {
            let keys: Vec<String> =
                (first..(first + STEP).min(self.keys)).map(|i| format!("{prefix}{i}")).collect();
            let () = redis::cmd("UNLINK").arg(keys).query_async(&mut redis).await?;
        }
        measured
    }

    async fn fill(
        &self,
        redis: &mut MultiplexedConnection,
        prefix: &str,
        progress: &ProgressBar,
    ) -> anyhow::Result<()> {
        progress.set_length(self.keys as u64);
        for first in (0..self.keys).step_by(STEP) {
            let mut pipe = redis::Pipeline::new();
            for i in first..(first + STEP).min(self.keys) {
                let key = format!("{prefix}{i}");
                // One in fifty is a hash, one in fifty a list, the others are texts.
                match i % 50 {
                    7 => pipe.cmd("HSET").arg(key).arg("field").arg(i).ignore(),
                    8 => pipe.cmd("RPUSH").arg(key).arg(i).ignore(),
                    _ => pipe.cmd("SET").arg(key).arg(format!("{i:064}")).ignore(),
                };
            }
            let () = pipe.query_async(redis).await?;
            progress.inc(STEP as u64);
        }
        Ok(())
    }

    async fn measure(
        &self,
        target: &BenchStore,
        url: &str,
        redis: &mut MultiplexedConnection,
        prefix: &str,
    ) -> anyhow::Result<Value> {
        let before = self.digest(redis, prefix).await?;
        let telemetry = Telemetry::default();
        let policy = Policy::new("default", Terms::default())?;
        let engine = Engine::builder(target.store.clone())
            .policy(policy.clone())
            .metrics(telemetry.engine.clone())
            .start();
        let settings = intake::IntakeSettings {
            scan_every: Duration::from_secs(30),
            notifications: false,
            set_notifications: false,
            count_from: CountFrom::Payment,
            policy,
        };
        let intake = Intake::new(Arc::new(shop(url)?), settings, engine.clone(), telemetry.intake);
        let mut quiet = histogram()?;
        let mut scanning = histogram()?;
        let mut scans = Vec::new();
        for _ in 0..self.rounds {
            quiet.add(self.gets(url, prefix).await?)?;
            let scan = async {
                loop {
                    scans.push(intake.scan().await.map_err(anyhow::Error::msg)?.seconds);
                }
            };
            scanning.add(tokio::select! {
                gets = self.gets(url, prefix) => gets?,
                failed = scan => return failed,
            })?;
        }
        ensure!(self.digest(redis, prefix).await? == before, "a foreign key was changed");
        engine.stop(Duration::from_secs(5)).await;
        let rise = scanning.value_at_quantile(0.99) as f64 - quiet.value_at_quantile(0.99) as f64;
        Ok(json!({
            "bench": "scan",
            "store": target.name,
            "keys": self.keys,
            "rounds": self.rounds,
            "get_ms": {"quiet": figures(&quiet), "scanning": figures(&scanning)},
            "p99_rise_ms": rise / 1_000.0,
            "scans": scans.len(),
            "scan_seconds": scans.iter().copied().reduce(f64::max),
            "foreign_keys_changed": 0,
        }))
    }

    /// Another client that reads one key after another, on its own thread: timers of one runtime
    /// fire together, so each GET would be sent at the same moment as a step of the scan.
    async fn gets(&self, url: &str, prefix: &str) -> anyhow::Result<Histogram<u64>> {
        let mut redis = redis::Client::open(url)?.get_connection()?;
        let keys = self.keys.max(1);
        let seconds = self.seconds;
        let prefix = prefix.to_owned();
        let mut micros = histogram()?;
        let asked = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(seconds) {
                let key = format!("{prefix}{}", rand::random::<u64>() as usize % keys / 50 * 50);
                let start = Instant::now();
                let _: Option<String> = redis::cmd("GET").arg(key).query(&mut redis)?;
                micros.saturating_record(
                    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
                );
                std::thread::sleep(Duration::from_millis(1));
            }
            redis::RedisResult::Ok(micros)
        });
        Ok(asked.await??)
    }

    /// A hash sum over all foreign keys and their values.
    async fn digest(&self, redis: &mut MultiplexedConnection, prefix: &str) -> anyhow::Result<u64> {
        let mut sum = 0_u64;
        for first in (0..self.keys).step_by(STEP) {
            let mut pipe = redis::Pipeline::new();
            for i in first..(first + STEP).min(self.keys) {
                pipe.cmd("DUMP").arg(format!("{prefix}{i}"));
            }
            let held: Vec<Option<Vec<u8>>> = pipe.query_async(redis).await?;
            for (i, held) in (first..).zip(held) {
                ensure!(held.is_some(), "the foreign key {prefix}{i} was removed");
                let mut hasher = DefaultHasher::new();
                (i, held).hash(&mut hasher);
                sum = sum.wrapping_add(hasher.finish());
            }
        }
        Ok(sum)
    }
}

fn figures(micros: &Histogram<u64>) -> Value {
    let at = |q: f64| micros.value_at_quantile(q) as f64 / 1_000.0;
    json!({
        "p50": at(0.5),
        "p99": at(0.99),
        "max": micros.max() as f64 / 1_000.0,
        "count": micros.len(),
    })
}
