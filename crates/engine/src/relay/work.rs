//! Grouping entries into attempts, and the follow-up of each outcome.

use std::collections::HashSet;

use autoreceive_domain::backoff::next_wait;
use autoreceive_domain::{Event, Span, Time};

use crate::action::Outcome;
use autoreceive_store::now::span;
use autoreceive_store::{ActionName, FollowUp, History, Queue, entry};

use crate::outbox::ClaimedEntry;

/// After this number of failures an event is attempted alone: it may be the poison event that makes
/// the others fail.
const ALONE_AFTER: u32 = 3;

/// Groups entries into attempts of up to `batch` events, and no event twice. After an outage or a
/// backfill each event is an entry of its own; attempts of one entry each would take 100 times as
/// long.
pub(super) fn group_into_attempts(
    entries: Vec<ClaimedEntry>,
    batch: usize,
) -> Vec<Vec<ClaimedEntry>> {
    if entries.len() <= 1 {
        return entries.into_iter().map(|entry| vec![entry]).collect();
    }
    let mut attempts: Vec<Vec<ClaimedEntry>> = Vec::new();
    let mut ids = HashSet::new();
    let mut room = 0;
    for entry in entries {
        let alone = entry.history.as_ref().is_some_and(|history| history.attempts >= ALONE_AFTER);
        if alone {
            attempts.insert(0, vec![entry]);
            continue;
        }
        let new: Vec<String> = entry.events.iter().map(Event::id).collect();
        if new.len() > room || new.iter().any(|id| ids.contains(id)) {
            attempts.push(Vec::new());
            ids.clear();
            room = batch;
        }
        room = room.saturating_sub(new.len());
        ids.extend(new);
        if let Some(attempt) = attempts.last_mut() {
            attempt.push(entry);
        }
    }
    attempts
}

/// The follow-up of one outcome: none, another attempt, or a dead letter. Attempts before
/// `enabled_at`, when the endpoint was last enabled, do not count.
pub(super) fn follow_up(
    action: &ActionName,
    event: &Event,
    outcome: Outcome,
    before: Option<&History>,
    now: Time,
    enabled_at: Option<Time>,
) -> Option<FollowUp> {
    let (why, asked, dead) = match outcome {
        Outcome::Done => return None,
        Outcome::Retry { why, after } => (why, after.map_or(Span::ZERO, span), false),
        Outcome::Dead { why } => (why, Span::ZERO, true),
    };
    let mut history =
        before.cloned().unwrap_or(History { attempts: 0, first_at: now, errors: Vec::new() });
    if enabled_at.is_some_and(|enabled_at| history.first_at < enabled_at) {
        history.attempts = 0;
        history.first_at = now;
    }
    history.attempts = history.attempts.saturating_add(1);
    history.errors.push((now, why));
    let surplus = history.errors.len().saturating_sub(History::ERRORS);
    history.errors.drain(..surplus);
    let seed = u64::from(crc32fast::hash(event.id().as_bytes()));
    let wait = next_wait(history.attempts, now.since(history.first_at), seed).filter(|_| !dead);
    let (queue, at) = match wait {
        Some(wait) => (Queue::pending(action), now.after(wait.max(asked))),
        None => (Queue::dead(action), now),
    };
    Some(FollowUp {
        queue,
        id: event.id(),
        at,
        text: entry::encode(Some(&history), [event]),
        only_if_absent: false,
    })
}
