//! Results of reads: a shard's time and state, and its orders.

use std::fmt;
use std::sync::Arc;

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Order, OrderId, Shard, Time};

use crate::ReadToken;

/// A result from one shard, with the shard's time and state at that moment.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The shard's time: the `now` of every decision about it.
    pub now: Time,
    /// The shard's state. A commit must name it.
    pub shard: Arc<ShardState>,
    /// The result.
    pub value: T,
}

impl<T> At<T> {
    /// The same time and state with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { now: self.now, shard: self.shard, value: f(self.value) }
    }
}

/// The state of a shard. Every commit checks it, so that nothing is written to another store or
/// into an unknown layout.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardState {
    /// The store that the shard belongs to.
    pub id: Identity,
    /// The layout of its data.
    pub format: Format,
    /// A hash of the pauses in force.
    pub epoch: Epoch,
}

impl ShardState {
    /// A shard without pauses.
    #[must_use]
    pub fn new(id: Identity, format: Format) -> ShardState {
        ShardState { id, format, epoch: Epoch::NONE }
    }
}

/// The unique identity of a store. It is created with the store and lost with its data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    /// The identity as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Identity {
    fn from(text: &str) -> Identity {
        Identity(text.into())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The layout version of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Format(pub u32);

impl Format {
    /// The layout that this program version reads and writes.
    pub const CURRENT: Format = Format(2);
}

/// A hash of the pauses in force. Equal sets of pauses have equal epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// No pause is in force.
    pub const NONE: Epoch = Epoch(0);
}

/// The stored order, if there is one, or an error if the record cannot be read.
pub type Slot = Result<Option<Order>, Unreadable>;

/// A request for the due orders of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The shard.
    pub shard: Shard,
    /// Number of orders to read beyond the limit: the caller ignores this many.
    pub extra: usize,
}

/// The due orders of a shard.
#[derive(Debug)]
#[non_exhaustive]
pub struct DueShard {
    /// The shard.
    pub shard: Shard,
    /// The due orders, the earliest first.
    pub orders: Vec<DueOrder>,
    /// Due orders that a pause blocks.
    pub parked: Vec<DueOrder>,
    /// When to look at the shard next. Never later than the due time of the first order not
    /// returned. In the past if more orders than the limit may be due.
    pub next_at: Option<Time>,
    /// Suggested size of the next batch. Shrinks while the store answers slowly, so that its other
    /// clients are not blocked.
    pub suggested: usize,
    /// The read that returned these orders. A commit that follows from it may name it.
    pub read: Option<ReadToken>,
}

impl DueShard {
    /// A shard in which nothing is due.
    #[must_use]
    pub fn empty(shard: Shard) -> DueShard {
        DueShard {
            shard,
            orders: Vec::new(),
            parked: Vec::new(),
            next_at: None,
            suggested: usize::MAX,
            read: None,
        }
    }
}

/// An order whose stored due time has come. The caller must check the due time of the order itself.
#[derive(Debug)]
pub struct DueOrder {
    /// The order's id.
    pub id: OrderId,
    /// The stored record.
    pub order: Slot,
}
