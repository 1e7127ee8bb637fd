//! The seam between deciding and keeping. A store knows no rule of an order's life: it hands out what it keeps together
//! with its own time, and commits what was decided, whole or not at all, where the version is still the expected one.
//!
//! One suite (`tests/it/conformance`) runs against every implementation.

use std::sync::Arc;

use async_trait::async_trait;
pub use autoreceive_domain::{ActionName, Shard};
use autoreceive_domain::{Circuit, Event, OrderId, Revision, Span, Terms, Time};

mod commit;
pub mod entry;
mod found;
mod letter;
mod list;
mod metered;
pub mod now;
mod outbox;

pub use commit::{Change, Commit, Members, NewEntry, RestNote, STALE_AFTER, Verdict};
pub use found::{Due, DueOrder, DueShard, Heads, Loaded, Look, Rested, RestedNote, Scan};
pub use letter::{DeadLetter, DeadPage, Resolution};
pub use list::{ActionStats, Item, Page, Stats, View};
pub use metered::{Metered, Observer};
pub use outbox::{After, Claimed, ClaimedEntry, EntryRef, History, Relocated, Settlement};

/// A place where orders and outbox entries are kept. All calls take and return batches; none waits longer than the
/// store's configured time-out.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// How many shards there are; fixed when the store was created.
    fn shards(&self) -> Shard;

    /// Where an order lies.
    fn shard_of(&self, id: &OrderId) -> Shard;

    /// How many due orders are best read and committed at once by now: as many as keep nobody else waiting for long.
    fn at_once(&self) -> usize;

    /// The orders, in the order of the ids.
    async fn load(&self, ids: &[OrderId]) -> Result<Loaded, StoreError>;

    /// The terms of revisions, in the order asked for; `None` where a shard does not know one.
    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError>;

    /// Commits each of `commits`, independently of the others: for every change whose order still has the expected version,
    /// the record, its wake, its part of the entries, counts and notes, atomically; for the others nothing. One verdict a commit.
    async fn commit(&self, commits: Vec<Arc<Commit>>) -> Vec<Verdict>;

    /// The earliest wake of every shard, past ones too.
    async fn heads(&self) -> Result<Heads, StoreError>;

    /// Up to `limit` orders of each shard looked at whose wake has come, the earliest first. Nothing is claimed. One whose
    /// wake came within the last moments may be left to the next call.
    async fn due(&self, looks: &[Look], limit: usize) -> Result<Due, StoreError>;

    /// Up to `limit` notes, over all shards, of orders that came to rest and whose time to be looked at has come.
    async fn rested(&self, limit: usize) -> Result<Rested, StoreError>;

    /// Leases up to `limit` entries of an action whose time has come: until `lease` from now nobody else is given them.
    async fn claim(&self, action: &ActionName, limit: usize, lease: Span) -> Result<Claimed, StoreError>;

    /// Removes entries that were worked on and stores what follows from them, each atomically. An entry that is no longer
    /// there is passed over with all that follows from it: another worker has finished it.
    async fn settle(&self, action: &ActionName, settlements: Vec<Settlement>) -> Result<(), StoreError>;

    /// Moves the end of the lease of entries that are still there to `lease` from now.
    async fn renew(&self, action: &ActionName, entries: &[EntryRef], lease: Span) -> Result<(), StoreError>;

    /// A page of an action's dead letters, at most `limit` long, those given up first first, from where `cursor` (of an
    /// earlier page of this action) points.
    async fn dead_page(&self, action: &ActionName, cursor: Option<&str>, limit: usize) -> Result<DeadPage, StoreError>;

    /// Those of the named dead letters that are there.
    async fn dead_letters(&self, action: &ActionName, letters: &[EntryRef]) -> Result<Vec<DeadLetter>, StoreError>;

    /// Ends dead letters that are still there, each atomically. Returns how many were. A replayed one becomes an entry that
    /// can be claimed at once, under its event id, with no attempts made; one without a text can only be discarded.
    async fn resolve(&self, action: &ActionName, letters: &[EntryRef], how: Resolution) -> Result<u64, StoreError>;

    /// Adds an entry for each event, under its id and due now, where the action has none and no dead letter of that id.
    /// Returns how many were added.
    async fn add(&self, action: &ActionName, events: Vec<Event>) -> Result<u64, StoreError>;

    /// Gives up to about `limit` entries and dead letters of `from` to another action as they are, or drops them where there is
    /// none, in steps that each are atomic. An id that the other one has already is that of the same event, and stays there
    /// as it is.
    async fn relocate(&self, from: &ActionName, to: Option<&ActionName>, limit: usize) -> Result<Relocated, StoreError>;

    /// How the receiver of an action is doing, as far as all workers know.
    async fn circuit(&self, action: &ActionName) -> Result<(Time, Circuit), StoreError>;

    /// Notes how the receiver of an action is doing, if what is known of it is still `known`, or whatever is known of it
    /// without that. Returns whether it was noted.
    async fn set_circuit(&self, action: &ActionName, known: Option<&Circuit>, next: &Circuit) -> Result<bool, StoreError>;

    /// About `limit` orders of all that there are, in no particular order, from where `cursor` (of an earlier scan) points:
    /// every order that was there from the first scan to the last comes up at least once.
    async fn scan(&self, cursor: Option<&str>, limit: usize) -> Result<Scan, StoreError>;

    /// A page of orders, at most `limit` long, from where `cursor` (of an earlier page of this view) points.
    async fn page(&self, view: View, cursor: Option<&str>, limit: usize) -> Result<Page, StoreError>;

    /// What is waiting, due, held and pending.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Whether this store was created for tests: only then can its time be put forward.
    fn has_test_clock(&self) -> bool;

    /// Puts the store's time forward, for every worker and for good, and returns how it stands: [`Span::LONGEST`] in all.
    async fn advance(&self, by: Span) -> Result<TestClock, StoreError>;

    /// Keeps `names` in mind: what the intake leaves alone (`src/intake.rs`).
    async fn remember(&self, names: &[String]) -> Result<(), StoreError>;

    /// Which of `names` are kept in mind, in their order.
    async fn remembered(&self, names: &[String]) -> Result<Vec<bool>, StoreError>;

    /// Keeps `names` in mind no longer.
    async fn forget(&self, names: &[String]) -> Result<(), StoreError>;

    /// Notes that worker `me` is alive, and returns all that gave a sign of life within `within`, `me` among them.
    async fn workers(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError>;

    /// Notes that worker `me` is gone, so that the others need not find out by waiting.
    async fn leave(&self, me: &str) -> Result<(), StoreError>;
}

/// Why a store did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It is away, slow, or refuses for now. Reading again is safe.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A cursor that no page of this view gave out.
    #[error("{0:?} is not a cursor of this list")]
    WrongCursor(String),
    /// The time cannot be put forward, or not so far.
    #[error("{0}")]
    Clock(&'static str),
}

impl StoreError {
    /// The time of a store that serves a shop is the real one.
    pub const NO_TEST_CLOCK: StoreError = StoreError::Clock("this store was not created with a test clock");
    /// More than [`Span::LONGEST`] in all.
    pub const TOO_FAR: StoreError = StoreError::Clock("would put the clock forward by more than 3653d in all");
}

/// How the clock of a store for tests stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestClock {
    /// The store's time.
    pub now: Time,
    /// By how much it is ahead of the real time.
    pub ahead: Span,
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not answer, or not yet. That can pass by itself.
    #[error("{0}")]
    Away(String),
    /// It, or what is configured, has to be changed first.
    #[error("{0}")]
    Unfit(String),
}

impl OpenError {
    /// Says why a store whose clock is of the one kind is not opened as one of the other.
    #[must_use]
    pub fn other_clock(created_for_tests: bool) -> &'static str {
        if created_for_tests {
            "it was created with --test-clock, so its time can be put forward and it must not serve a shop. Start it with --test-clock, \
             or use another store"
        } else {
            "it was created without --test-clock, and keeps the real time for good. For tests, use a store that does not exist yet (on \
             Redis, another store.prefix is one)"
        }
    }
}
