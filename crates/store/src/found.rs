//! What was found: orders by their ids, by their wakes, and by when they came to rest.

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Order, OrderId, Time};

use super::Shard;

/// What `load` found.
#[derive(Debug)]
pub struct Loaded {
    /// The store's time at which it was read.
    pub now: Time,
    /// One for each id.
    pub orders: Vec<Result<Option<Order>, Unreadable>>,
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
    /// When there is something to look at next, never later than the wake of the first entry that was not taken: past, where
    /// more may be due than the limit.
    pub next_at: Option<Time>,
}

/// An order whose noted wake has come, by the note; whether the order agrees is for the reader to check.
#[derive(Debug)]
pub struct DueOrder {
    /// Which one.
    pub id: OrderId,
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

/// What `scan` found.
#[derive(Debug)]
pub struct Scan {
    /// The store's time.
    pub now: Time,
    /// Orders.
    pub orders: Vec<Result<Order, Unreadable>>,
    /// How many there are altogether; said by the first scan only.
    pub total: Option<u64>,
    /// Where to go on, if there is more.
    pub cursor: Option<String>,
}
