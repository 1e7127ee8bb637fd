//! Builds outbox entries from changes: which events go to which action, and whether this worker's
//! relay attempts them first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use autoreceive_domain::{Circuit, Event, Time};
use tokio::sync::Notify;
use tokio::sync::mpsc::{OwnedPermit, Sender};

use crate::action::Subscription;
use crate::breaker::Breaker;
use crate::leases::Leases;
use autoreceive_store::now::span;
use autoreceive_store::{
    ActionName, Change, EntryRef, EventSelection, History, OutboxEntry, Round, Shard,
};

/// An action and its relay's queue, as used by commits.
pub(crate) struct ActionQueue {
    pub(crate) subscription: Subscription,
    /// The relay's bounded queue of entries that this worker committed and has under lease.
    pub(crate) hand_off: Sender<ClaimedEntry>,
    /// Notifies the relay that entries can be claimed at once.
    pub(crate) stored: Arc<Notify>,
    /// The entries under the relay's lease.
    pub(crate) leases: Arc<Leases>,
    /// The circuit breaker of the endpoint.
    pub(crate) breaker: Arc<Breaker>,
}

/// A decoded entry under lease.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedEntry {
    /// The reference of the entry.
    pub(crate) entry: EntryRef,
    /// Its events.
    pub(crate) events: Vec<Event>,
    /// Its earlier attempts, if any.
    pub(crate) history: Option<History>,
}

/// All actions, and a counter for the ids of new entries.
pub(crate) struct ActionQueues {
    worker: String,
    made: AtomicU64,
    queues: Vec<ActionQueue>,
}

/// An entry of the next commit, with a reserved slot in the relay's queue if one was free.
pub(crate) struct PreparedEntry {
    queue: usize,
    /// The events: (index of the change, index of its event).
    events: Vec<(u32, u32)>,
    slot: Option<OwnedPermit<ClaimedEntry>>,
}

impl ActionQueues {
    pub(crate) fn new(worker: &str, queues: Vec<ActionQueue>) -> ActionQueues {
        ActionQueues { worker: worker.to_owned(), made: AtomicU64::new(0), queues }
    }

    /// The entries for `changes`, and the data to hand them over after the commit.
    pub(crate) fn entries(
        &self,
        changes: &[Change],
        now: Time,
    ) -> (Vec<OutboxEntry>, Vec<PreparedEntry>) {
        let mut entries = Vec::new();
        let mut prepared = Vec::new();
        let total: usize = changes.iter().map(|change| change.events.len()).sum();
        for (index, queue) in self.queues.iter().enumerate() {
            let wanted = wanted(queue, changes);
            let is_limited = !wanted.is_empty() && queue.breaker.is_limited();
            let whole = wanted.len() == total && total <= queue.subscription.batch;
            for events in wanted.chunks(queue.subscription.batch.max(1)) {
                // While the endpoint fails, its entries stay in the store.
                let slot =
                    if is_limited { None } else { queue.hand_off.clone().try_reserve_owned().ok() };
                let selection =
                    if whole { EventSelection::All } else { EventSelection::Some(events.to_vec()) };
                entries.push(self.entry(queue, selection, now, slot.is_some()));
                prepared.push(PreparedEntry { queue: index, events: events.to_vec(), slot });
            }
        }
        (entries, prepared)
    }

    fn entry(
        &self,
        queue: &ActionQueue,
        events: EventSelection,
        now: Time,
        leased: bool,
    ) -> OutboxEntry {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let at = if leased { now.after(span(queue.subscription.lease)) } else { now };
        OutboxEntry {
            action: queue.subscription.name.clone(),
            id: format!("{}-{number}", self.worker),
            at,
            events,
        }
    }

    /// Notifies the relay of an action, if there is one, that entries can be claimed at once.
    pub(crate) fn notify(&self, action: &ActionName) {
        if let Some(queue) = self.find(action) {
            queue.stored.notify_one();
        }
    }

    /// Notifies all relays that entries may be claimable at once.
    pub(crate) fn notify_all(&self) {
        for queue in &self.queues {
            queue.stored.notify_one();
        }
    }

    /// The action of this name, if this worker is configured with it.
    pub(crate) fn find(&self, action: &ActionName) -> Option<&ActionQueue> {
        self.queues.iter().find(|queue| queue.subscription.name == *action)
    }

    /// The names of the actions that this worker is configured with.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ActionName> {
        self.queues.iter().map(|queue| &queue.subscription.name)
    }

    /// Updates the circuit of an action's endpoint.
    pub(crate) fn update_circuit(&self, action: &ActionName, circuit: Circuit) {
        if let Some(queue) = self.find(action) {
            queue.breaker.update(circuit);
            queue.stored.notify_one();
        }
    }

    /// Hands committed entries to their relays.
    pub(crate) fn hand_over(&self, shard: Shard, round: &Round, prepared: Vec<PreparedEntry>) {
        for (entry, prepared) in round.entries.iter().zip(prepared) {
            let Some(queue) = self.queues.get(prepared.queue) else { continue };
            match prepared.slot {
                Some(slot) => {
                    let event = |&(change, event): &(u32, u32)| {
                        round.changes.get(change as usize)?.events.get(event as usize).cloned()
                    };
                    let events = prepared.events.iter().filter_map(event).collect();
                    let entry = EntryRef { shard, id: entry.id.clone() };
                    queue.leases.add(&entry);
                    slot.send(ClaimedEntry { entry, events, history: None });
                }
                None => queue.stored.notify_one(),
            }
        }
    }
}

fn wanted(queue: &ActionQueue, changes: &[Change]) -> Vec<(u32, u32)> {
    let mut wanted = Vec::with_capacity(changes.len());
    for (c, change) in (0u32..).zip(changes) {
        for (e, event) in (0u32..).zip(&change.events) {
            if queue.subscription.on.contains(&event.kind()) {
                wanted.push((c, e));
            }
        }
    }
    wanted
}
