//! What was found: one shard's time and state, and the orders in it.

use std::fmt;
use std::sync::Arc;

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Order, OrderId, Shard, Time};

use crate::ReadToken;

/// An answer of one shard, with the shard's own time and state when it was read.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The shard's time: the `now` of every decision about it.
    pub now: Time,
    /// What the shard was then. A commit names it.
    pub shard: Arc<ShardState>,
    /// What was found.
    pub value: T,
}

impl<T> At<T> {
    /// The same time and state with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { now: self.now, shard: self.shard, value: f(self.value) }
    }
}

/// What a shard is: checked by every commit, so that nothing is written to another store, or into
/// a layout that the writer does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardState {
    /// Which store it belongs to.
    pub id: Identity,
    /// The layout of what it holds.
    pub format: Format,
    /// The pauses that are in force, as a hash of them.
    pub epoch: Epoch,
}

impl ShardState {
    /// A shard without pauses.
    #[must_use]
    pub fn new(id: Identity, format: Format) -> ShardState {
        ShardState { id, format, epoch: Epoch::NONE }
    }
}

/// What sets a store apart from every other: made when it is created, and gone with its data.
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

/// The layout of a shard, as a number that rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Format(pub u32);

impl Format {
    /// The layout that this version of the program reads and writes.
    pub const CURRENT: Format = Format(2);
}

/// A hash of the pauses in force; equal sets of pauses have equal epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// No pause is in force.
    pub const NONE: Epoch = Epoch(0);
}

/// What stands under an order's id: the order, nothing, or a record that cannot be read.
pub type Slot = Result<Option<Order>, Unreadable>;

/// A shard to be looked at for due orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Which one.
    pub shard: Shard,
    /// How many entries beyond the limit to read, because so many are known to be left alone.
    pub extra: usize,
}

/// The due orders of a shard.
#[derive(Debug)]
#[non_exhaustive]
pub struct DueShard {
    /// Which one.
    pub shard: Shard,
    /// The due orders, the earliest first.
    pub orders: Vec<DueOrder>,
    /// Due orders that a pause keeps, to be put aside.
    pub parked: Vec<DueOrder>,
    /// When there is something to look at next, never later than the due time of the first order
    /// that was not taken: past, where more may be due than the limit.
    pub next_at: Option<Time>,
    /// Suggested size of the next batch. Shrinks while the store answers slowly, so that its other
    /// clients are not blocked.
    pub suggested: usize,
    /// The read that these orders came from. A commit that follows from it may name it.
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

/// An order whose noted due time has come. Whether the order agrees is for the reader to check.
#[derive(Debug)]
pub struct DueOrder {
    /// Which one.
    pub id: OrderId,
    /// What stands under its id.
    pub order: Slot,
}
