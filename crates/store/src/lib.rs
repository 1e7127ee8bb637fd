//! The store interface. A store knows no rules of an order's life. It returns its data together
//! with its own time, and it commits decisions, whole or not at all.
//!
//! A store implements five traits, each with a few primitives. Everything that can be composed of
//! them is composed in the engine and tested there once.
//!
//! | trait | holds |
//! |---|---|
//! | [`Orders`] | orders, their due times, and the commit |
//! | [`Outbox`] | the work of the actions: pending entries and dead letters |
//! | [`Register`] | key-value pairs that all workers share, and live workers |
//! | [`Log`] | capped lists of rows |
//! | [`Operations`] | the time and the statistics |
//!
//! `docs/writing-a-store.md` in this crate explains how to write a store. The test suite for stores
//! is the module `conformance`, behind the feature of that name.

use std::fmt;

use async_trait::async_trait;
pub use autoreceive_domain::{ActionName, Shard, ShardCount};
use autoreceive_domain::{OrderId, Revision, Span, Terms, Time};

mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod entry;
mod error;
mod list;
mod log;
mod look;
mod metered;
pub mod now;
mod outbox;
mod register;
mod stats;

pub use commit::{
    Change, Commit, CommitResult, EventSelection, OutboxEntry, ReadToken, Refusal, RetentionNote,
    Round, STALE_AFTER, Why,
};
pub use error::{OpenError, StoreError};
pub use list::{NoteRef, Page, Row, View};
pub use log::List;
pub use look::{At, DueOrder, DueShard, Epoch, Format, Identity, Look, ShardState, Slot};
pub use metered::{Metered, Observer};
pub use outbox::{
    Claimed, Entry, EntryRef, FollowUp, History, Lane, NewEntry, Queue, Settlement, Which,
};
pub use register::{Cas, Expected, Space};
pub use stats::{ActionStats, Stats};

/// Orders, read by id and by time, and changed by commits. The timer needs nothing else.
///
/// Results are per order, per shard or per commit: an unavailable shard fails only its own part. No
/// call takes longer than the store's configured timeout.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Loads orders, in the order of `ids`, each with the time and state of its shard.
    async fn load(&self, ids: &[OrderId]) -> Vec<Result<At<Slot>, StoreError>>;

    /// Loads the terms of revisions, in the order of `wanted`; `None` if the shard does not have a
    /// revision.
    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError>;

    /// Up to `limit` due orders of each shard, the earliest first, and when to look again. Nothing
    /// is claimed. An order that has just come due may be left to the next call. With a limit of 0
    /// only [`DueShard::next_at`] matters: the earliest due time of the shard. That call must be
    /// cheap, because the timer makes it about once a second for every shard.
    async fn due(&self, looks: &[Look], limit: usize) -> Vec<Result<At<DueShard>, StoreError>>;

    /// Commits each of `commits` independently, each whole or not at all: records, due times,
    /// entries, counts, notes and terms. A commit succeeds if every change finds the expected
    /// version, the decision is not older than [`STALE_AFTER`], and the shard is the one that was
    /// read. Returns a result for each, in their order.
    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitResult>;

    /// A page of a view. `cursor` comes from an earlier page of this view.
    async fn list(
        &self,
        view: View,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError>;
}

/// The outbox. Every action has a queue of pending entries ([`Lane::Pending`]) and a queue of dead
/// letters ([`Lane::Dead`]). A store keeps an entry's text unchanged; [`entry`] parses it.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Leases up to `limit` pending entries whose time has come. Nobody else gets them until
    /// `lease` from now. An unavailable shard is left out.
    async fn claim(
        &self,
        action: &ActionName,
        limit: usize,
        lease: Span,
    ) -> Result<Claimed, StoreError>;

    /// Renews the lease of pending entries: it now ends `lease` from now. Entries that are gone are
    /// ignored.
    async fn renew(
        &self,
        action: &ActionName,
        entries: &[EntryRef],
        lease: Span,
    ) -> Result<(), StoreError>;

    /// Removes entries from `queue` and stores their follow-ups. Each settlement is atomic. An
    /// entry that is gone is skipped with its follow-ups, because another worker settled it.
    /// Returns the number of entries that were settled.
    async fn settle(&self, queue: &Queue, done: Vec<Settlement>) -> Result<u64, StoreError>;

    /// Adds each entry to `queue`, atomically, if neither lane of the action has its id. Returns
    /// the number of entries that were added.
    async fn put(&self, queue: &Queue, entries: Vec<NewEntry>) -> Result<u64, StoreError>;

    /// Entries of a queue: a page, the earliest first, or the existing ones of a list of names.
    async fn entries(&self, queue: &Queue, which: Which<'_>) -> Result<Page<Entry>, StoreError>;
}

/// Key-value pairs that all workers share, and live workers. A space is not part of a shard, so
/// nothing here is atomic together with an order.
#[async_trait]
pub trait Register: Send + Sync {
    /// The store's time, and the values of `keys` in their order.
    async fn get(
        &self,
        space: Space,
        keys: &[String],
    ) -> Result<(Time, Vec<Option<String>>), StoreError>;

    /// Sets or removes values if the expected ones are there. Each change is independent; they run
    /// in their order. Returns for each whether it was made.
    async fn compare_and_set(
        &self,
        space: Space,
        changes: &[Cas<'_>],
    ) -> Result<Vec<bool>, StoreError>;

    /// Records a heartbeat of worker `me`. Returns the sorted names of all workers with a heartbeat
    /// within `within`, including `me`. Heartbeats use the real time, also on a store with a test
    /// clock, so that advancing the clock removes no worker.
    async fn heartbeat(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError>;

    /// Removes worker `me` from the live workers, so that the others need not wait for `within`.
    async fn leave(&self, me: &str) -> Result<(), StoreError>;
}

/// Capped lists of rows, the newest first.
#[async_trait]
pub trait Log: Send + Sync {
    /// Appends rows to a list and keeps its newest `cap` rows. The last row becomes the newest. The
    /// rows of one call stay together.
    async fn append(&self, list: &List, rows: &[String], cap: usize) -> Result<(), StoreError>;

    /// A page of a list, the newest row first. `cursor` comes from an earlier page of this list.
    /// Rows that are added meanwhile do not change the rows a cursor leads to.
    async fn page(
        &self,
        list: &List,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, StoreError>;
}

/// The time and the statistics.
#[async_trait]
pub trait Operations: Send + Sync {
    /// The store's current time. Also used as a health check.
    async fn now(&self) -> Result<Time, StoreError>;

    /// The statistics: waiting, overdue and held orders, and the outboxes.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Advances the store's clock permanently, for all workers, by at most [`Span::LONGEST`] in
    /// total, and returns its state. Only if [`About::test_clock`] is true.
    async fn advance(&self, by: Span) -> Result<TestClock, StoreError>;
}

/// A complete store.
pub trait Store: Orders + Outbox + Register + Log + Operations + 'static {
    /// The properties fixed when the store was created.
    fn about(&self) -> About;
}

/// The properties fixed when a store was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// The number of shards.
    pub shards: ShardCount,
    /// True if the store was created for tests and its clock can be advanced.
    pub test_clock: bool,
}

impl About {
    /// A store with this number of shards, with or without a test clock.
    #[must_use]
    pub const fn new(shards: ShardCount, test_clock: bool) -> About {
        About { shards, test_clock }
    }
}

/// The state of a test clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestClock {
    /// The store's time.
    pub now: Time,
    /// How far it is ahead of the real time.
    pub ahead: Span,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lane {
            Lane::Pending => write!(f, "{}", self.action),
            Lane::Dead => write!(f, "dead letters of {}", self.action),
        }
    }
}
