//! The seam between deciding and keeping. A store knows no rule of an order's life: it hands out what it keeps together
//! with its own time, and commits what was decided, whole or not at all, where the version is still the expected one.
//!
//! One suite (`tests/it/conformance`) runs against every implementation.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Cause, Event, EventKind, Order, OrderId, Policy, Revision, Span, Status, Terms, Time};

pub mod entry;
mod letter;
pub mod redis;
pub mod sqlite;

pub use letter::{DeadLetter, DeadPage, Resolution};

/// One of the parts that orders are spread over. Everything of one order lies in one shard; a commit touches one shard.
pub type Shard = u16;

/// The name of a configured action: 1 to 32 of `a-z 0-9 _ -`.
pub type ActionName = Arc<str>;

/// A place where orders and outbox entries are kept. All calls take and return batches; none waits longer than the
/// store's configured time-out.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// How many shards there are; fixed when the store was created.
    fn shards(&self) -> Shard;

    /// Where an order lies.
    fn shard_of(&self, id: &OrderId) -> Shard;

    /// The orders, in the order of the ids.
    async fn load(&self, ids: &[OrderId]) -> Result<Loaded, StoreError>;

    /// The terms of revisions, in the order asked for; `None` where a shard does not know one.
    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError>;

    /// Commits each of `commits`, independently of the others: for every change whose order still has the expected version,
    /// the record, its wake, its part of the entries, counts and notes, atomically; for the others nothing. One verdict a commit.
    async fn commit(&self, commits: Vec<Arc<Commit>>) -> Vec<Verdict>;

    /// The earliest wake of every shard, past ones too.
    async fn heads(&self) -> Result<Heads, StoreError>;

    /// Up to `limit` orders of each shard looked at whose wake has come, the earliest first. Nothing is claimed.
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

    /// A page of orders, at most `limit` long, from where `cursor` (of an earlier page of this view) points.
    async fn page(&self, view: View, cursor: Option<&str>, limit: usize) -> Result<Page, StoreError>;

    /// What is waiting, due, held and pending.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Whether this store was created for tests: only then can its time be put forward.
    fn has_test_clock(&self) -> bool;

    /// Puts the store's time forward, for every worker and for good, and returns how it stands: [`Span::LONGEST`] in all.
    async fn advance(&self, by: Span) -> Result<TestClock, StoreError>;

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

/// Why a store cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

impl OpenError {
    /// Says why a store whose clock is of the one kind is not opened as one of the other.
    pub(crate) fn other_clock(created_for_tests: bool) -> &'static str {
        if created_for_tests {
            "it was created with --test-clock, so its time can be put forward and it must not serve a shop. Start it with --test-clock, \
             or use another store"
        } else {
            "it was created without --test-clock, and keeps the real time for good. For tests, use a store that does not exist yet"
        }
    }
}

/// What `load` found.
#[derive(Debug)]
pub struct Loaded {
    /// The store's time at which it was read.
    pub now: Time,
    /// One for each id.
    pub orders: Vec<Result<Option<Order>, Unreadable>>,
}

/// Everything that one decision round changes in one shard.
#[derive(Debug)]
pub struct Commit {
    /// Where all of it lies.
    pub shard: Shard,
    /// The time that was decided with. A store whose own clock is more than [`STALE_AFTER`] away treats every change as a conflict.
    pub now: Time,
    /// What becomes of orders; no order occurs twice.
    pub changes: Vec<Change>,
    /// What the actions are to do about it. An entry without a single event that was committed is not stored.
    pub entries: Vec<NewEntry>,
    /// The terms of orders placed here, stored where they are not yet known.
    pub policies: Vec<Policy>,
    /// Orders that rest after this commit, and when to look at them.
    pub notes: Vec<RestNote>,
    /// Notes that were looked at and are removed.
    pub notes_done: Vec<String>,
}

/// How old a decision may be when it is committed, so that a worker that was stopped in between cannot commit a stale one.
pub const STALE_AFTER: Span = Span::TEN_SECONDS;

/// What becomes of one order.
#[derive(Debug, Clone)]
pub struct Change {
    /// The order.
    pub id: OrderId,
    /// The version that must be found; 0 matches only an order that does not exist.
    pub expected: u64,
    /// Under which status it was counted until now: none where it did not exist or was resting.
    pub was: Option<Status>,
    /// The order as it is to be kept, its wake with it; without one, the record and its wake are removed.
    pub order: Option<Arc<Order>>,
    /// What happened, one event for each new version, the last one showing `order`; none where nothing happened and only
    /// the wake is corrected or the record removed.
    pub events: Vec<Event>,
}

/// An outbox entry: the events of one commit for one action.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// For whom.
    pub action: ActionName,
    /// Unique for ever.
    pub id: String,
    /// When it can be claimed: the end of the committing worker's lease, or now.
    pub at: Time,
    /// Which events.
    pub members: Members,
}

/// Which events of a commit belong to an entry.
#[derive(Debug, Clone)]
pub enum Members {
    /// Every event of every change.
    All,
    /// Some: (index of the change, index of its event).
    Some(Vec<(u32, u32)>),
}

/// Orders that one commit brought to rest.
#[derive(Debug, Clone)]
pub struct RestNote {
    /// When to look whether they can be removed.
    pub look_at: Time,
    /// Indices of the changes.
    pub members: Vec<u32>,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Committed, but for the changes at these indices: their orders had another version, or the decision was stale.
    Done {
        /// The changes that were not committed.
        losers: Vec<u32>,
    },
    /// Nothing was written, and the store says why.
    Refused(String),
    /// Sent, but not answered: it may or may not have been committed, whole or not at all.
    Unknown(String),
}

/// What `heads` found.
#[derive(Debug)]
pub struct Heads {
    /// The store's time.
    pub now: Time,
    /// The earliest wake of each shard, by its number.
    pub heads: Vec<Option<Time>>,
}

/// A shard to be looked at for due orders.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Which one.
    pub shard: Shard,
    /// How many entries beyond the limit to read, because so many are known to be left alone.
    pub extra: usize,
}

/// What `due` found.
#[derive(Debug)]
pub struct Due {
    /// The store's time: every wake found is not later.
    pub now: Time,
    /// One for each shard looked at, in that order.
    pub shards: Vec<DueShard>,
}

/// The due orders of a shard.
#[derive(Debug)]
pub struct DueShard {
    /// Which one.
    pub shard: Shard,
    /// The due orders, the earliest wake first.
    pub orders: Vec<DueOrder>,
    /// The wake of the first entry that was not taken: past, where more is due than the limit.
    pub next_at: Option<Time>,
}

/// An order whose noted wake has come.
#[derive(Debug)]
pub struct DueOrder {
    /// Which one.
    pub id: OrderId,
    /// The wake that was noted for it.
    pub wake: Time,
    /// Its record; `None` where there is none.
    pub order: Result<Option<Order>, Unreadable>,
}

/// What `rested` found.
#[derive(Debug)]
pub struct Rested {
    /// The store's time.
    pub now: Time,
    /// Notes whose time has come.
    pub notes: Vec<RestedNote>,
}

/// A note of orders that came to rest together.
#[derive(Debug)]
pub struct RestedNote {
    /// Where.
    pub shard: Shard,
    /// What [`Commit::notes_done`] takes to remove the note.
    pub note: String,
    /// The orders that are still kept and can be read.
    pub orders: Vec<Order>,
}

/// Names an entry of an action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryRef {
    /// Where it lies.
    pub shard: Shard,
    /// Its id.
    pub id: String,
}

/// What `claim` leased.
#[derive(Debug)]
pub struct Claimed {
    /// The store's time.
    pub now: Time,
    /// The entries.
    pub entries: Vec<ClaimedEntry>,
    /// Entries that cannot be read: leased like the others, so that they come up again later, and otherwise left alone.
    pub unreadable: Vec<Unreadable>,
    /// When the next entry that was not claimed comes up: past, where more could have been claimed than the limit.
    pub next_at: Option<Time>,
}

/// An entry under lease.
#[derive(Debug, Clone)]
pub struct ClaimedEntry {
    /// Which one.
    pub entry: EntryRef,
    /// What happened.
    pub events: Vec<Event>,
    /// How it went so far, where an attempt was made before.
    pub history: Option<History>,
}

/// The attempts that failed so far.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// How many there were.
    pub attempts: u32,
    /// When the first was made.
    pub first_at: Time,
    /// The last ones' errors, at most [`History::ERRORS`], the latest last.
    pub errors: Vec<(Time, String)>,
}

impl History {
    /// How many errors are kept.
    pub const ERRORS: usize = 5;
}

/// An entry that was worked on.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which one.
    pub entry: EntryRef,
    /// What follows for events that were not done.
    pub after: Vec<After>,
}

/// What follows for an event that failed.
#[derive(Debug, Clone)]
pub enum After {
    /// It becomes an entry of its own, under its event id, and is attempted again.
    Retry {
        /// The event.
        event: Event,
        /// How it went so far.
        history: History,
        /// When it is attempted next.
        at: Time,
    },
    /// It becomes a dead letter, under its event id.
    Dead {
        /// The event.
        event: Event,
        /// How it went.
        history: History,
        /// When it was given up.
        at: Time,
    },
}

/// A list of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Those whose wake is still to come, the nearest first.
    Upcoming,
    /// Those whose wake has passed, the longest overdue first.
    Overdue,
    /// Those that are held, the longest held first.
    Held,
}

/// A page of a view.
#[derive(Debug)]
pub struct Page {
    /// The store's time.
    pub now: Time,
    /// The orders.
    pub items: Vec<Item>,
    /// Where the next page begins, if there is more.
    pub cursor: Option<String>,
}

/// A line of a page.
#[derive(Debug)]
pub struct Item {
    /// Which order.
    pub id: OrderId,
    /// Its wake; in the held view, since when it is held.
    pub at: Time,
    /// The order; `None` where its record is gone.
    pub order: Result<Option<Order>, Unreadable>,
}

/// The figures of a store.
#[derive(Debug, Clone)]
pub struct Stats {
    /// The store's time.
    pub now: Time,
    /// How many orders that are not resting stand in each status.
    pub orders: Vec<(Status, u64)>,
    /// How many events of each kind and cause there ever were.
    pub totals: Vec<(EventKind, Cause, u64)>,
    /// How many orders have a wake to come or passed.
    pub waiting: u64,
    /// How many of them have passed it.
    pub overdue: u64,
    /// The wake that passed longest ago.
    pub oldest_overdue: Option<Time>,
    /// How many orders are held.
    pub held: u64,
    /// Each action that entries or dead letters exist for, or ever did.
    pub actions: Vec<ActionStats>,
}

/// The figures of an action's outbox.
#[derive(Debug, Clone)]
pub struct ActionStats {
    /// The action's name.
    pub name: ActionName,
    /// How many entries wait, under lease or not.
    pub pending: u64,
    /// The earliest time at which one comes up.
    pub next_at: Option<Time>,
    /// How many dead letters there are.
    pub dead: u64,
    /// When the oldest of them was given up.
    pub oldest_dead: Option<Time>,
}

impl Change {
    /// By how much this change moves the counts: of orders by status, and of events by kind and cause.
    #[must_use]
    pub fn tally(&self) -> Vec<(String, i64)> {
        let is = self.order.as_ref().filter(|order| !order.is_resting()).map(|order| order.status);
        let mut tally = Vec::with_capacity(3);
        if self.was != is {
            tally.extend(self.was.map(|status| (status.to_string(), -1)));
            tally.extend(is.map(|status| (status.to_string(), 1)));
        }
        tally.extend(self.events.iter().map(|event| (count_key(event.kind(), event.cause()), 1)));
        tally
    }
}

/// Under which key events are counted.
fn count_key(kind: EventKind, cause: Cause) -> String {
    format!("{kind}/{cause}")
}

impl Stats {
    /// Takes in one stored count, under the key that [`Change::tally`] gave it. An unknown key is a newer version's.
    pub fn add_count(&mut self, key: &str, count: i64) {
        let count = u64::try_from(count).unwrap_or(0);
        if let Ok(status) = key.parse::<Status>() {
            let known = self.orders.iter_mut().find(|(known, _)| *known == status);
            match known {
                Some((_, sum)) => *sum += count,
                None => self.orders.push((status, count)),
            }
            return;
        }
        let Some((kind, cause)) = EventKind::ALL
            .into_iter()
            .flat_map(|kind| Cause::ALL.map(|cause| (kind, cause)))
            .find(|(kind, cause)| count_key(*kind, *cause) == key)
        else {
            return;
        };
        match self.totals.iter_mut().find(|(k, c, _)| (*k, *c) == (kind, cause)) {
            Some((_, _, sum)) => *sum += count,
            None => self.totals.push((kind, cause, count)),
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            View::Upcoming => "upcoming",
            View::Overdue => "overdue",
            View::Held => "held",
        })
    }
}
