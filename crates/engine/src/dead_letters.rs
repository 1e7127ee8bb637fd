//! What failed for good: found, replayed and discarded, by id or by filter, in steps that are short
//! enough to be waited for.

use autoreceive_domain::event::order_of;
use autoreceive_domain::{Span, Time};

use autoreceive_domain::Event;
use autoreceive_domain::record::Unreadable;
use autoreceive_store::{
    ActionName, Entry, EntryRef, FollowUp, History, Page, Queue, Settlement, StoreError, Which,
    entry,
};

use crate::worker::Engine;

/// How many dead letters are read at a time.
const PAGE: usize = 200;
/// How many pages are looked through for one answer.
const PAGES: usize = 10;

/// An event that an action failed at for good.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Where it lies, and the event's id.
    pub letter: EntryRef,
    /// When it was given up.
    pub died_at: Time,
    /// What happened, and how its attempts went.
    pub content: Result<(Event, History), Unreadable>,
    /// Its text, as it is kept.
    text: Option<String>,
}

/// How a dead letter ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It is attempted again, as if for the first time.
    Replay,
    /// It is removed.
    Discard,
}

impl From<Entry> for DeadLetter {
    fn from(found: Entry) -> DeadLetter {
        let wrong = |what: &str| Unreadable { id: found.entry.id.clone(), what: what.to_owned() };
        let content = found.read().and_then(|(history, events)| {
            let event = events.into_iter().next().ok_or_else(|| wrong("no event"))?;
            Ok((event, history.ok_or_else(|| wrong("no history"))?))
        });
        DeadLetter { letter: found.entry, died_at: found.at, content, text: found.text }
    }
}

impl DeadLetter {
    /// What settles it at `now`. A replayed one becomes a pending entry under its event id, with no
    /// attempts made; the removal from the one lane and the entry in the other are one step of the
    /// store.
    fn settlement(&self, action: &ActionName, how: Resolution, now: Time) -> Settlement {
        let follow_ups = match (how, &self.text) {
            (Resolution::Replay, Some(text)) => vec![FollowUp {
                queue: Queue::pending(action),
                id: self.letter.id.clone(),
                at: now,
                text: entry::afresh(text, now),
                only_if_absent: true,
            }],
            _ => Vec::new(),
        };
        Settlement { entry: self.letter.clone(), follow_ups }
    }
}

/// Which dead letters; without a condition, all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LetterFilter {
    /// Those that were given up at least so long ago.
    pub older_than: Option<Span>,
    /// Those whose last error has this text in it.
    pub error: Option<String>,
}

/// What became of dead letters.
#[derive(Debug, Default, PartialEq)]
pub struct Resolved {
    /// How many were found.
    pub matched: u64,
    /// How many of them were replayed or discarded.
    pub done: u64,
    /// How many of them cannot be read; they can be discarded, but not replayed.
    pub unreadable: u64,
    /// Where to go on, if there is more.
    pub cursor: Option<String>,
}

impl LetterFilter {
    fn fits(&self, letter: &DeadLetter, now: Time) -> bool {
        let old = self.older_than.is_none_or(|age| letter.died_at <= now.before(age));
        let last = letter.content.as_ref().ok().and_then(|(_, history)| history.errors.last());
        old && self
            .error
            .as_ref()
            .is_none_or(|text| last.is_some_and(|(_, error)| error.contains(text)))
    }
}

impl Engine {
    /// A page of dead letters. Where few fit the filter, it can be shorter than `limit` and yet not
    /// the last.
    ///
    /// # Errors
    /// Where the store does not answer or the cursor is not one of this action's.
    pub async fn dead_letters(
        &self,
        action: &ActionName,
        filter: &LetterFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let mut page = self.dead_page(action, cursor, limit).await?;
        let now = page.now;
        page.items.retain(|letter| filter.fits(letter, now));
        for _ in 1..PAGES {
            let room = limit.saturating_sub(page.items.len());
            let Some(cursor) = page.cursor.as_deref().filter(|_| room > 0) else { break };
            let next = self.dead_page(action, Some(cursor), room).await?;
            page.items.extend(next.items.into_iter().filter(|letter| filter.fits(letter, now)));
            page.cursor = next.cursor;
        }
        Ok(page)
    }

    /// The dead letters of these events that are there.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn dead_letters_of(
        &self,
        action: &ActionName,
        events: &[String],
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let letter = |id: &String| {
            Some(EntryRef { shard: self.core.shard_of(&order_of(id)?), id: id.clone() })
        };
        let letters: Vec<EntryRef> = events.iter().filter_map(letter).collect();
        let page = self.core.store.entries(&Queue::dead(action), Which::Named(&letters)).await?;
        Ok(page.items.into_iter().map(DeadLetter::from).collect())
    }

    async fn dead_page(
        &self,
        action: &ActionName,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let page =
            self.core.store.entries(&Queue::dead(action), Which::Page { cursor, limit }).await?;
        let letters = page.items.into_iter().map(DeadLetter::from).collect();
        Ok(Page::new(page.now, letters, page.cursor))
    }

    /// Replays or discards the dead letters of these events that are there; without `how`, only
    /// counts them.
    ///
    /// # Errors
    /// Where the store does not answer; repeating it is safe.
    pub async fn resolve_events(
        &self,
        action: &ActionName,
        events: &[String],
        how: Option<Resolution>,
    ) -> Result<Resolved, StoreError> {
        let mut resolved = Resolved::default();
        let letters = self.dead_letters_of(action, events).await?;
        self.resolve(action, &letters, how, &mut resolved).await?;
        Ok(resolved)
    }

    /// Replays or discards those that fit the filter, a few thousand at a time: while there is a
    /// cursor, there is more. Those that are given up after the first step are left alone, so that
    /// what fails again is not replayed for ever. Without `how`, only counts them.
    ///
    /// # Errors
    /// Where the store does not answer or the cursor is not one of these steps'; repeating it is
    /// safe.
    pub async fn resolve_matching(
        &self,
        action: &ActionName,
        filter: &LetterFilter,
        cursor: Option<&str>,
        how: Option<Resolution>,
    ) -> Result<Resolved, StoreError> {
        let mut step = cursor.map(Step::parse).transpose()?;
        let mut resolved = Resolved::default();
        for _ in 0..PAGES {
            let page = self
                .dead_page(action, step.as_ref().map(|step| step.cursor.as_str()), PAGE)
                .await?;
            let began = step.map_or(page.now, |step| step.began);
            let (letters, later): (Vec<_>, Vec<_>) =
                page.items.into_iter().partition(|letter| letter.died_at <= began);
            let letters: Vec<DeadLetter> =
                letters.into_iter().filter(|letter| filter.fits(letter, began)).collect();
            self.resolve(action, &letters, how, &mut resolved).await?;
            step = page.cursor.filter(|_| later.is_empty()).map(|cursor| Step { began, cursor });
            if step.is_none() {
                break;
            }
        }
        resolved.cursor = step.map(|step| format!("{}.{}", step.began.ms(), step.cursor));
        Ok(resolved)
    }

    async fn resolve(
        &self,
        action: &ActionName,
        letters: &[DeadLetter],
        how: Option<Resolution>,
        resolved: &mut Resolved,
    ) -> Result<(), StoreError> {
        resolved.matched += letters.len() as u64;
        resolved.unreadable +=
            letters.iter().filter(|letter| letter.content.is_err()).count() as u64;
        let able =
            |letter: &&DeadLetter| letter.content.is_ok() || how == Some(Resolution::Discard);
        let able: Vec<&DeadLetter> = letters.iter().filter(able).collect();
        let Some(how) = how.filter(|_| !able.is_empty()) else { return Ok(()) };
        let now = self.core.store.now().await?;
        let settlements =
            able.into_iter().map(|letter| letter.settlement(action, how, now)).collect();
        let done = self.core.store.settle(&Queue::dead(action), settlements).await?;
        resolved.done += done;
        let what = if how == Resolution::Replay { "replayed" } else { "discarded" };
        tracing::info!(%action, count = done, "dead letters {what}");
        if how == Resolution::Replay {
            self.core.outbox.notify(action);
        }
        Ok(())
    }
}

/// Where a walk over dead letters stands.
struct Step {
    /// When the walk began, by the store's clock.
    began: Time,
    /// The store's own cursor.
    cursor: String,
}

impl Step {
    fn parse(text: &str) -> Result<Step, StoreError> {
        let read = || {
            let (began, cursor) = text.split_once('.')?;
            Some(Step { began: Time::from_ms(began.parse().ok()?), cursor: cursor.to_owned() })
        };
        read().ok_or_else(|| StoreError::WrongCursor(text.chars().take(80).collect()))
    }
}
