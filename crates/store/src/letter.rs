//! Dead letters as a store hands them out.

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Event, Time};

use super::{EntryRef, History, entry};

/// An event that an action failed at for good.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Where it lies, and the event's id.
    pub letter: EntryRef,
    /// When it was given up.
    pub died_at: Time,
    /// What happened, and how its attempts went.
    pub content: Result<(Event, History), Unreadable>,
}

/// A page of dead letters.
#[derive(Debug)]
pub struct DeadPage {
    /// The store's time.
    pub now: Time,
    /// The dead letters.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins, if there is more.
    pub cursor: Option<String>,
}

/// How a dead letter ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It is attempted again, as if for the first time.
    Replay,
    /// It is removed.
    Discard,
}

impl DeadLetter {
    /// A dead letter from its stored text; none where there is no text.
    pub fn read(letter: EntryRef, died_at: Time, text: Option<&str>) -> DeadLetter {
        let wrong = |what: &str| Unreadable { id: letter.id.clone(), what: what.to_owned() };
        let content =
            text.ok_or_else(|| wrong("no text")).and_then(|text| entry::decode(&letter.id, text)).and_then(|(history, events)| {
                let event = events.into_iter().next().ok_or_else(|| wrong("no event"))?;
                Ok((event, history.ok_or_else(|| wrong("no history"))?))
            });
        DeadLetter { letter, died_at, content }
    }
}
