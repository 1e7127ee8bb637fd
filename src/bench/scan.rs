//! What the intake's scan costs the others: the time that a GET takes while a million foreign keys
//! are walked over, and while they are not; and that nothing foreign is changed by it.

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

/// What is measured.
pub struct Scan {
    /// How many foreign keys there are.
    pub keys: usize,
    /// How long each half of a round lasts: one without a scan, one with scans that follow each
    /// other without a pause.
    pub seconds: u64,
    /// How many rounds there are.
    pub rounds: u32,
}

/// How many keys are written or read at once.
const STEP: usize = 1_000;

impl Scan {
    /// Measures on `ground`, which must be a Redis.
    ///
    /// # Errors
    /// Where it is none, or does not answer.
    pub async fn run(&self, ground: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let url = ground
            .redis_url
            .as_deref()
            .context("a scan is measured on a Redis: --store redis://127.0.0.1:6379/0")?;
        let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let prefix = format!("foreign-{:08x}:", rand::random::<u32>());
        self.fill(&mut redis, &prefix, progress).await?;
        let measured = self.measure(ground, url, &mut redis, &prefix).await;
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
                // One in fifty is a hash, one a list; the others are texts like a session's.
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
        ground: &BenchStore,
        url: &str,
        redis: &mut MultiplexedConnection,
        prefix: &str,
    ) -> anyhow::Result<Value> {
        let before = self.digest(redis, prefix).await?;
        let (telemetry, policy) = (Telemetry::default(), Policy::new("default", Terms::default())?);
        let engine = Engine::builder(ground.store.clone())
            .policy(policy.clone())
            .metrics(telemetry.engine.clone())
            .start();
        let settings = intake::Settings {
            scan_every: Duration::from_secs(30),
            notifications: false,
            set_notifications: false,
            count_from: CountFrom::Payment,
            policy,
        };
        let intake = Intake::new(Arc::new(shop(url)?), settings, engine.clone(), telemetry.intake);
        let (mut quiet, mut scanning, mut scans) = (histogram()?, histogram()?, Vec::new());
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
            "bench": "scan", "store": ground.name, "keys": self.keys, "rounds": self.rounds, "get_ms": {"quiet": figures(&quiet), "scanning": figures(&scanning)},
            "p99_rise_ms": rise / 1_000.0, "scans": scans.len(), "scan_seconds": scans.iter().copied().reduce(f64::max),
            "foreign_keys_changed": 0,
        }))
    }

    /// Another client that asks for one key after another, in a thread of its own: timers of one
    /// runtime fire together, and so each GET would be sent in the same moment as a step of the
    /// scan.
    async fn gets(&self, url: &str, prefix: &str) -> anyhow::Result<Histogram<u64>> {
        let mut redis = redis::Client::open(url)?.get_connection()?;
        let (keys, seconds, prefix, mut micros) =
            (self.keys.max(1), self.seconds, prefix.to_owned(), histogram()?);
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

    /// A sum over all foreign keys and what they hold.
    async fn digest(&self, redis: &mut MultiplexedConnection, prefix: &str) -> anyhow::Result<u64> {
        let mut sum = 0_u64;
        for first in (0..self.keys).step_by(STEP) {
            let mut pipe = redis::Pipeline::new();
            for i in first..(first + STEP).min(self.keys) {
                pipe.cmd("DUMP").arg(format!("{prefix}{i}"));
            }
            let held: Vec<Option<Vec<u8>>> = pipe.query_async(redis).await?;
            for (i, held) in (first..).zip(held) {
                ensure!(held.is_some(), "the foreign key {prefix}{i} is gone");
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
    json!({"p50": at(0.5), "p99": at(0.99), "max": micros.max() as f64 / 1_000.0, "count": micros.len()})
}
