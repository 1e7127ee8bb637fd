//! A wrapper that measures the calls to a store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use autoreceive_domain::{ActionName, OrderId, Revision, Shard, Span, Terms, Time};

use crate::{
    About, At, Cas, Claimed, Commit, CommitResult, DueShard, Entry, EntryRef, List, Log, Look,
    NewEntry, Operations, Orders, Outbox, Page, Queue, Register, Row, Settlement, Slot, Space,
    Stats, Store, StoreError, TestClock, View, Which,
};

/// Receives the measurement of every call to a store.
pub trait Observer: Send + Sync + 'static {
    /// A call of `operation` took `took`. `failed` is true if the call or a part of it failed.
    fn store_called(&self, operation: &'static str, took: Duration, failed: bool);
}

/// A store that reports every call to an [`Observer`].
pub struct Metered {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
}

impl Metered {
    /// Wraps `store` and reports its calls to `observer`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Metered {
        Metered { store, observer }
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = T>,
        failed: impl FnOnce(&T) -> bool,
    ) -> T {
        let start = Instant::now();
        let result = call.await;
        self.observer.store_called(operation, start.elapsed(), failed(&result));
        result
    }
}

/// Only `Unavailable` counts: a wrong cursor is an error of the caller.
fn failed<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

fn any_failed<T>(results: &[Result<T, StoreError>]) -> bool {
    results.iter().any(failed)
}

fn uncommitted(results: &[CommitResult]) -> bool {
    results
        .iter()
        .any(|result| !matches!(result, CommitResult::Committed | CommitResult::Conflict { .. }))
}

#[async_trait]
impl Orders for Metered {
    async fn load(&self, ids: &[OrderId]) -> Vec<Result<At<Slot>, StoreError>> {
        self.timed("load", self.store.load(ids), |results| any_failed(results)).await
    }

    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError> {
        self.timed("terms", self.store.terms(wanted), failed).await
    }

    async fn due(&self, looks: &[Look], limit: usize) -> Vec<Result<At<DueShard>, StoreError>> {
        self.timed("due", self.store.due(looks, limit), |results| any_failed(results)).await
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitResult> {
        self.timed("commit", self.store.commit(commits), |results| uncommitted(results)).await
    }

    async fn list(
        &self,
        view: View,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError> {
        self.timed("list", self.store.list(view, cursor, limit), failed).await
    }
}

#[async_trait]
impl Outbox for Metered {
    async fn claim(
        &self,
        action: &ActionName,
        limit: usize,
        lease: Span,
    ) -> Result<Claimed, StoreError> {
        self.timed("claim", self.store.claim(action, limit, lease), failed).await
    }

    async fn renew(
        &self,
        action: &ActionName,
        entries: &[EntryRef],
        lease: Span,
    ) -> Result<(), StoreError> {
        self.timed("renew", self.store.renew(action, entries, lease), failed).await
    }

    async fn settle(&self, queue: &Queue, done: Vec<Settlement>) -> Result<u64, StoreError> {
        self.timed("settle", self.store.settle(queue, done), failed).await
    }

    async fn put(&self, queue: &Queue, entries: Vec<NewEntry>) -> Result<u64, StoreError> {
        self.timed("put", self.store.put(queue, entries), failed).await
    }

    async fn entries(&self, queue: &Queue, which: Which<'_>) -> Result<Page<Entry>, StoreError> {
        self.timed("entries", self.store.entries(queue, which), failed).await
    }
}

#[async_trait]
impl Register for Metered {
    async fn get(
        &self,
        space: Space,
        keys: &[String],
    ) -> Result<(Time, Vec<Option<String>>), StoreError> {
        self.timed("get", self.store.get(space, keys), failed).await
    }

    async fn compare_and_set(
        &self,
        space: Space,
        changes: &[Cas<'_>],
    ) -> Result<Vec<bool>, StoreError> {
        self.timed("compare_and_set", self.store.compare_and_set(space, changes), failed).await
    }

    async fn heartbeat(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError> {
        self.timed("heartbeat", self.store.heartbeat(me, within), failed).await
    }

    async fn leave(&self, me: &str) -> Result<(), StoreError> {
        self.timed("leave", self.store.leave(me), failed).await
    }
}

#[async_trait]
impl Log for Metered {
    async fn append(&self, list: &List, rows: &[String], cap: usize) -> Result<(), StoreError> {
        self.timed("append", self.store.append(list, rows, cap), failed).await
    }

    async fn page(
        &self,
        list: &List,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, StoreError> {
        self.timed("page", self.store.page(list, cursor, limit), failed).await
    }
}

#[async_trait]
impl Operations for Metered {
    async fn now(&self) -> Result<Time, StoreError> {
        self.timed("now", self.store.now(), failed).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.timed("stats", self.store.stats(), failed).await
    }

    async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        self.timed("advance", self.store.advance(by), failed).await
    }
}

impl Store for Metered {
    fn about(&self) -> About {
        self.store.about()
    }
}
