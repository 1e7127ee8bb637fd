//! Removes resting orders after their retention time, in small steps. A commit after which orders
//! rest also writes a note with their ids. When the note is due, the orders that still rest and are
//! old enough are removed, together with the note. An order that was changed in between has a newer
//! note.
//!
//! A crash between reading a note and the commit leaves the note, and the next step repeats the
//! work. The commit removes orders and note together, or nothing.

use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::{Order, OrderId, Time};
use autoreceive_store::{
    At, Change, Commit, CommitResult, NoteRef, Page, Round, Row, Shard, ShardState, StoreError,
    View, Why,
};
use tokio_util::sync::CancellationToken;

use crate::core::Core;

const NOTES_PER_STEP: usize = 8;
const POLL_EVERY: Duration = Duration::from_secs(5);
/// How often a removal is tried, each time without the orders that have changed. A later step does
/// the rest.
const MAX_ATTEMPTS: usize = 4;

/// A due note, with its orders that can be removed.
struct Removal {
    shard: Shard,
    now: Time,
    state: Arc<ShardState>,
    note: NoteRef,
    changes: Vec<Change>,
}

/// Runs until stopped.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    loop {
        // A full step may have left more. The sweeper reports an outage.
        let is_full = matches!(run_once(&core).await, Ok(NOTES_PER_STEP));
        let pause = if is_full { Duration::from_millis(20) } else { POLL_EVERY };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One step. Returns the number of notes that were completed.
pub(crate) async fn run_once(core: &Core) -> Result<usize, StoreError> {
    let Page { now, items, .. } = core.store.list(View::Resting, None, NOTES_PER_STEP).await?;
    let rows: Vec<Row> = items.into_iter().take_while(|row| row.at <= now).collect();
    let removals = removals(core, rows).await?;
    let mut done = 0;
    for removal in removals {
        if remove(core, removal).await {
            done += 1;
        }
    }
    Ok(done)
}

/// Loads the orders of the notes, each with its own shard's time.
async fn removals(core: &Core, rows: Vec<Row>) -> Result<Vec<Removal>, StoreError> {
    let ids: Vec<OrderId> = rows.iter().map(|row| row.id.clone()).collect();
    let found = core.store.load(&ids).await;
    let orders = found.iter().flatten().filter_map(|at| at.value.as_ref().ok()?.as_ref());
    core.terms.load(&*core.store, orders).await?;
    let mut removals: Vec<Removal> = Vec::new();
    for (row, found) in rows.into_iter().zip(found) {
        // An unreachable shard keeps its notes. All orders of a note are in one shard.
        let (Some(note), Ok(At { now, shard: state, value })) = (row.note, found) else { continue };
        let known = removals.iter().position(|one| one.shard == row.shard && one.note == note);
        let index = known.unwrap_or(removals.len());
        if known.is_none() {
            removals.push(Removal { shard: row.shard, now, state, note, changes: Vec::new() });
        }
        if let (Some(removal), Ok(Some(order))) = (removals.get_mut(index), value)
            && is_expired(core, &order, removal.now)
        {
            removal.changes.push(removal_of(&order));
        }
    }
    Ok(removals)
}

fn removal_of(order: &Order) -> Change {
    Change {
        id: order.id.clone(),
        expected: order.version,
        was: None,
        order: None,
        events: Vec::new(),
    }
}

/// Commits one removal, without the orders that have changed. Returns whether the note was removed.
async fn remove(core: &Core, removal: Removal) -> bool {
    let Removal { shard, now, state, note, mut changes } = removal;
    for _ in 0..MAX_ATTEMPTS {
        let count = changes.len() as u64;
        let round =
            Round { changes: changes.clone(), notes_done: vec![note.clone()], ..Round::default() };
        let round = Arc::new(round);
        let commit = Commit { shard, now, state: state.clone(), epoch: None, read: None, round };
        match core.store.commit(vec![commit]).await.pop() {
            Some(CommitResult::Committed) => {
                core.metrics.removed.inc_by(count);
                return true;
            }
            Some(CommitResult::Conflict { losers, why: Why::Version }) if !losers.is_empty() => {
                changes.retain(|change| !losers.contains(&change.id));
            }
            _ => return false,
        }
    }
    false
}

fn is_expired(core: &Core, order: &Order, now: Time) -> bool {
    let terms = core.terms.get(&order.revision);
    order.is_resting() && terms.is_some_and(|terms| order.changed_at.after(terms.retain_for) <= now)
}
