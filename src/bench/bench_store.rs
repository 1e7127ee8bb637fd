//! Where a measurement takes place: a store of its own, never one that holds orders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use autoreceive_domain::decide::decide_place;
use autoreceive_domain::words::Data;
use autoreceive_domain::{Decision, EventKind, OrderId, Place, Policy, Span, Terms, Time};
use futures_util::{TryStreamExt, stream};
use indicatif::ProgressBar;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use super::pattern::{STATUS, TRIGGER};
use crate::app;
use crate::config::{StoreAddress, StoreConfig};
use crate::store::{At, Change, Commit, CommitResult, Look, Round, Shard, Store};

/// A store to measure on.
pub struct BenchStore {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is shown of it.
    pub name: String,
    /// The address of the Redis server, where it is one.
    pub redis_url: Option<String>,
    /// With what another worker opens it.
    pub config: StoreConfig,
    directory: Option<tempfile::TempDir>,
}

/// How many orders show at most how fast a store takes them, and where their numbers begin.
const ON_TRIAL: usize = 5_000;
const FIRST_ON_TRIAL: usize = 2_000_000_000;

/// Orders to fill a store with.
pub struct Filling<'a> {
    /// The number of the first.
    pub from: usize,
    /// How many.
    pub count: usize,
    /// When each falls due, by its number.
    pub deadline: &'a (dyn Fn(usize) -> Time + Sync),
    /// How many characters their ids have, 18 or more.
    pub id: usize,
    /// Of how many bytes their `data` is; none for 0.
    pub data: usize,
}

impl Filling<'_> {
    /// The first `count` orders, long due, with ids of 18 characters and without data.
    #[must_use]
    pub fn of(count: usize) -> Filling<'static> {
        Filling { from: 0, count, deadline: &|_| Time::from_ms(0), id: 18, data: 0 }
    }
}

impl BenchStore {
    /// Opens a store for measuring: an SQLite file in a temporary directory, or keys of its own on
    /// a Redis server.
    ///
    /// # Errors
    /// Where it cannot be opened, or holds anything already.
    pub async fn open(url: Option<StoreAddress>) -> anyhow::Result<BenchStore> {
        if let Some(StoreAddress::Redis(url)) = &url {
            let keys: u64 = redis::cmd("DBSIZE")
                .query_async(&mut connect(url.expose().as_str()).await?)
                .await?;
            ensure!(
                keys == 0,
                "{url} holds {keys} keys; a measurement needs a database of its own (another \
                    number after the last /)"
            );
        }
        BenchStore::with_keys_of_its_own(url).await
    }

    /// Another store in the same place.
    ///
    /// # Errors
    /// Where it cannot be opened, or the place is a file that was named.
    pub async fn beside(&self) -> anyhow::Result<BenchStore> {
        ensure!(
            self.redis_url.is_some() || self.directory.is_some(),
            "{} is one file; leave out --store for a temporary one",
            self.name
        );
        BenchStore::with_keys_of_its_own(
            Some(self.config.url.clone()).filter(|_| self.redis_url.is_some()),
        )
        .await
    }

    async fn with_keys_of_its_own(url: Option<StoreAddress>) -> anyhow::Result<BenchStore> {
        let prefix = format!("ar-bench-{:08x}", rand::random::<u32>());
        let directory = if url.is_none() { Some(tempfile::tempdir()?) } else { None };
        let url = match (url, &directory) {
            (Some(url), _) => url,
            (None, Some(directory)) => StoreAddress::Sqlite(directory.path().join("bench.db")),
            (None, None) => bail!("no store"),
        };
        let redis_url =
            if let StoreAddress::Redis(url) = &url { Some(url.expose().to_string()) } else { None };
        let name = url.to_string();
        let config =
            StoreConfig { url, timeout: Span::from_secs(10), connections: 8, prefix, shards: 64 };
        let store = app::open_store(&config, false).await?;
        let stats = store.stats().await?;
        ensure!(
            stats.waiting == 0 && stats.totals.is_empty(),
            "{name} holds orders; a measurement needs a store of its own"
        );
        Ok(BenchStore { store, name, redis_url, config, directory })
    }

    /// A key of this measurement's own on the Redis server.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.config.prefix)
    }

    /// The store for one more worker: on Redis with connections of its own, as another process
    /// would have them. A file has one process.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn another_store(&self) -> anyhow::Result<Arc<dyn Store>> {
        Ok(if self.redis_url.is_some() {
            app::open_store(&self.config, false).await?
        } else {
            self.store.clone()
        })
    }

    /// An instant by which the store will have taken `orders`. A few that wait for a month, and
    /// stay, show how fast it takes them.
    ///
    /// # Errors
    /// Where the store does not take them.
    pub async fn instant_after_filling(&self, orders: usize) -> anyhow::Result<Time> {
        let later = self.store.now().await?.after(Span::from_hours(24 * 30));
        let trial = Filling {
            from: FIRST_ON_TRIAL,
            deadline: &|_| later,
            ..Filling::of((orders / 10).clamp(100, ON_TRIAL))
        };
        let (count, start) = (trial.count, Instant::now());
        self.fill(trial, &ProgressBar::hidden()).await?;
        let expected = start.elapsed().as_secs_f64() / count as f64 * orders as f64;
        Ok(self.store.now().await?.after(Span::from_ms(1_000 + (expected * 1_500.0) as i64)))
    }

    /// Sleeps until it is `instant` at the store.
    ///
    /// # Errors
    /// Where that has passed: orders that should fall due together did so before all were there.
    pub async fn wait_until(&self, instant: Time) -> anyhow::Result<()> {
        let wait = instant.since(self.store.now().await?).to_std();
        ensure!(
            !wait.is_zero(),
            "the store took the orders too slowly; some were due before the measurement began. Try fewer"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Fills the store with paid orders.
    ///
    /// # Errors
    /// Where the store does not take them.
    pub async fn fill(&self, filling: Filling<'_>, progress: &ProgressBar) -> anyhow::Result<()> {
        let policy = Policy::new("default", Terms::default())?;
        let now = self.store.now().await?;
        let data = if filling.data == 0 {
            None
        } else {
            Some(Data::new(&format!("\"{}\"", "x".repeat(filling.data.saturating_sub(2))))?)
        };
        // In steps, so that a million orders never lie in memory at once.
        for first in (filling.from..filling.from + filling.count).step_by(50_000) {
            let mut by_shard: Vec<Vec<Change>> =
                vec![Vec::new(); self.store.about().shards.get().into()];
            for i in first..(first + 50_000).min(filling.from + filling.count) {
                let id =
                    format!("20261123{i:0width$}", width = filling.id.saturating_sub(8)).parse()?;
                let change = paid(id, i, (filling.deadline)(i), now, &policy, data.clone())?;
                let shard = usize::from(self.store.about().shards.of(&change.id));
                by_shard.get_mut(shard).context("a shard beyond the last one")?.push(change);
            }
            let commits = (0..).zip(&by_shard).flat_map(|(shard, changes)| {
                changes.chunks(500).map(move |part| (shard, part.to_vec()))
            });
            stream::iter(commits.map(Ok))
                .try_for_each_concurrent(8, |(shard, part)| {
                    self.commit(shard, part, policy.clone(), progress)
                })
                .await?;
        }
        Ok(())
    }

    /// The bytes that the store takes: of memory on Redis, of the file on SQLite.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn bytes(&self) -> anyhow::Result<u64> {
        let Some(url) = &self.redis_url else {
            let directory = self
                .directory
                .as_ref()
                .context("only a store in a temporary directory is measured")?;
            let sizes =
                std::fs::read_dir(directory.path())?.map(|file| Ok(file?.metadata()?.len()));
            return sizes.sum::<anyhow::Result<u64>>();
        };
        let mut connection = connect(url).await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let used =
            info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        used.context("Redis does not say how much memory it uses")
    }

    async fn commit(
        &self,
        shard: Shard,
        changes: Vec<Change>,
        policy: Policy,
        progress: &ProgressBar,
    ) -> anyhow::Result<()> {
        let count = changes.len() as u64;
        let found = self
            .store
            .due(&[Look { shard, extra: 0 }], 0)
            .await
            .pop()
            .context("no answer of the shard")?;
        let At { now, shard: state, .. } = found?;
        let round = Arc::new(Round { changes, policies: vec![policy], ..Round::default() });
        let commit = Commit { shard, now, state, epoch: None, read: None, round };
        let result = self.store.commit(vec![commit]).await.pop();
        ensure!(
            result == Some(CommitResult::Committed),
            "the store did not take the orders: {result:?}"
        );
        progress.inc(count);
        Ok(())
    }

    /// Removes what was measured with, the pattern's keys too: there were none before. Its memory
    /// is free when this returns, so that the next measurement begins as this one did.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn clear(self) -> anyhow::Result<()> {
        let Some(url) = &self.redis_url else { return Ok(()) };
        let mut connection = connect(url).await.context("clearing up")?;
        let (own, mut cursor) = (self.key(""), 0_u64);
        loop {
            let scan = redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(1_000).to_owned();
            let (next, mut keys): (u64, Vec<String>) = scan.query_async(&mut connection).await?;
            keys.retain(|key| [&own, STATUS, TRIGGER].iter().any(|prefix| key.starts_with(prefix)));
            // A command for each: a key may hold a hundred thousand orders, and others want to be
            // served in between.
            let mut removing = redis::pipe();
            for key in keys {
                removing.del(key).ignore();
            }
            if !removing.is_empty() {
                let () = removing.query_async(&mut connection).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

/// A connection that waits for as long as a server that is busy with millions of orders may take.
pub(super) async fn connect(url: &str) -> anyhow::Result<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await?)
}

/// The order number `i` as it looks after it was placed and paid.
fn paid(
    id: OrderId,
    i: usize,
    deadline: Time,
    now: Time,
    policy: &Policy,
    data: Option<Data>,
) -> anyhow::Result<Change> {
    let paid_at = deadline.before(policy.terms.receive_after);
    let place = Place::new().buyer_id(format!("buyer{i:07}").parse()?).amount(59_000);
    let place = place.currency("KRW".parse()?).at(paid_at.before(Span::from_secs(7)));
    let place = Place { data, ..place.paid_at(paid_at) };
    // An order that waits for longer than the terms say was paid in the future, as far as the
    // measurement is concerned.
    let Decision::Changed(order) = decide_place(&id, &place, now.max(paid_at), policy) else {
        bail!("an order was not placed")
    };
    let mut order = Arc::unwrap_or_clone(order);
    order.kind = EventKind::Paid;
    order.changed_at = order.times.latest();
    order.version = 2;
    Ok(Change { id, expected: 0, was: None, order: Some(Arc::new(order)), events: Vec::new() })
}
