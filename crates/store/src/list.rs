//! Lists of orders.

use std::fmt;

use autoreceive_domain::{OrderId, Shard, Time};

use crate::Slot;

/// A list of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum View {
    /// Orders whose due time is in the future, the nearest first.
    Upcoming,
    /// Orders whose due time has passed, the longest overdue first.
    Overdue,
    /// Held orders, the longest held first.
    Held,
    /// Resting orders that retention must look at now, the earliest first. A page holds whole notes
    /// and its limit counts notes. Every order of a note is a row, even if it is gone. There is no
    /// cursor: a commit removes the notes that were handled.
    Resting,
    /// All orders, in no particular order. An order that exists from the first page to the last is
    /// listed at least once. The first page has the total.
    All,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The store's time.
    pub now: Time,
    /// The rows.
    pub items: Vec<T>,
    /// The cursor for the next page, if there is one.
    pub cursor: Option<String>,
    /// The total number of orders. Only on the first page of [`View::All`].
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// A page without a total.
    #[must_use]
    pub fn new(now: Time, items: Vec<T>, cursor: Option<String>) -> Page<T> {
        Page { now, items, cursor, total: None }
    }
}

/// A row of a list of orders.
#[derive(Debug)]
#[non_exhaustive]
pub struct Row {
    /// The order's shard.
    pub shard: Shard,
    /// The order's id.
    pub id: OrderId,
    /// The time that the list is sorted by: the due time, the time of the hold, or the time of the
    /// note. In [`View::All`] the due time, or the Unix epoch if there is none.
    pub at: Time,
    /// The stored record.
    pub order: Slot,
    /// The note of the row. Only in [`View::Resting`].
    pub note: Option<NoteRef>,
}

impl Row {
    /// A row without a note.
    #[must_use]
    pub fn new(shard: Shard, id: OrderId, at: Time, order: Slot) -> Row {
        Row { shard, id, at, order, note: None }
    }
}

/// Identifies a note of resting orders, in the store's own format.
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
