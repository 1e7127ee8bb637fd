//! Where a measurement takes place: a store of its own, never one that holds orders.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use autoreceive_domain::decide::decide_absent;
use autoreceive_domain::words::Data;
use autoreceive_domain::{Command, Decision, EventKind, OrderId, Place, Policy, Span, Terms, Time};
use futures_util::{TryStreamExt, stream};
use indicatif::ProgressBar;

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
    /// With what another worker opens it.
    pub config: StoreConfig,
    directory: Option<tempfile::TempDir>,
}

/// Orders to fill a store with.
pub struct Filling<'a> {
    /// The number of the first.
    pub from: usize,
    /// How many.
    pub count: usize,
    /// When each falls due, by its number.
    pub deadline: &'a (dyn Fn(usize) -> Time + Sync),
    /// Of how many bytes their `data` is; none for 0.
    pub data: usize,
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
        let store = app::open_store(&config, false).await?;
        let stats = store.stats().await?;
        ensure!(stats.waiting == 0 && stats.totals.is_empty(), "{name} holds orders; a measurement needs a store of its own");
        Ok(Ground { store, name, redis_url, prefix, config, directory })
    }

    /// Fills the store with paid orders.
    ///
    /// # Errors
    /// Where the store does not take them.
    pub async fn fill(&self, filling: Filling<'_>, progress: &ProgressBar) -> anyhow::Result<()> {
        let policy = Policy::new("default", Terms::default())?;
        let now = self.store.heads().await?.now;
        let data = if filling.data == 0 { None } else { Some(Data::new(&format!("\"{}\"", "x".repeat(filling.data.saturating_sub(2))))?) };
        // In steps, so that a million orders never lie in memory at once.
        for first in (filling.from..filling.from + filling.count).step_by(50_000) {
            let mut by_shard: Vec<Vec<Change>> = vec![Vec::new(); self.store.shards().into()];
            for i in first..(first + 50_000).min(filling.from + filling.count) {
                let change = paid(i, (filling.deadline)(i), now, &policy, data.clone())?;
                let shard = usize::from(self.store.shard_of(&change.id));
                by_shard.get_mut(shard).context("a shard beyond the last one")?.push(change);
            }
            let commits = (0..).zip(&by_shard).flat_map(|(shard, changes)| changes.chunks(500).map(move |part| (shard, part.to_vec())));
            stream::iter(commits.map(Ok))
                .try_for_each_concurrent(8, |(shard, part)| self.commit(shard, part, policy.clone(), progress))
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
            let directory = self.directory.as_ref().context("only a store in a temporary directory is measured")?;
            let sizes = std::fs::read_dir(directory.path())?.map(|file| Ok(file?.metadata()?.len()));
            return sizes.sum::<anyhow::Result<u64>>();
        };
        let mut connection = redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        used.context("Redis does not say how much memory it uses")
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

/// The order number `i` as it looks after it was placed and paid.
fn paid(i: usize, deadline: Time, now: Time, policy: &Policy, data: Option<Data>) -> anyhow::Result<Change> {
    let id: OrderId = format!("20261123{i:010}").parse()?;
    let paid_at = deadline.before(policy.terms.receive_after);
    let place = Place {
        buyer_id: Some(format!("buyer{i:07}").parse()?),
        policy: policy.clone(),
        amount: Some(59_000),
        currency: Some("KRW".parse()?),
        data,
        receive_after: None,
        at: Some(paid_at.before(Span::from_secs(7))),
        paid_at: Some(paid_at),
    };
    // An order that waits for longer than the terms say was paid in the future, as far as the measurement is concerned.
    let Decision::Changed(order) = decide_absent(&id, &Command::Place(Box::new(place)), now.max(paid_at)) else {
        bail!("an order was not placed")
    };
    let mut order = Arc::unwrap_or_clone(order);
    order.kind = EventKind::Paid;
    order.changed_at = order.times.latest();
    order.version = 2;
    Ok(Change { id, expected: 0, was: None, order: Some(Arc::new(order)), events: Vec::new() })
}
