//! The copied pattern and this program beside each other: the same shop, the same orders at the
//! same moments, two instances of each, of which one is killed now and then. What went wrong is
//! counted.
//!
//! | module | is |
//! |---|---|
//! | [`tally`] | what went wrong, from what the shop saw and what was done |
//! | [`sides`] | two instances of the one and of the other |

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::bench_store::BenchStore;
use super::pattern::{STATUS, TRIGGER};
use super::shop::Play;

mod sides;
pub mod tally;

pub(super) use sides::shop;
use sides::{Actions, Ours, Pattern, Side};
use tally::{Done, Tally};

/// How long after the last kill both sides have to catch up: a worker of ours is missed by the
/// others after five seconds.
const SETTLE: Duration = Duration::from_secs(7);

/// What is compared.
pub struct Takeover {
    /// How many orders there are.
    pub orders: usize,
    /// How long after its payment an order is to be received: 24 hours in a shop.
    pub window: Duration,
    /// The pattern's pause between two sweeps (30 minutes in a shop), and ours between two scans.
    pub every: Duration,
    /// How often one of the two instances is killed.
    pub kills: u32,
    /// How long an order's post-receive actions take: the database, the points, the message.
    pub action: Duration,
    /// Whether the server tells of changed keys.
    pub notifications: bool,
}

impl Takeover {
    /// Compares on `ground`, which must be a Redis.
    ///
    /// # Errors
    /// Where it is none, has such keys already, or does not answer.
    pub async fn run(&self, ground: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let url = ground
            .redis_url
            .as_deref()
            .context("two shops are compared on a Redis: --store redis://127.0.0.1:6379/0")?;
        ensure!(
            keys(url).await?.is_empty(),
            "{} has keys of a shop ({STATUS}*, {TRIGGER}*); use a database without",
            ground.name
        );
        let flags = set_flags(url, if self.notifications { "K$" } else { "" }).await?;
        let compared = self.both(ground, url, progress).await;
        set_flags(url, &flags).await?;
        remove_keys(url).await?;
        let (pattern, ours) = compared?;
        Ok(json!({
            "bench": "takeover", "store": ground.name, "orders": self.orders, "window_ms": self.window.as_millis() as u64,
            "every_ms": self.every.as_millis() as u64, "action_ms": self.action.as_millis() as u64, "kills": self.kills, "notifications": self.notifications,
            "pattern": pattern.figures(), "autoreceive": ours.figures(),
        }))
    }

    async fn both(
        &self,
        ground: &BenchStore,
        url: &str,
        progress: &ProgressBar,
    ) -> anyhow::Result<(Tally, Tally)> {
        let play = Play {
            orders: self.orders,
            over: self.over(),
            window: self.window,
            seed: rand::random(),
        };
        progress.set_length(2);
        let pattern =
            self.one(&play, url, |actions| Pattern::new(url, self.every, actions)).await?;
        progress.inc(1);
        remove_keys(url).await?;
        let ours = self
            .one(&play, url, |actions| Ours::new(url, ground.config.clone(), self, actions))
            .await?;
        progress.inc(1);
        Ok((pattern, ours))
    }

    /// At most 2,000 orders are initiated in a second.
    fn over(&self) -> Duration {
        Duration::from_secs_f64(self.orders as f64 / 2_000.0).max(self.window / 2)
    }

    /// One side: two instances, one of which is killed and started again, until everything should
    /// be done.
    async fn one<S: Side>(
        &self,
        play: &Play,
        url: &str,
        side: impl FnOnce(Actions) -> anyhow::Result<S>,
    ) -> anyhow::Result<Tally> {
        let done = Done::default();
        let side = Arc::new(side(Actions { take: self.action, done: done.clone() })?);
        let stop = CancellationToken::new();
        // The last payment comes half a window after the last order; a whole sweep and a moment
        // more is time enough.
        let all = play.over + play.window.mul_f64(1.8) + 2 * self.every + Duration::from_secs(2);
        let killing = tokio::spawn(kill_now_and_then(side.clone(), self.kills, all, stop.clone()));
        let address = address(url)?;
        let lives = play.run(&address, &stop).await;
        stop.cancel();
        killing.await??;
        Ok(Tally::of(&lives?, &done, play.window))
    }
}

/// Keeps two instances running until `all` is over, one of which is killed `kills` times at even
/// distances.
async fn kill_now_and_then<S: Side>(
    side: Arc<S>,
    kills: u32,
    all: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (mut first, second) = (side.start()?, side.start()?);
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
        "a server without a password, and its database 0, are expected"
    );
    Ok(format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(6_379)))
}

async fn connect(url: &str) -> anyhow::Result<redis::aio::MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}

/// The keys of shops: those of the pattern, and the marks beside them.
async fn keys(url: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let (mut redis, mut keys) = (connect(url).await?, Vec::new());
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

/// Sets the flags, and returns those that were set.
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
