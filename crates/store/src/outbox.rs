//! Outbox entries: claimed, attempted, settled, or given up as dead letters.

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{ActionName, Event, Shard, Time};

use crate::entry;

/// One lane of an action's outbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Queue {
    /// The action.
    pub action: ActionName,
    /// The lane.
    pub lane: Lane,
}

/// A lane of an action's outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Entries that wait for an attempt, sorted by its time or by the end of their lease.
    Pending,
    /// Dead letters, sorted by the time they were given up.
    Dead,
}

impl Queue {
    /// The entries of `action` that wait for an attempt.
    #[must_use]
    pub fn pending(action: &ActionName) -> Queue {
        Queue { action: action.clone(), lane: Lane::Pending }
    }

    /// The dead letters of `action`.
    #[must_use]
    pub fn dead(action: &ActionName) -> Queue {
        Queue { action: action.clone(), lane: Lane::Dead }
    }
}

/// Identifies an entry of an action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryRef {
    /// Its shard.
    pub shard: Shard,
    /// Its id.
    pub id: String,
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its shard and id.
    pub entry: EntryRef,
    /// Its time in its lane. For a claimed entry: when the lease ends.
    pub at: Time,
    /// Its text; `None` if it is missing or not UTF-8.
    pub text: Option<String>,
}

impl Entry {
    /// Parses the entry: its events, and its history if it was attempted before.
    ///
    /// # Errors
    /// The text was not written by this program.
    pub fn read(&self) -> Result<(Option<History>, Vec<Event>), Unreadable> {
        let missing = || Unreadable { id: self.entry.id.clone(), what: "no text".to_owned() };
        let text = self.text.as_deref().ok_or_else(missing)?;
        entry::decode(&self.entry.id, text)
    }
}

/// The result of `claim`.
#[derive(Debug)]
pub struct Claimed {
    /// The store's time.
    pub now: Time,
    /// The leased entries.
    pub entries: Vec<Entry>,
    /// When the next unclaimed entry can be claimed. In the past if more than the limit could have
    /// been claimed.
    pub next_at: Option<Time>,
}

/// The failed attempts so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Their number.
    pub attempts: u32,
    /// When the first one was made.
    pub first_at: Time,
    /// The last errors, at most [`History::ERRORS`], the most recent last.
    pub errors: Vec<(Time, String)>,
}

impl History {
    /// The maximum number of errors that are kept.
    pub const ERRORS: usize = 5;
}

/// The removal of an entry, and the entries stored in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The entry to remove.
    pub entry: EntryRef,
    /// The entries to store, in the same shard.
    pub follow_ups: Vec<FollowUp>,
}

impl Settlement {
    /// Removes the entry without follow-ups.
    #[must_use]
    pub fn done(entry: EntryRef) -> Settlement {
        Settlement { entry, follow_ups: Vec::new() }
    }
}

/// An entry stored in place of a settled one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// The queue to store it in. It can belong to another action.
    pub queue: Queue,
    /// Its id. An entry with this id is replaced, unless `only_if_absent` is set.
    pub id: String,
    /// Its time in its lane.
    pub at: Time,
    /// Its text.
    pub text: String,
    /// True to keep an existing entry with this id.
    pub only_if_absent: bool,
}

/// An entry to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Its shard and id.
    pub entry: EntryRef,
    /// Its time in its lane.
    pub at: Time,
    /// Its text.
    pub text: String,
}

/// Selects entries of a queue.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// A page, the earliest first. `cursor` comes from an earlier page of this queue.
    Page {
        /// Where the page begins; `None` for the first page.
        cursor: Option<&'a str>,
        /// The maximum number of entries.
        limit: usize,
    },
    /// The existing entries among these.
    Named(&'a [EntryRef]),
}
