//! What one decision round changes, and what became of it.

use std::sync::Arc;

use autoreceive_domain::{Event, Order, OrderId, Policy, Span, Status, Time};

use super::list::count_key;
use crate::{ActionName, Shard};

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
