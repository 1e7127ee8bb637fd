//! Outbox entries: claimed, worked on, and settled.

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Event, Time};

use super::Shard;

/// Names an entry of an action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryRef {
    /// Where it lies.
    pub shard: Shard,
    /// Its id.
    pub id: String,
}

/// What `claim` leased.
#[derive(Debug)]
pub struct Claimed {
    /// The store's time.
    pub now: Time,
    /// The entries.
    pub entries: Vec<ClaimedEntry>,
    /// Entries that cannot be read: leased like the others, so that they come up again later, and otherwise left alone.
    pub unreadable: Vec<Unreadable>,
    /// When the next entry that was not claimed comes up: past, where more could have been claimed than the limit.
    pub next_at: Option<Time>,
}

/// An entry under lease.
#[derive(Debug, Clone)]
pub struct ClaimedEntry {
    /// Which one.
    pub entry: EntryRef,
    /// What happened.
    pub events: Vec<Event>,
    /// How it went so far, where an attempt was made before.
    pub history: Option<History>,
}

/// The attempts that failed so far.
#[derive(Debug, Clone, PartialEq)]
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

/// What `relocate` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relocated {
    /// How many entries left the action.
    pub entries: u64,
    /// How many dead letters did.
    pub letters: u64,
}

/// An entry that was worked on.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which one.
    pub entry: EntryRef,
    /// What follows for events that were not done.
    pub after: Vec<After>,
}

/// What follows for what was not done.
#[derive(Debug, Clone)]
pub enum After {
    /// It becomes an entry of its own, under its event id, and is attempted again.
    Retry {
        /// The event.
        event: Event,
        /// How it went so far.
        history: History,
        /// When it is attempted next.
        at: Time,
    },
    /// It becomes a dead letter, under its event id.
    Dead {
        /// The event.
        event: Event,
        /// How it went.
        history: History,
        /// When it was given up.
        at: Time,
    },
    /// These were not attempted, and stay in the entry.
    Rest {
        /// The events.
        events: Vec<Event>,
        /// When the entry can be claimed again.
        at: Time,
    },
}
