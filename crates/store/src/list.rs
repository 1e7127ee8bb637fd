//! Lists of orders.

use std::fmt;

use autoreceive_domain::{OrderId, Shard, Time};

use crate::Slot;

/// A list of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum View {
    /// Those whose due time is still to come, the nearest first.
    Upcoming,
    /// Those whose due time has passed, the longest overdue first.
    Overdue,
    /// Those that are held, the longest held first.
    Held,
    /// Those that rest and whose time has come to look whether they can be removed, the earliest
    /// first. A page holds whole notes: its limit counts notes, and every order of a note is a row,
    /// also one that is gone. There is no cursor: notes that were looked at are removed by a
    /// commit.
    Resting,
    /// All that there are, in no particular order: every order that is there from the first page to
    /// the last comes up at least once. The first page says how many there are.
    All,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The store's time.
    pub now: Time,
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins, if there is more.
    pub cursor: Option<String>,
    /// How many there are altogether; only on the first page of [`View::All`].
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// A page without a total.
    #[must_use]
    pub fn new(now: Time, items: Vec<T>, cursor: Option<String>) -> Page<T> {
        Page { now, items, cursor, total: None }
    }
}

/// A line of a list of orders.
#[derive(Debug)]
#[non_exhaustive]
pub struct Row {
    /// Where the order lies.
    pub shard: Shard,
    /// Which order.
    pub id: OrderId,
    /// By what the list is sorted: the due time, since when it is held, or when to look at it. In
    /// [`View::All`] its due time; the epoch where it has none.
    pub at: Time,
    /// What stands under its id.
    pub order: Slot,
    /// The note that it belongs to, in [`View::Resting`].
    pub note: Option<NoteRef>,
}

impl Row {
    /// A line without a note.
    #[must_use]
    pub fn new(shard: Shard, id: OrderId, at: Time, order: Slot) -> Row {
        Row { shard, id, at, order, note: None }
    }
}

/// Names a note of resting orders, in a store's own words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NoteRef(pub std::sync::Arc<str>);

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            View::Upcoming => "upcoming",
            View::Overdue => "overdue",
            View::Held => "held",
            View::Resting => "resting",
            View::All => "all",
        })
    }
}
