//! Compares the copied pattern with this program: the same shop, the same orders at the same
//! moments, two instances of each. One instance is killed several times. The errors are counted.
//!
//! | module | holds |
//! |---|---|
//! | [`tally`] | counts errors from the statuses that the shop saw and the executed actions |
//! | [`sides`] | instances of the pattern and of this program |

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::bench_store::BenchStore;
use super::pattern::{STATUS, TRIGGER};
use super::shop::Scenario;

mod sides;
pub mod tally;

pub(super) use sides::shop;
use sides::{Ours, Pattern, PostReceiveActions, Side};
use tally::{Done, Tally};

/// The time to catch up after the last kill. Our workers detect a dead worker after at most five
/// seconds.
const SETTLE: Duration = Duration::from_secs(7);

/// The comparison with the copied pattern.
pub struct TakeoverBench {
    /// Number of orders.
    pub orders: usize,
    /// The time from the payment to the receipt: 24 hours in a shop.
    pub window: Duration,
    /// The pause between two runs of the pattern's job (30 minutes in a shop), and between two of
    /// our scans.
    pub every: Duration,
    /// How often one of the two instances is killed.
    pub kills: u32,
    /// Duration of an order's post-receive actions: the database, the points, the message.
    pub action: Duration,
    /// Whether the server publishes changed keys.
    pub notifications: bool,
}

impl TakeoverBench {
    /// Compares on `target`, which must be a Redis.
    ///
    /// # Errors
    /// If it is not a Redis, has such keys already, or does not answer.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let url = target
            .redis_url
            .as_deref()
            .context("this benchmark needs a Redis: --store redis://127.0.0.1:6379/0")?;
        ensure!(
            keys(url).await?.is_empty(),
            "{} has keys of a shop ({STATUS}*, {TRIGGER}*); use an empty database",
            target.name
        );
        let flags = set_flags(url, if self.notifications { "K$" } else { "" }).await?;
        let compared = self.both(target, url, progress).await;
        set_flags(url, &flags).await?;
        remove_keys(url).await?;
        let (pattern, ours) = compared?;
        Ok(json!({
            "bench": "takeover",
            "store": target.name,
            "orders": self.orders,
            "window_ms": self.window.as_millis() as u64,
            "every_ms": self.every.as_millis() as u64,
            "action_ms": self.action.as_millis() as u64,
            "kills": self.kills,
            "notifications": self.notifications,
            "pattern": pattern.figures(),
            "autoreceive": ours.figures(),
        }))
    }

    async fn both(
        &self,
        target: &BenchStore,
        url: &str,
        progress: &ProgressBar,
    ) -> anyhow::Result<(Tally, Tally)> {
        let scenario = Scenario {
            orders: self.orders,
            over: self.over(),
            window: self.window,
            seed: rand::random(),
        };
        progress.set_length(2);
        let pattern =
            self.one(&scenario, url, |actions| Pattern::new(url, self.every, actions)).await?;
        progress.inc(1);
        remove_keys(url).await?;
        let ours = self
            .one(&scenario, url, |actions| Ours::new(url, target.config.clone(), self, actions))
            .await?;
        progress.inc(1);
        Ok((pattern, ours))
    }

    /// At most 2,000 orders are initiated per second.
    fn over(&self) -> Duration {
        Duration::from_secs_f64(self.orders as f64 / 2_000.0).max(self.window / 2)
    }

    /// Runs two instances of one side and kills and restarts one of them, until all orders should
    /// be done.
    async fn one<S: Side>(
        &self,
        scenario: &Scenario,
        url: &str,
        side: impl FnOnce(PostReceiveActions) -> anyhow::Result<S>,
    ) -> anyhow::Result<Tally> {
        let done = Done::default();
        let side = Arc::new(side(PostReceiveActions { take: self.action, done: done.clone() })?);
        let stop = CancellationToken::new();
        // The last payment comes half a window after the last order. Then two runs of the job and
        // two seconds are enough.
        let all =
            scenario.over + scenario.window.mul_f64(1.8) + 2 * self.every + Duration::from_secs(2);
        let killing = tokio::spawn(kill_now_and_then(side.clone(), self.kills, all, stop.clone()));
        let address = address(url)?;
        let lives = scenario.run(&address, &stop).await;
        stop.cancel();
        killing.await??;
        Ok(Tally::of(&lives?, &done, scenario.window))
    }
}

/// Keeps two instances running until `all` is over. One is killed `kills` times, at regular
/// intervals.
async fn kill_now_and_then<S: Side>(
    side: Arc<S>,
    kills: u32,
    all: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut first = side.start()?;
    let second = side.start()?;
    for _ in 0..kills {
        tokio::time::sleep(all / (kills + 1)).await;
        side.kill(first);
        first = side.start()?;
    }
    tokio::time::sleep(all / (kills + 1) + SETTLE).await;
    side.kill(first);
    side.kill(second);
    stop.cancel();
    Ok(())
}

fn address(url: &str) -> anyhow::Result<String> {
    let url = reqwest::Url::parse(url)?;
    ensure!(
        matches!(url.path(), "" | "/" | "/0") && url.password().is_none(),
        "--store: expected database 0 of a server without a password"
    );
    Ok(format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(6_379)))
}

async fn connect(url: &str) -> anyhow::Result<redis::aio::MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}

/// The keys of shops: those of the pattern, and the intake's marks.
async fn keys(url: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut redis = connect(url).await?;
    let mut keys = Vec::new();
    for pattern in
        [format!("{STATUS}*"), format!("{TRIGGER}*"), format!("autoreceive:mark:{{{STATUS}*")]
    {
        let mut cursor = 0_u64;
        loop {
            let page: (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(1_000)
                .query_async(&mut redis)
                .await?;
            keys.extend(page.1);
            cursor = page.0;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(keys)
}

async fn remove_keys(url: &str) -> anyhow::Result<()> {
    let mut redis = connect(url).await?;
    for part in keys(url).await?.chunks(1_000) {
        let () = redis::cmd("UNLINK").arg(part).query_async(&mut redis).await?;
    }
    Ok(())
}

/// Sets the notification flags, and returns the previous ones.
async fn set_flags(url: &str, flags: &str) -> anyhow::Result<String> {
    let mut redis = connect(url).await?;
    let before: Vec<String> = redis::cmd("CONFIG")
        .arg("GET")
        .arg("notify-keyspace-events")
        .query_async(&mut redis)
        .await?;
    let () = redis::cmd("CONFIG")
        .arg("SET")
        .arg("notify-keyspace-events")
        .arg(flags)
        .query_async(&mut redis)
        .await?;
    Ok(before.into_iter().nth(1).unwrap_or_default())
}
