//! Commits: the changes of one decision round, and their result.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use autoreceive_domain::{ActionName, Event, Order, OrderId, Policy, Shard, Span, Status, Time};

use crate::stats::count_key;
use crate::{Epoch, NoteRef, ShardState};

/// The maximum age of a decision at its commit. It prevents a worker that was suspended in between
/// from committing a stale decision.
pub const STALE_AFTER: Span = Span::TEN_SECONDS;

/// All changes of one decision round in one shard. Written whole or not at all.
#[derive(Debug)]
pub struct Commit {
    /// The shard of all changes.
    pub shard: Shard,
    /// The shard's time that the decision used.
    pub now: Time,
    /// The state of the shard when it was read. If the shard has another identity or format,
    /// nothing is written.
    pub state: Arc<ShardState>,
    /// The pauses that the decision considered; `None` if they do not matter.
    pub epoch: Option<Epoch>,
    /// The read that all changes follow from, if the store still holds it. It only makes the commit
    /// cheaper. A store that cannot use it ignores it.
    pub read: Option<ReadToken>,
    /// The data to write.
    pub round: Arc<Round>,
}

/// The data of a commit.
#[derive(Debug, Default)]
pub struct Round {
    /// The changes of orders. No order occurs twice.
    pub changes: Vec<Change>,
    /// The outbox entries for the actions.
    pub entries: Vec<OutboxEntry>,
    /// The policies of new orders. Stored if the shard does not have them.
    pub policies: Vec<Policy>,
    /// Resting orders, and when retention must look at them.
    pub notes: Vec<RetentionNote>,
    /// Notes that retention has handled and removes.
    pub notes_done: Vec<NoteRef>,
}

/// The change of one order.
#[derive(Debug, Clone)]
pub struct Change {
    /// The order's id.
    pub id: OrderId,
    /// The version that must be there; 0 means that the order must not exist.
    pub expected: u64,
    /// The status it was counted under until now; `None` if it did not exist or was resting.
    pub was: Option<Status>,
    /// The new record and due time of the order. `None` removes both.
    pub order: Option<Arc<Order>>,
    /// One event for each new version; the last one contains `order`. Empty if only the due time is
    /// corrected or the record is removed.
    pub events: Vec<Event>,
}

/// An outbox entry: the events of one commit for one action.
#[derive(Debug, Clone)]
pub struct OutboxEntry {
    /// The action.
    pub action: ActionName,
    /// The entry's id. It is never reused.
    pub id: String,
    /// When it can be claimed: at the end of the committing worker's lease, or now.
    pub at: Time,
    /// Its events, at least one.
    pub events: EventSelection,
}

/// The events of a commit that belong to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSelection {
    /// Every event of every change.
    All,
    /// These events: (index of the change, index of its event).
    Some(Vec<(u32, u32)>),
}

impl EventSelection {
    /// The selected events of `changes`, in their order. Invalid indices are ignored.
    pub fn of<'a>(&'a self, changes: &'a [Change]) -> Box<dyn Iterator<Item = &'a Event> + 'a> {
        match self {
            EventSelection::All => Box::new(changes.iter().flat_map(|change| &change.events)),
            EventSelection::Some(some) => Box::new(some.iter().filter_map(|&(change, event)| {
                changes.get(change as usize)?.events.get(event as usize)
            })),
        }
    }
}

/// Orders that came to rest in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionNote {
    /// When retention must look at them.
    pub look_at: Time,
    /// Indices of the changes.
    pub members: Vec<u32>,
}

/// A read that a store still holds. A commit that names it can be checked against this read. It can
/// be used once. Dropping it releases the read, also after an empty plan, an error or a cancelled
/// task.
pub struct ReadToken(Box<dyn Any + Send + Sync>);

impl ReadToken {
    /// Wraps a store's own data.
    pub fn new(read: impl Any + Send + Sync) -> ReadToken {
        ReadToken(Box::new(read))
    }

    /// Unwraps the store's own data; `None` if the token is from another store.
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

/// The result of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitResult {
    /// Everything is written, as durably as the store promises.
    Committed,
    /// Nothing was written, because the decision no longer fits the stored data.
    Conflict {
        /// The orders in conflict; empty if the whole decision is in conflict.
        losers: Vec<OrderId>,
        /// The kind of conflict.
        why: Why,
    },
    /// Nothing was written, for the given reason.
    Refused(Refusal),
    /// Sent but not answered: the commit may have been written, whole or not at all.
    Unknown(String),
}

/// The kind of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Some orders have another version than expected.
    Version,
    /// The decision is too old by the store's clock, or the clock was changed.
    Stale,
    /// The pauses in force are not those that the decision considered.
    Epoch,
}

/// Why a store refused a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The store is unavailable, slow or full, or refuses temporarily.
    #[error("{0}")]
    Unavailable(String),
    /// The shard is not the one that was read: its data is gone, belongs to another store, or has
    /// another format.
    #[error("{0}")]
    Gone(String),
}

impl Change {
    /// The differences that this change makes to the counts of orders by status and of events by
    /// kind and cause.
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

    /// The status that the order is counted under from now on.
    fn counted_as(&self) -> Option<Status> {
        self.order.as_ref().filter(|order| !order.is_resting()).map(|order| order.status)
    }

    /// True if both changes have the same tally. Most changes of one commit do.
    fn counts_like(&self, other: &Change) -> bool {
        let event = |event: &Event| (event.kind(), event.cause());
        self.was == other.was
            && self.counted_as() == other.counted_as()
            && self.events.iter().map(event).eq(other.events.iter().map(event))
    }
}

impl Round {
    /// The sum of the tallies of all changes, sorted, without zeros.
    #[must_use]
    pub fn tally(&self) -> Vec<(String, i64)> {
        // Equal tallies are computed once. Orders that come due together make equal changes.
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
