//! Dead letters: list, replay and discard, by id or by filter. Each call is short.

use autoreceive_domain::event::order_of;
use autoreceive_domain::{Span, Time};

use autoreceive_domain::Event;
use autoreceive_domain::record::Unreadable;
use autoreceive_store::{
    ActionName, Entry, EntryRef, FollowUp, History, Page, Queue, Settlement, StoreError, Which,
    entry,
};

use crate::worker::Engine;

/// Page size.
const PAGE: usize = 200;
/// The most pages read in one call.
const PAGES: usize = 10;

/// An event that failed for good.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The reference of its entry; the entry's id is the event's id.
    pub entry: EntryRef,
    /// When it became a dead letter.
    pub died_at: Time,
    /// The event, and its attempts.
    pub content: Result<(Event, History), Unreadable>,
    /// The stored text.
    text: Option<String>,
}

/// What to do with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Attempt it again, with no attempts counted.
    Replay,
    /// Remove it.
    Discard,
}

impl From<Entry> for DeadLetter {
    fn from(found: Entry) -> DeadLetter {
        let wrong = |what: &str| Unreadable { id: found.entry.id.clone(), what: what.to_owned() };
        let content = found.read().and_then(|(history, events)| {
            let event = events.into_iter().next().ok_or_else(|| wrong("no event"))?;
            Ok((event, history.ok_or_else(|| wrong("no history"))?))
        });
        DeadLetter { entry: found.entry, died_at: found.at, content, text: found.text }
    }
}

impl DeadLetter {
    /// The settlement at `now`. A replayed one becomes a pending entry under its event id, with
    /// no attempts counted. The store moves it in one step.
    fn settlement(&self, action: &ActionName, how: Resolution, now: Time) -> Settlement {
        let follow_ups = match (how, &self.text) {
            (Resolution::Replay, Some(text)) => vec![FollowUp {
                queue: Queue::pending(action),
                id: self.entry.id.clone(),
                at: now,
                text: entry::afresh(text, now),
                only_if_absent: true,
            }],
            _ => Vec::new(),
        };
        Settlement { entry: self.entry.clone(), follow_ups }
    }
}

/// Conditions on dead letters; without a condition, all match.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeadLetterSelection {
    /// Dead for at least this long.
    pub older_than: Option<Span>,
    /// The last error contains this text.
    pub error: Option<String>,
}

/// The result of replaying or discarding.
#[derive(Debug, Default, PartialEq)]
pub struct Resolved {
    /// Dead letters that matched.
    pub matched: u64,
    /// Dead letters that were replayed or discarded.
    pub done: u64,
    /// Dead letters that cannot be read. They can be discarded, but not replayed.
    pub unreadable: u64,
    /// The cursor of the next step, if there are more.
    pub cursor: Option<String>,
}

impl DeadLetterSelection {
    fn fits(&self, dead_letter: &DeadLetter, now: Time) -> bool {
        let old = self.older_than.is_none_or(|age| dead_letter.died_at <= now.before(age));
        let last = dead_letter.content.as_ref().ok().and_then(|(_, history)| history.errors.last());
        old && self
            .error
            .as_ref()
            .is_none_or(|text| last.is_some_and(|(_, error)| error.contains(text)))
    }
}

impl Engine {
    /// A page of dead letters. If few match the filter, a page can be shorter than `limit` even if
    /// there are more.
    ///
    /// # Errors
    /// If the store does not answer or the cursor was not issued for this action.
    pub async fn dead_letters(
        &self,
        action: &ActionName,
        filter: &DeadLetterSelection,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let mut page = self.dead_page(action, cursor, limit).await?;
        let now = page.now;
        page.items.retain(|dead_letter| filter.fits(dead_letter, now));
        for _ in 1..PAGES {
            let room = limit.saturating_sub(page.items.len());
            let Some(cursor) = page.cursor.as_deref().filter(|_| room > 0) else { break };
            let next = self.dead_page(action, Some(cursor), room).await?;
            page.items
                .extend(next.items.into_iter().filter(|dead_letter| filter.fits(dead_letter, now)));
            page.cursor = next.cursor;
        }
        Ok(page)
    }

    /// The dead letters of these events; events without one are left out.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn dead_letters_of(
        &self,
        action: &ActionName,
        events: &[String],
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let dead_letter = |id: &String| {
            Some(EntryRef { shard: self.core.shard_of(&order_of(id)?), id: id.clone() })
        };
        let dead_letters: Vec<EntryRef> = events.iter().filter_map(dead_letter).collect();
        let page =
            self.core.store.entries(&Queue::dead(action), Which::Named(&dead_letters)).await?;
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
        let dead_letters = page.items.into_iter().map(DeadLetter::from).collect();
        Ok(Page::new(page.now, dead_letters, page.cursor))
    }

    /// Replays or discards the dead letters of these events. Without `how`, only counts them.
    ///
    /// # Errors
    /// If the store does not answer. It is safe to repeat.
    pub async fn resolve_events(
        &self,
        action: &ActionName,
        events: &[String],
        how: Option<Resolution>,
    ) -> Result<Resolved, StoreError> {
        let mut resolved = Resolved::default();
        let dead_letters = self.dead_letters_of(action, events).await?;
        self.resolve(action, &dead_letters, how, &mut resolved).await?;
        Ok(resolved)
    }

    /// Replays or discards the matching dead letters, up to 2,000 in one step; the result has a
    /// cursor if there are more. Events that die after the first step are skipped, so that a
    /// failing event is not replayed for ever. Without `how`, only counts them.
    ///
    /// # Errors
    /// If the store does not answer or the cursor was not issued by an earlier step. It is safe to
    /// repeat.
    pub async fn resolve_matching(
        &self,
        action: &ActionName,
        filter: &DeadLetterSelection,
        cursor: Option<&str>,
        how: Option<Resolution>,
    ) -> Result<Resolved, StoreError> {
        let mut step = cursor.map(ResolveStep::parse).transpose()?;
        let mut resolved = Resolved::default();
        for _ in 0..PAGES {
            let page = self
                .dead_page(action, step.as_ref().map(|step| step.cursor.as_str()), PAGE)
                .await?;
            let began = step.map_or(page.now, |step| step.began);
            let (dead_letters, later): (Vec<_>, Vec<_>) =
                page.items.into_iter().partition(|dead_letter| dead_letter.died_at <= began);
            let dead_letters: Vec<DeadLetter> = dead_letters
                .into_iter()
                .filter(|dead_letter| filter.fits(dead_letter, began))
                .collect();
            self.resolve(action, &dead_letters, how, &mut resolved).await?;
            step = page
                .cursor
                .filter(|_| later.is_empty())
                .map(|cursor| ResolveStep { began, cursor });
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
        dead_letters: &[DeadLetter],
        how: Option<Resolution>,
        resolved: &mut Resolved,
    ) -> Result<(), StoreError> {
        resolved.matched += dead_letters.len() as u64;
        resolved.unreadable +=
            dead_letters.iter().filter(|dead_letter| dead_letter.content.is_err()).count() as u64;
        let able = |dead_letter: &&DeadLetter| {
            dead_letter.content.is_ok() || how == Some(Resolution::Discard)
        };
        let able: Vec<&DeadLetter> = dead_letters.iter().filter(able).collect();
        let Some(how) = how.filter(|_| !able.is_empty()) else { return Ok(()) };
        let now = self.core.store.now().await?;
        let settlements =
            able.into_iter().map(|dead_letter| dead_letter.settlement(action, how, now)).collect();
        let done = self.core.store.settle(&Queue::dead(action), settlements).await?;
        resolved.done += done;
        let what = if how == Resolution::Replay { "replayed" } else { "discarded" };
        tracing::info!(%action, count = done, "dead letters {what}");
        if how == Resolution::Replay {
            self.core.queues.notify(action);
        }
        Ok(())
    }
}

/// The position between two steps.
struct ResolveStep {
    /// When the first step began, by the store's clock.
    began: Time,
    /// The store's own cursor.
    cursor: String,
}

impl ResolveStep {
    fn parse(text: &str) -> Result<ResolveStep, StoreError> {
        let read = || {
            let (began, cursor) = text.split_once('.')?;
            Some(ResolveStep {
                began: Time::from_ms(began.parse().ok()?),
                cursor: cursor.to_owned(),
            })
        };
        read().ok_or_else(|| StoreError::WrongCursor(text.chars().take(80).collect()))
    }
}
