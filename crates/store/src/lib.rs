//! The seam between deciding and keeping. A store knows no rule of an order's life: it hands out
//! what it keeps together with its own time, and commits what was decided, whole or not at all.
//!
//! Five traits make a store, each a few primitives. Whatever can be composed of them is composed
//! once, in the engine, and so is tested once.
//!
//! | trait | holds |
//! |---|---|
//! | [`Orders`] | orders, when they are due, and the commit |
//! | [`Outbox`] | what the actions are to do: pending entries and dead letters |
//! | [`Register`] | small facts that all workers share, and who is alive |
//! | [`Log`] | capped lists of lines |
//! | [`Operations`] | the time, and figures of the whole |
//!
//! `docs/writing-a-store.md` of this crate tells how a store is written. The suite that every store
//! passes is the module `conformance`, behind the feature of that name.

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

/// Orders: found by id and by time, and changed by commits. The timer needs nothing else.
///
/// Answers are per order, per shard or per commit: a shard that is away fails its own part only.
/// No call takes longer than the store's configured time-out.
#[async_trait]
pub trait Orders: Send + Sync {
    /// The orders, in the order of the ids, each with its own shard's time and state.
    async fn load(&self, ids: &[OrderId]) -> Vec<Result<At<Slot>, StoreError>>;

    /// The terms of revisions, in the order asked for; `None` where a shard does not know one.
    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError>;

    /// Up to `limit` orders of each shard whose next due time has come, the earliest first, and
    /// when to look again. Nothing is claimed. An order that came due within the last moments may
    /// be left to the next call. With a limit of 0 only [`DueShard::next_at`] is asked for, then
    /// the earliest due time of the shard. It must be cheap: the timer asks every shard for it
    /// about once a second.
    async fn due(&self, looks: &[Look], limit: usize) -> Vec<Result<At<DueShard>, StoreError>>;

    /// Commits each of `commits`, independently of the others, and each whole or not at all:
    /// record, due time, entries, counts, notes and terms, if every change finds the expected
    /// version, the decision is not older than [`STALE_AFTER`], and the shard is still the one that
    /// was read. A result for each, in their order.
    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitResult>;

    /// A page of a view, from where `cursor` (of an earlier page of this view) points.
    async fn list(
        &self,
        view: View,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError>;
}

/// The outbox: for every action a queue of entries that wait ([`Lane::Pending`]), and one of those
/// that were given up ([`Lane::Dead`]). A store keeps an entry's text as it is; [`entry`] reads it.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Leases up to `limit` pending entries whose time has come: until `lease` from now nobody else
    /// is given them. A shard that is away is left out.
    async fn claim(
        &self,
        action: &ActionName,
        limit: usize,
        lease: Span,
    ) -> Result<Claimed, StoreError>;

    /// Moves the end of the lease of pending entries that are still there to `lease` from now.
    async fn renew(
        &self,
        action: &ActionName,
        entries: &[EntryRef],
        lease: Span,
    ) -> Result<(), StoreError>;

    /// Removes entries from `queue` and stores their follow-ups, each settlement atomically. An
    /// entry that is no longer there is passed over with its follow-ups: somebody else settled it.
    /// Returns how many were there.
    async fn settle(&self, queue: &Queue, done: Vec<Settlement>) -> Result<u64, StoreError>;

    /// Adds entries to `queue` where neither lane of its action has the id, each atomically.
    /// Returns how many were added.
    async fn put(&self, queue: &Queue, entries: Vec<NewEntry>) -> Result<u64, StoreError>;

    /// Entries of a queue: a page, the earliest first, or those named that are there.
    async fn entries(&self, queue: &Queue, which: Which<'_>) -> Result<Page<Entry>, StoreError>;
}

/// Small facts that all workers share, and who is alive. Every space is one key in one place, so
/// nothing here is atomic together with an order.
#[async_trait]
pub trait Register: Send + Sync {
    /// The values under `keys`, in their order, and the store's time.
    async fn get(
        &self,
        space: Space,
        keys: &[String],
    ) -> Result<(Time, Vec<Option<String>>), StoreError>;

    /// Sets or removes values where the expected ones stand, each change on its own, one after
    /// another. Returns for each whether it was made.
    async fn compare_and_set(
        &self,
        space: Space,
        changes: &[Cas<'_>],
    ) -> Result<Vec<bool>, StoreError>;

    /// Notes that worker `me` is alive, and returns the names of all that gave a sign of life
    /// within `within`, `me` among them, sorted. By the real time, also on a store with a test
    /// clock: a clock that is put forward kills nobody.
    async fn heartbeat(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError>;

    /// Notes that worker `me` is gone, so that the others need not find out by waiting.
    async fn leave(&self, me: &str) -> Result<(), StoreError>;
}

/// Capped lists of lines, the newest first.
#[async_trait]
pub trait Log: Send + Sync {
    /// Adds rows to a list, the last one becoming the newest, and keeps its newest `cap` rows. The
    /// rows of one call stay together.
    async fn append(&self, list: &List, rows: &[String], cap: usize) -> Result<(), StoreError>;

    /// A page of a list, the newest row first, from where `cursor` (of an earlier page of this
    /// list) points. Rows that are added meanwhile do not move those that a cursor leads to.
    async fn page(
        &self,
        list: &List,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, StoreError>;
}

/// The time, and figures of the whole.
#[async_trait]
pub trait Operations: Send + Sync {
    /// The store's time, asked anew: it also shows that the store answers.
    async fn now(&self) -> Result<Time, StoreError>;

    /// What is waiting, due, held and pending.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Puts the store's time forward, for every worker and for good, and returns how it stands:
    /// at most [`Span::LONGEST`] in all. Only where [`About::test_clock`] says so.
    async fn advance(&self, by: Span) -> Result<TestClock, StoreError>;
}

/// A place where orders and outbox entries are kept.
pub trait Store: Orders + Outbox + Register + Log + Operations + 'static {
    /// What was fixed when the store was created.
    fn about(&self) -> About;
}

/// What was fixed when a store was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// How many shards orders are spread over.
    pub shards: ShardCount,
    /// Whether its time can be put forward: it was created for tests.
    pub test_clock: bool,
}

impl About {
    /// A store with so many shards, for tests or for a shop.
    #[must_use]
    pub const fn new(shards: ShardCount, test_clock: bool) -> About {
        About { shards, test_clock }
    }
}

/// How the clock of a store for tests stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestClock {
    /// The store's time.
    pub now: Time,
    /// By how much it is ahead of the real time.
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
