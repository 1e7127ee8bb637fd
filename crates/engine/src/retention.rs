//! Removes orders that rested long enough, in small steps. A commit that brings orders to rest leaves a note of their ids;
//! when its time comes, those that still rest and are old enough are removed, and the note with them. An order that was
//! changed meanwhile has a newer note.

use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::{Order, Time};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use autoreceive_store::{Change, Commit, RestedNote, StoreError, Verdict};

const NOTES_A_STEP: usize = 8;
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Removes until told to stop.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    loop {
        // A full step may have left more; an outage is the sweeper's to report.
        let pause = if run_once(&core).await == Ok(NOTES_A_STEP) { Duration::from_millis(20) } else { LOOK_EVERY };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One step. Returns how many notes were done.
pub(crate) async fn run_once(core: &Core) -> Result<usize, ()> {
    let rested = core.store.rested(NOTES_A_STEP).await.map_err(|_: StoreError| ())?;
    let orders = rested.notes.iter().flat_map(|note| &note.orders);
    core.book.learn(&*core.store, orders).await.map_err(|_| ())?;
    let commits: Vec<Arc<Commit>> = rested.notes.iter().map(|note| Arc::new(removal(core, note, rested.now))).collect();
    let verdicts = if commits.is_empty() { Vec::new() } else { core.store.commit(commits.clone()).await };
    let mut done = 0;
    for (commit, verdict) in commits.iter().zip(verdicts) {
        if let Verdict::Done { losers } = verdict {
            core.metrics.removed.inc_by(commit.changes.len().saturating_sub(losers.len()) as u64);
            done += 1;
        }
    }
    Ok(done)
}

fn removal(core: &Core, note: &RestedNote, now: Time) -> Commit {
    let remove = |order: &Order| Change { id: order.id.clone(), expected: order.version, was: None, order: None, events: Vec::new() };
    let changes = note.orders.iter().filter(|order| is_over(core, order, now)).map(remove).collect();
    Commit {
        shard: note.shard,
        now,
        changes,
        entries: Vec::new(),
        policies: Vec::new(),
        notes: Vec::new(),
        notes_done: vec![note.note.clone()],
    }
}

fn is_over(core: &Core, order: &Order, now: Time) -> bool {
    let terms = core.book.get(&order.revision);
    order.is_resting() && terms.is_some_and(|terms| order.changed_at.after(terms.retain_for) <= now)
}
