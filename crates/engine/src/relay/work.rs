//! What is attempted together, and what follows from the outcome.

use std::collections::HashSet;

use autoreceive_domain::backoff::next_wait;
use autoreceive_domain::{Event, Span, Time};

use crate::action::Outcome;
use autoreceive_store::now::span;
use autoreceive_store::{ActionName, FollowUp, History, Queue, entry};

use crate::outbox::ClaimedEntry;

/// An event that failed so often is attempted alone: it may be what makes the others of its attempt
/// fail.
const ALONE_AFTER: u32 = 3;

/// Entries to be attempted together, up to `batch` events at a time and no event twice. After an
/// outage each event that failed is an entry of its own, and so is each that was backfilled; one by
/// one they would take a hundred times as long.
pub(super) fn gathered(entries: Vec<ClaimedEntry>, batch: usize) -> Vec<Vec<ClaimedEntry>> {
    if entries.len() <= 1 {
        return entries.into_iter().map(|entry| vec![entry]).collect();
    }
    let (mut works, mut ids, mut room) = (Vec::<Vec<ClaimedEntry>>::new(), HashSet::new(), 0);
    for entry in entries {
        let alone = entry.history.as_ref().is_some_and(|history| history.attempts >= ALONE_AFTER);
        if alone {
            works.insert(0, vec![entry]);
            continue;
        }
        let new: Vec<String> = entry.events.iter().map(Event::id).collect();
        if new.len() > room || new.iter().any(|id| ids.contains(id)) {
            works.push(Vec::new());
            ids.clear();
            room = batch;
        }
        room = room.saturating_sub(new.len());
        ids.extend(new);
        if let Some(work) = works.last_mut() {
            work.push(entry);
        }
    }
    works
}

/// What follows from the outcome of one event: nothing, another attempt, or a dead letter. Attempts
/// before `enabled_at`, when the receiver was last enabled, do not count.
pub(super) fn follow(
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
        (history.attempts, history.first_at) = (0, now);
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
