//! Outbox entries: claimed, worked on, settled, and given up.

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{ActionName, Event, Shard, Time};

use crate::entry;

/// One lane of an action's outbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Queue {
    /// Whose outbox.
    pub action: ActionName,
    /// Which lane of it.
    pub lane: Lane,
}

/// A lane of an action's outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Entries that wait for an attempt, by the time of that attempt or the end of their lease.
    Pending,
    /// Dead letters, by the time they were given up.
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

/// Names an entry of an action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryRef {
    /// Where it lies.
    pub shard: Shard,
    /// Its id.
    pub id: String,
}

/// An entry as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which one.
    pub entry: EntryRef,
    /// Its time in its lane; of a claimed one, when its lease ends.
    pub at: Time,
    /// Its text; `None` where there is none, or it is not UTF-8.
    pub text: Option<String>,
}

impl Entry {
    /// The events of the entry, and how their attempts went, where one was made.
    ///
    /// # Errors
    /// Where its text was not written by this program.
    pub fn read(&self) -> Result<(Option<History>, Vec<Event>), Unreadable> {
        let missing = || Unreadable { id: self.entry.id.clone(), what: "no text".to_owned() };
        let text = self.text.as_deref().ok_or_else(missing)?;
        entry::decode(&self.entry.id, text)
    }
}

/// What `claim` leased.
#[derive(Debug)]
pub struct Claimed {
    /// The store's time.
    pub now: Time,
    /// The entries.
    pub entries: Vec<Entry>,
    /// When the next entry that was not claimed comes up: past, where more could have been claimed
    /// than the limit.
    pub next_at: Option<Time>,
}

/// The attempts that failed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// An entry that is to be removed, and what is stored in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which one.
    pub entry: EntryRef,
    /// What follows, in the same shard.
    pub follow_ups: Vec<FollowUp>,
}

impl Settlement {
    /// The entry is removed, and nothing follows.
    #[must_use]
    pub fn done(entry: EntryRef) -> Settlement {
        Settlement { entry, follow_ups: Vec::new() }
    }
}

/// An entry that is stored in the place of a settled one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// Where to. It may be another action's.
    pub queue: Queue,
    /// Its id. An entry of that id is replaced, or stays as it is with `only_if_absent`.
    pub id: String,
    /// Its time in its lane.
    pub at: Time,
    /// Its text.
    pub text: String,
    /// Whether an entry of that id that is already in the queue stays as it is.
    pub only_if_absent: bool,
}

/// An entry that is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Where it goes, and its id.
    pub entry: EntryRef,
    /// Its time in its lane.
    pub at: Time,
    /// Its text.
    pub text: String,
}

/// Which entries of a queue.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// A page of at most `limit`, the earliest first, from where `cursor` (of an earlier page of
    /// this queue) points.
    Page {
        /// Where it begins; at the start without one.
        cursor: Option<&'a str>,
        /// The most entries.
        limit: usize,
    },
    /// Those named that are there.
    Named(&'a [EntryRef]),
}
