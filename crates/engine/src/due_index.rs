//! What this worker knows of the next due_index: what the store last said of each shard, and what
//! was committed since. Commits tell it of nearer due times, and the sweeper sleeps until the
//! nearest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use autoreceive_domain::Time;
use tokio::sync::Notify;

use autoreceive_store::Shard;

/// The nearest known due time of each shard.
pub(crate) struct DueIndex {
    next: Mutex<Vec<Option<Time>>>,
    nearer: Notify,
    /// The time has moved, and what is known of it may be from before.
    moved: AtomicBool,
}

impl DueIndex {
    /// Nothing known yet.
    pub(crate) fn new(shards: Shard) -> DueIndex {
        DueIndex {
            next: Mutex::new(vec![None; shards.into()]),
            nearer: Notify::new(),
            moved: AtomicBool::new(false),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<Option<Time>>) -> T) -> T {
        f(&mut self.next.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something in `shard` due times at `due time`.
    pub(crate) fn hint(&self, shard: Shard, next_due: Time) {
        let nearest = self.with(|next| {
            let before = next.iter().flatten().min().copied();
            if let Some(known) = next.get_mut(usize::from(shard)) {
                *known = Some(known.map_or(next_due, |known| known.min(next_due)));
            }
            before.is_none_or(|before| next_due < before)
        });
        if nearest {
            self.nearer.notify_one();
        }
    }

    /// The shards whose due time `is_ready`. They count as without a due time until it is told
    /// anew, so that none is looked at twice.
    pub(crate) fn take_ready(&self, is_ready: impl Fn(Shard, Time) -> bool) -> Vec<Shard> {
        self.with(|next| {
            let mut ready = Vec::new();
            for (shard, next_due) in (0..).zip(next.iter_mut()) {
                if next_due.is_some_and(|at| is_ready(shard, at)) {
                    *next_due = None;
                    ready.push(shard);
                }
            }
            ready
        })
    }

    /// The instant to sleep until, where `ready_at` tells when a shard's due time is this worker's
    /// business.
    pub(crate) fn nearest(&self, ready_at: impl Fn(Shard, Time) -> Time) -> Option<Time> {
        self.with(|next| {
            (0..)
                .zip(next.iter())
                .filter_map(|(shard, next_due)| next_due.map(|at| ready_at(shard, at)))
                .min()
        })
    }

    /// Notes that the store's time has moved: a due time that was still to come may have passed.
    pub(crate) fn time_moved(&self) {
        self.moved.store(true, Ordering::Release);
        self.nearer.notify_one();
    }

    /// Whether the time has moved since this was last asked.
    pub(crate) fn has_time_moved(&self) -> bool {
        self.moved.swap(false, Ordering::AcqRel)
    }

    /// Returns when a nearer due time was committed, or the time has moved.
    pub(crate) async fn nearer(&self) {
        self.nearer.notified().await;
    }
}
