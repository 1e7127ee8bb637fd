//! Where a measurement takes place: a store of its own, never one that holds orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use autoreceive_domain::decide::decide_absent;
use autoreceive_domain::{Command, Decision, Event, OrderId, Place, Policy, Span, Terms, Time};
use futures_util::{TryStreamExt, stream};
use indicatif::ProgressBar;

use crate::action::{Action, Outcome};
use crate::app;
use crate::config::{StoreAddress, StoreConfig};
use crate::store::{Change, Commit, Shard, Store, Verdict};

/// A store to measure on.
pub struct Ground {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is shown of it.
    pub name: String,
    /// The address of the Redis server, where it is one.
    pub redis_url: Option<String>,
    prefix: String,
    _directory: Option<tempfile::TempDir>,
}

impl Ground {
    /// Opens a store for measuring: an SQLite file in a temporary directory, or keys of its own on a Redis server.
    ///
    /// # Errors
    /// Where it cannot be opened, or holds orders already.
    pub async fn open(url: Option<StoreAddress>) -> anyhow::Result<Ground> {
        let prefix = format!("ar-bench-{:08x}", rand::random::<u32>());
        let directory = if url.is_none() { Some(tempfile::tempdir()?) } else { None };
        let url = match (url, &directory) {
            (Some(url), _) => url,
            (None, Some(directory)) => StoreAddress::Sqlite(directory.path().join("bench.db")),
            (None, None) => bail!("no store"),
        };
        let redis_url = if let StoreAddress::Redis(url) = &url { Some(url.expose().to_string()) } else { None };
        let name = url.to_string();
        let config = StoreConfig { url, timeout: Span::from_secs(10), connections: 8, prefix: prefix.clone(), shards: 64 };
        let store = app::open_store(&config).await?;
        let stats = store.stats().await?;
        ensure!(stats.waiting == 0 && stats.totals.is_empty(), "{name} holds orders; a measurement needs a store of its own");
        Ok(Ground { store, name, redis_url, prefix, _directory: directory })
    }

    /// Fills the store with `count` paid orders, the first numbered `from`, that fall due as `deadline` says.
    ///
    /// # Errors
    /// Where the store does not take them.
    pub async fn fill(&self, from: usize, count: usize, deadline: impl Fn(usize) -> Time, progress: &ProgressBar) -> anyhow::Result<()> {
        let policy = Policy::new("default", Terms::default())?;
        let now = self.store.heads().await?.now;
        let mut by_shard: Vec<Vec<Change>> = vec![Vec::new(); self.store.shards().into()];
        let mut full = Vec::new();
        for i in from..from + count {
            let (shard, change) = self.paid(i, deadline(i), now, &policy)?;
            let Some(changes) = by_shard.get_mut(usize::from(shard)) else { bail!("a shard beyond the last one") };
            changes.push(change);
            if changes.len() == 500 {
                full.push((shard, std::mem::take(changes)));
            }
        }
        full.extend((0..).zip(by_shard).filter(|(_, changes)| !changes.is_empty()));
        stream::iter(full.into_iter().map(Ok))
            .try_for_each_concurrent(8, |(shard, changes)| self.commit(shard, changes, policy.clone(), progress))
            .await
    }

    fn paid(&self, i: usize, deadline: Time, now: Time, policy: &Policy) -> anyhow::Result<(Shard, Change)> {
        let id: OrderId = format!("20261123{i:010}").parse()?;
        let place = Place {
            buyer_id: Some(format!("buyer{i:07}").parse()?),
            policy: policy.clone(),
            amount: Some(59_000),
            currency: Some("KRW".parse()?),
            data: None,
            receive_after: None,
            at: None,
            paid_at: Some(deadline.before(policy.terms.receive_after)),
        };
        let Decision::Changed(mut order) = decide_absent(&id, &Command::Place(Box::new(place)), now) else {
            bail!("an order was not placed")
        };
        // As an order looks that was placed and then paid.
        order.kind = autoreceive_domain::EventKind::Paid;
        order.changed_at = order.times.latest();
        Ok((self.store.shard_of(&id), Change { id, expected: 0, was: None, order: Some(Arc::new(*order)), events: Vec::new() }))
    }

    async fn commit(&self, shard: Shard, changes: Vec<Change>, policy: Policy, progress: &ProgressBar) -> anyhow::Result<()> {
        let (count, now) = (changes.len() as u64, self.store.heads().await?.now);
        let (entries, notes, notes_done) = (Vec::new(), Vec::new(), Vec::new());
        let commit = Commit { shard, now, changes, entries, policies: vec![policy], notes, notes_done };
        let verdict = self.store.commit(vec![Arc::new(commit)]).await.pop();
        ensure!(verdict == Some(Verdict::Done { losers: Vec::new() }), "the store did not take the orders: {verdict:?}");
        progress.inc(count);
        Ok(())
    }

    /// Removes what was measured with.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn clear(self) -> anyhow::Result<()> {
        let Some(url) = &self.redis_url else { return Ok(()) };
        let mut connection = redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await.context("clearing up")?;
        let mut cursor: u64 = 0;
        loop {
            let scan = redis::cmd("SCAN").arg(cursor).arg("MATCH").arg(format!("{}:*", self.prefix)).arg("COUNT").arg(1_000).to_owned();
            let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await?;
            if !keys.is_empty() {
                let () = redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

/// An action that does nothing but count, and remembers how late each receipt was.
#[derive(Clone, Default)]
pub struct Nothing(Arc<NothingState>);

#[derive(Default)]
struct NothingState {
    attempted: AtomicU64,
    lags_ms: std::sync::Mutex<Vec<i64>>,
    deadline_ms: AtomicU64,
}

impl Nothing {
    /// Lags are counted from `deadline`.
    #[must_use]
    pub fn new(deadline: Time) -> Nothing {
        let nothing = Nothing::default();
        nothing.0.deadline_ms.store(deadline.ms().unsigned_abs(), Ordering::Relaxed);
        nothing
    }

    /// How many events were attempted.
    #[must_use]
    pub fn attempted(&self) -> u64 {
        self.0.attempted.load(Ordering::Relaxed)
    }

    /// How late each receipt was, in milliseconds, sorted.
    #[must_use]
    pub fn lags_ms(&self) -> Vec<i64> {
        let mut lags = self.0.lags_ms.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        lags.sort_unstable();
        lags
    }
}

#[async_trait]
impl Action for Nothing {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        let deadline_ms = self.0.deadline_ms.load(Ordering::Relaxed) as i64;
        let lag = |event: &Event| event.0.times.received_at.map_or(0, |at| at.ms() - deadline_ms);
        self.0.lags_ms.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(events.iter().map(lag));
        self.0.attempted.fetch_add(events.len() as u64, Ordering::Relaxed);
        vec![Outcome::Done; events.len()]
    }
}
