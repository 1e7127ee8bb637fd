//! The store of a benchmark: its own store, never one with orders.

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

/// A store for a benchmark.
pub struct BenchStore {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its name in the output.
    pub name: String,
    /// The URL of the Redis server, if it is one.
    pub redis_url: Option<String>,
    /// The configuration with which another worker opens it.
    pub config: StoreConfig,
    directory: Option<tempfile::TempDir>,
}

/// The most orders of a trial that measures the speed of filling, and their first number.
const TRIAL_ORDERS: usize = 5_000;
const FIRST_OF_TRIAL: usize = 2_000_000_000;

/// Orders to fill a store with.
pub struct Filling<'a> {
    /// The number of the first order.
    pub from: usize,
    /// The number of orders.
    pub count: usize,
    /// The deadline of an order, by its number.
    pub deadline: &'a (dyn Fn(usize) -> Time + Sync),
    /// Characters of their ids, 18 or more.
    pub id: usize,
    /// Bytes of their `data`; 0: no data.
    pub data: usize,
}

impl Filling<'_> {
    /// The first `count` orders, due in 1970, with ids of 18 characters and without data.
    #[must_use]
    pub fn of(count: usize) -> Filling<'static> {
        Filling { from: 0, count, deadline: &|_| Time::from_ms(0), id: 18, data: 0 }
    }
}

impl BenchStore {
    /// Opens a store: an SQLite file in a temporary directory, or its own keys on a Redis server.
    ///
    /// # Errors
    /// If it cannot be opened, or is not empty.
    pub async fn open(url: Option<StoreAddress>) -> anyhow::Result<BenchStore> {
        if let Some(StoreAddress::Redis(url)) = &url {
            let keys: u64 = redis::cmd("DBSIZE")
                .query_async(&mut connect(url.expose().as_str()).await?)
                .await?;
            ensure!(
                keys == 0,
                "{url} has {keys} keys; a benchmark needs an empty database: choose another \
                    number after the last /"
            );
        }
        BenchStore::with_own_prefix(url).await
    }

    /// Another store in the same place.
    ///
    /// # Errors
    /// If it cannot be opened, or if `--store` named a file.
    pub async fn beside(&self) -> anyhow::Result<BenchStore> {
        ensure!(
            self.redis_url.is_some() || self.directory.is_some(),
            "{} is one file; leave out --store for a temporary one",
            self.name
        );
        BenchStore::with_own_prefix(
            Some(self.config.url.clone()).filter(|_| self.redis_url.is_some()),
        )
        .await
    }

    async fn with_own_prefix(url: Option<StoreAddress>) -> anyhow::Result<BenchStore> {
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
            "{name} has orders; a benchmark needs an empty store"
        );
        Ok(BenchStore { store, name, redis_url, config, directory })
    }

    /// A key of this benchmark on the Redis server.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.config.prefix)
    }

    /// The store for another worker: on Redis with its own connections, as in another process. An
    /// SQLite file has only one process.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn another_store(&self) -> anyhow::Result<Arc<dyn Store>> {
        Ok(if self.redis_url.is_some() {
            app::open_store(&self.config, false).await?
        } else {
            self.store.clone()
        })
    }

    /// An instant at which the store will have stored `orders`. A trial with a few orders, due in a
    /// month, measures the speed.
    ///
    /// # Errors
    /// If the store does not store them.
    pub async fn instant_after_filling(&self, orders: usize) -> anyhow::Result<Time> {
        let later = self.store.now().await?.after(Span::from_hours(24 * 30));
        let trial = Filling {
            from: FIRST_OF_TRIAL,
            deadline: &|_| later,
            ..Filling::of((orders / 10).clamp(100, TRIAL_ORDERS))
        };
        let count = trial.count;
        let start = Instant::now();
        self.fill(trial, &ProgressBar::hidden()).await?;
        let expected = start.elapsed().as_secs_f64() / count as f64 * orders as f64;
        Ok(self.store.now().await?.after(Span::from_ms(1_000 + (expected * 1_500.0) as i64)))
    }

    /// Sleeps until the store's clock reaches `instant`.
    ///
    /// # Errors
    /// If it has passed: some orders were due before all were stored.
    pub async fn wait_until(&self, instant: Time) -> anyhow::Result<()> {
        let wait = instant.since(self.store.now().await?).to_std();
        ensure!(
            !wait.is_zero(),
            "storing the orders took too long: some were due before the start; use fewer orders"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Fills the store with paid orders.
    ///
    /// # Errors
    /// If the store does not store them.
    pub async fn fill(&self, filling: Filling<'_>, progress: &ProgressBar) -> anyhow::Result<()> {
        let policy = Policy::new("default", Terms::default())?;
        let now = self.store.now().await?;
        let data = if filling.data == 0 {
            None
        } else {
            Some(Data::new(&format!("\"{}\"", "x".repeat(filling.data.saturating_sub(2))))?)
        };
        // In steps, so that a million orders are never in memory at once.
        for first in (filling.from..filling.from + filling.count).step_by(50_000) {
            let mut by_shard: Vec<Vec<Change>> =
                vec![Vec::new(); self.store.about().shards.get().into()];
            for i in first..(first + 50_000).min(filling.from + filling.count) {
                let id =
                    format!("20261123{i:0width$}", width = filling.id.saturating_sub(8)).parse()?;
                let change = paid(id, i, (filling.deadline)(i), now, &policy, data.clone())?;
                let shard = usize::from(self.store.about().shards.of(&change.id));
                by_shard.get_mut(shard).context("the shard does not exist")?.push(change);
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

    /// The size of the store in bytes: memory on Redis, files on SQLite.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn bytes(&self) -> anyhow::Result<u64> {
        let Some(url) = &self.redis_url else {
            let directory = self
                .directory
                .as_ref()
                .context("only a temporary SQLite file can be measured: leave out --store")?;
            let sizes =
                std::fs::read_dir(directory.path())?.map(|file| Ok(file?.metadata()?.len()));
            return sizes.sum::<anyhow::Result<u64>>();
        };
        let mut connection = connect(url).await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let used =
            info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        used.context("INFO of Redis has no used_memory")
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
            .context("the store returned no answer for the shard")?;
        let At { now, shard: state, .. } = found?;
        let round = Arc::new(Round { changes, policies: vec![policy], ..Round::default() });
        let commit = Commit { shard, now, state, epoch: None, read: None, round };
        let result = self.store.commit(vec![commit]).await.pop();
        ensure!(
            result == Some(CommitResult::Committed),
            "the store did not store the orders: {result:?}"
        );
        progress.inc(count);
        Ok(())
    }

    /// Removes all keys of the benchmark and of the pattern; there were none before. When this
    /// returns, the memory is free again, so that the next benchmark starts in the same state.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn clear(self) -> anyhow::Result<()> {
        let Some(url) = &self.redis_url else { return Ok(()) };
        let mut connection = connect(url).await.context("clearing up")?;
        let own = self.key("");
        let mut cursor = 0_u64;
        loop {
            let scan = redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(1_000).to_owned();
            let (next, mut keys): (u64, Vec<String>) = scan.query_async(&mut connection).await?;
            keys.retain(|key| [&own, STATUS, TRIGGER].iter().any(|prefix| key.starts_with(prefix)));
            // One command per key: a key can hold 100,000 orders, and other clients need to be
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

/// A connection with a time-out that is long enough for a server busy with millions of orders.
pub(super) async fn connect(url: &str) -> anyhow::Result<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await?)
}

/// Order number `i`, placed and paid.
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
    // If the deadline is later than the terms allow, the payment is in the future.
    let Decision::Changed(order) = decide_place(&id, &place, now.max(paid_at), policy) else {
        bail!("an order could not be placed")
    };
    let mut order = Arc::unwrap_or_clone(order);
    order.kind = EventKind::Paid;
    order.changed_at = order.times.latest();
    order.version = 2;
    Ok(Change { id, expected: 0, was: None, order: Some(Arc::new(order)), events: Vec::new() })
}
