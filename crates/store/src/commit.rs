//! What one decision round changes, and what became of it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use autoreceive_domain::{ActionName, Event, Order, OrderId, Policy, Shard, Span, Status, Time};

use crate::stats::count_key;
use crate::{Epoch, NoteRef, ShardState};

/// How old a decision may be when it is committed, so that a worker that was stopped in between
/// cannot commit a stale one.
pub const STALE_AFTER: Span = Span::TEN_SECONDS;

/// Everything that one decision round changes in one shard: written whole, or not at all.
#[derive(Debug)]
pub struct Commit {
    /// Where all of it lies.
    pub shard: Shard,
    /// The shard's time with which it was decided.
    pub now: Time,
    /// What the shard was when it was read. Nothing is written to another one.
    pub state: Arc<ShardState>,
    /// The pauses that were taken into account; `None` where they do not matter to what is done.
    pub epoch: Option<Epoch>,
    /// The read that every change of it follows from, if it is still held. It can make the commit
    /// cheaper, and nothing else: a store that cannot use it commits all the same.
    pub read: Option<ReadToken>,
    /// What is written.
    pub round: Arc<Round>,
}

/// What a commit writes.
#[derive(Debug, Default)]
pub struct Round {
    /// What becomes of orders; no order occurs twice.
    pub changes: Vec<Change>,
    /// What the actions are to do about it.
    pub entries: Vec<OutboxEntry>,
    /// The terms of orders placed here, stored where they are not yet known.
    pub policies: Vec<Policy>,
    /// Resting orders, and when to look whether they can be removed.
    pub notes: Vec<RetentionNote>,
    /// Notes that were looked at and are removed.
    pub notes_done: Vec<NoteRef>,
}

/// What becomes of one order.
#[derive(Debug, Clone)]
pub struct Change {
    /// The order.
    pub id: OrderId,
    /// The version that must be found; 0 matches only an order that does not exist.
    pub expected: u64,
    /// Under which status it was counted until now: none where it did not exist or was resting.
    pub was: Option<Status>,
    /// The order as it is to be kept, its due time with it; without one, record and due time are
    /// removed.
    pub order: Option<Arc<Order>>,
    /// What happened, one event for each new version, the last one showing `order`; none where
    /// nothing happened and only the due time is corrected or the record removed.
    pub events: Vec<Event>,
}

/// An outbox entry: the events of one commit for one action.
#[derive(Debug, Clone)]
pub struct OutboxEntry {
    /// For whom.
    pub action: ActionName,
    /// Unique for ever.
    pub id: String,
    /// When it can be claimed: the end of the committing worker's lease, or now.
    pub at: Time,
    /// Which events, at least one.
    pub events: EventSelection,
}

/// Which events of a commit belong to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSelection {
    /// Every event of every change.
    All,
    /// Some: (index of the change, index of its event).
    Some(Vec<(u32, u32)>),
}

impl EventSelection {
    /// The selected events of `changes`, in their order. Indices that lead nowhere are passed over.
    pub fn of<'a>(&'a self, changes: &'a [Change]) -> Box<dyn Iterator<Item = &'a Event> + 'a> {
        match self {
            EventSelection::All => Box::new(changes.iter().flat_map(|change| &change.events)),
            EventSelection::Some(some) => Box::new(some.iter().filter_map(|&(change, event)| {
                changes.get(change as usize)?.events.get(event as usize)
            })),
        }
    }
}

/// Orders that one commit brought to rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionNote {
    /// When to look whether they can be removed.
    pub look_at: Time,
    /// Indices of the changes.
    pub members: Vec<u32>,
}

/// A read that a store still holds: a commit that names it can be checked against that read itself.
/// One use. Dropping it lets the read go, whatever else happens: an empty plan, an error, a
/// cancelled task.
pub struct ReadToken(Box<dyn Any + Send + Sync>);

impl ReadToken {
    /// A token of a store's own.
    pub fn new(read: impl Any + Send + Sync) -> ReadToken {
        ReadToken(Box::new(read))
    }

    /// What the store put in; `None` where the token is another store's.
    #[must_use]
    pub fn into_read<T: Any>(self) -> Option<Box<T>> {
        self.0.downcast().ok()
    }
}

impl fmt::Debug for ReadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadToken")
    }
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitResult {
    /// All of it is written, as durably as the store promises.
    Committed,
    /// Nothing was written: what was decided no longer follows from what is there.
    Conflict {
        /// The orders that are in the way; empty where it is the whole decision.
        losers: Vec<OrderId>,
        /// What does not fit.
        why: Why,
    },
    /// Nothing was written, and the store says why.
    Refused(Refusal),
    /// Sent, but not answered: it may or may not have been committed, whole or not at all.
    Unknown(String),
}

/// Why a commit met a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Orders have another version than the expected one.
    Version,
    /// The decision is too old by the store's clock, or the clock was moved.
    Stale,
    /// Other pauses are in force than those that were taken into account.
    Epoch,
}

/// Why a store writes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is away, slow, full, or refuses for now.
    #[error("{0}")]
    Unavailable(String),
    /// The shard is not the one that was read: its data is gone, belongs to another store, or has
    /// another format.
    #[error("{0}")]
    Gone(String),
}

impl Change {
    /// By how much this change moves the counts: of orders by status, and of events by kind and
    /// cause.
    #[must_use]
    pub fn tally(&self) -> Vec<(String, i64)> {
        let is = self.counted_as();
        let mut tally = Vec::with_capacity(3);
        if self.was != is {
            tally.extend(self.was.map(|status| (status.to_string(), -1)));
            tally.extend(is.map(|status| (status.to_string(), 1)));
        }
        for event in &self.events {
            tally.push((count_key(event.kind(), event.cause()), 1));
        }
        tally
    }

    /// Under which status the order is counted from now on.
    fn counted_as(&self) -> Option<Status> {
        self.order.as_ref().filter(|order| !order.is_resting()).map(|order| order.status)
    }

    /// Whether both move the same counts by the same: most changes of a commit do.
    fn counts_like(&self, other: &Change) -> bool {
        let event = |event: &Event| (event.kind(), event.cause());
        self.was == other.was
            && self.counted_as() == other.counted_as()
            && self.events.iter().map(event).eq(other.events.iter().map(event))
    }
}

impl Round {
    /// By how much all changes together move each count, sorted; counts that do not move are left
    /// out.
    #[must_use]
    pub fn tally(&self) -> Vec<(String, i64)> {
        // Changes that are alike are tallied once: a herd is one kind of change.
        let mut kinds: Vec<(&Change, i64)> = Vec::new();
        for change in &self.changes {
            match kinds.iter_mut().rfind(|(known, _)| known.counts_like(change)) {
                Some((_, times)) => *times += 1,
                None => kinds.push((change, 1)),
            }
        }
        let mut sums: Vec<(String, i64)> = Vec::new();
        for (kind, times) in kinds {
            for (count, by) in kind.tally() {
                match sums.iter_mut().find(|(known, _)| *known == count) {
                    Some((_, sum)) => *sum += by * times,
                    None => sums.push((count, by * times)),
                }
            }
        }
        sums.retain(|(_, by)| *by != 0);
        sums.sort_unstable();
        sums
    }
}
