//! A store whose calls are timed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use autoreceive_domain::{Circuit, Event, OrderId, Revision, Span, Terms, Time};

use crate::{
    ActionName, Claimed, Commit, DeadLetter, DeadPage, Due, EntryRef, Heads, Loaded, Look, Page, Relocated, Resolution, Rested, Scan,
    Settlement, Shard, Stats, Store, StoreError, TestClock, Verdict, View,
};

/// Is told of every call to a store.
pub trait Observer: Send + Sync + 'static {
    /// A call of `operation` took so long; `failed` where the store did not serve it.
    fn store_called(&self, operation: &'static str, took: Duration, failed: bool);
}

/// A store that tells an [`Observer`] of every call.
pub struct Metered {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
}

impl Metered {
    /// `store`, with `observer` told of every call.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Metered {
        Metered { store, observer }
    }

    async fn timed<T>(&self, operation: &'static str, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let start = Instant::now();
        let result = call.await;
        self.observer.store_called(operation, start.elapsed(), matches!(result, Err(StoreError::Unavailable(_))));
        result
    }
}

#[async_trait]
impl Store for Metered {
    fn shards(&self) -> Shard {
        self.store.shards()
    }

    fn shard_of(&self, id: &OrderId) -> Shard {
        self.store.shard_of(id)
    }

    fn at_once(&self) -> usize {
        self.store.at_once()
    }

    async fn load(&self, ids: &[OrderId]) -> Result<Loaded, StoreError> {
        self.timed("load", self.store.load(ids)).await
    }

    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError> {
        self.timed("terms", self.store.terms(wanted)).await
    }

    async fn commit(&self, commits: Vec<Arc<Commit>>) -> Vec<Verdict> {
        let start = Instant::now();
        let verdicts = self.store.commit(commits).await;
        let failed = verdicts.iter().any(|verdict| !matches!(verdict, Verdict::Done { .. }));
        self.observer.store_called("commit", start.elapsed(), failed);
        verdicts
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        self.timed("heads", self.store.heads()).await
    }

    async fn due(&self, looks: &[Look], limit: usize) -> Result<Due, StoreError> {
        self.timed("due", self.store.due(looks, limit)).await
    }

    async fn rested(&self, limit: usize) -> Result<Rested, StoreError> {
        self.timed("rested", self.store.rested(limit)).await
    }

    async fn claim(&self, action: &ActionName, limit: usize, lease: Span) -> Result<Claimed, StoreError> {
        self.timed("claim", self.store.claim(action, limit, lease)).await
    }

    async fn settle(&self, action: &ActionName, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.timed("settle", self.store.settle(action, settlements)).await
    }

    async fn renew(&self, action: &ActionName, entries: &[EntryRef], lease: Span) -> Result<(), StoreError> {
        self.timed("renew", self.store.renew(action, entries, lease)).await
    }

    async fn dead_page(&self, action: &ActionName, cursor: Option<&str>, limit: usize) -> Result<DeadPage, StoreError> {
        self.timed("dead_page", self.store.dead_page(action, cursor, limit)).await
    }

    async fn dead_letters(&self, action: &ActionName, letters: &[EntryRef]) -> Result<Vec<DeadLetter>, StoreError> {
        self.timed("dead_letters", self.store.dead_letters(action, letters)).await
    }

    async fn resolve(&self, action: &ActionName, letters: &[EntryRef], how: Resolution) -> Result<u64, StoreError> {
        self.timed("resolve", self.store.resolve(action, letters, how)).await
    }

    async fn add(&self, action: &ActionName, events: Vec<Event>) -> Result<u64, StoreError> {
        self.timed("add", self.store.add(action, events)).await
    }

    async fn relocate(&self, from: &ActionName, to: Option<&ActionName>, limit: usize) -> Result<Relocated, StoreError> {
        self.timed("relocate", self.store.relocate(from, to, limit)).await
    }

    async fn circuit(&self, action: &ActionName) -> Result<(Time, Circuit), StoreError> {
        self.timed("circuit", self.store.circuit(action)).await
    }

    async fn set_circuit(&self, action: &ActionName, known: Option<&Circuit>, next: &Circuit) -> Result<bool, StoreError> {
        self.timed("set_circuit", self.store.set_circuit(action, known, next)).await
    }

    async fn scan(&self, cursor: Option<&str>, limit: usize) -> Result<Scan, StoreError> {
        self.timed("scan", self.store.scan(cursor, limit)).await
    }

    async fn page(&self, view: View, cursor: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.timed("page", self.store.page(view, cursor, limit)).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.timed("stats", self.store.stats()).await
    }

    fn has_test_clock(&self) -> bool {
        self.store.has_test_clock()
    }

    async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        self.timed("advance", self.store.advance(by)).await
    }

    async fn remember(&self, names: &[String]) -> Result<(), StoreError> {
        self.timed("remember", self.store.remember(names)).await
    }

    async fn remembered(&self, names: &[String]) -> Result<Vec<bool>, StoreError> {
        self.timed("remembered", self.store.remembered(names)).await
    }

    async fn forget(&self, names: &[String]) -> Result<(), StoreError> {
        self.timed("forget", self.store.forget(names)).await
    }

    async fn workers(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError> {
        self.timed("workers", self.store.workers(me, within)).await
    }

    async fn leave(&self, me: &str) -> Result<(), StoreError> {
        self.timed("leave", self.store.leave(me)).await
    }
}
