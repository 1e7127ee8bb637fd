//! The next due time of each shard: from the store's last answer and from later commits of this
//! worker. The sweeper sleeps until the nearest one.

use std::sync::atomic::{AtomicBool, Ordering};

use autoreceive_domain::Time;
use parking_lot::Mutex;
use tokio::sync::Notify;

use autoreceive_store::Shard;

/// The nearest known due time of each shard.
pub(crate) struct DueIndex {
    next: Mutex<Vec<Option<Time>>>,
    nearer: Notify,
    /// The test clock was advanced; known due times may be in the past.
    moved: AtomicBool,
}

impl DueIndex {
    /// Starts empty.
    pub(crate) fn new(shards: Shard) -> DueIndex {
        DueIndex {
            next: Mutex::new(vec![None; shards.into()]),
            nearer: Notify::new(),
            moved: AtomicBool::new(false),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<Option<Time>>) -> T) -> T {
        f(&mut self.next.lock())
    }

    /// Notes that an order in `shard` is due at `next_due`.
    pub(crate) fn note_due(&self, shard: Shard, next_due: Time) {
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

    /// Takes the shards whose due time is ready. Each is returned once, until a due time is noted
    /// again.
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

    /// The nearest due time. `ready_at` may delay a shard's due time, as for other workers' shards.
    pub(crate) fn nearest(&self, ready_at: impl Fn(Shard, Time) -> Time) -> Option<Time> {
        self.with(|next| {
            (0..)
                .zip(next.iter())
                .filter_map(|(shard, next_due)| next_due.map(|at| ready_at(shard, at)))
                .min()
        })
    }

    /// Notes that the store's clock was advanced, so a future due time may have passed.
    pub(crate) fn time_moved(&self) {
        self.moved.store(true, Ordering::Release);
        self.nearer.notify_one();
    }

    /// Whether the clock was advanced since the last call.
    pub(crate) fn has_time_moved(&self) -> bool {
        self.moved.swap(false, Ordering::AcqRel)
    }

    /// Waits for a nearer due time or an advance of the clock.
    pub(crate) async fn nearer(&self) {
        self.nearer.notified().await;
    }
}
