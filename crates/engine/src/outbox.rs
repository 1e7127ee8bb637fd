//! From changes to outbox entries: which events each action is given, in which entry, and who
//! attempts it first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use autoreceive_domain::{Circuit, Event, Time};
use tokio::sync::Notify;
use tokio::sync::mpsc::{OwnedPermit, Sender};

use crate::action::Subscription;
use crate::breaker::Breaker;
use crate::leases::Held;
use autoreceive_store::now::span;
use autoreceive_store::{
    ActionName, Change, EntryRef, EventSelection, History, OutboxEntry, Round, Shard,
};

/// One action as the committing side sees it: what it is given, and the queue of the relay that
/// attempts it.
pub(crate) struct ActionQueue {
    pub(crate) subscription: Subscription,
    /// The relay's bounded queue of entries that this worker committed and holds under lease.
    pub(crate) hand_off: Sender<ClaimedEntry>,
    /// Tells the relay that there is something to claim at once.
    pub(crate) stored: Arc<Notify>,
    /// The entries under the relay's lease.
    pub(crate) held: Arc<Held>,
    /// What is known of the receiver.
    pub(crate) breaker: Arc<Breaker>,
}

/// An entry under lease here, read.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedEntry {
    /// Which one.
    pub(crate) entry: EntryRef,
    /// What happened.
    pub(crate) events: Vec<Event>,
    /// How it went so far, where an attempt was made before.
    pub(crate) history: Option<History>,
}

/// Every action, and the names of the entries that this worker makes.
pub(crate) struct Outbox {
    worker: String,
    made: AtomicU64,
    queues: Vec<ActionQueue>,
}

/// An entry that is about to be committed, and a place in the relay's queue where there was one.
pub(crate) struct Prepared {
    queue: usize,
    /// Which events: (index of the change, index of its event).
    events: Vec<(u32, u32)>,
    place: Option<OwnedPermit<ClaimedEntry>>,
}

impl Outbox {
    pub(crate) fn new(worker: &str, queues: Vec<ActionQueue>) -> Outbox {
        Outbox { worker: worker.to_owned(), made: AtomicU64::new(0), queues }
    }

    /// The entries for `changes`, and what is needed to hand them over once they are committed.
    pub(crate) fn entries(
        &self,
        changes: &[Change],
        now: Time,
    ) -> (Vec<OutboxEntry>, Vec<Prepared>) {
        let (mut entries, mut prepared) = (Vec::new(), Vec::new());
        let total: usize = changes.iter().map(|change| change.events.len()).sum();
        for (index, queue) in self.queues.iter().enumerate() {
            let wanted = wanted(queue, changes);
            let held_back = !wanted.is_empty() && queue.breaker.holds_back();
            let whole = wanted.len() == total && total <= queue.subscription.batch;
            for events in wanted.chunks(queue.subscription.batch.max(1)) {
                // What a receiver cannot take now is better left in the store.
                let place =
                    if held_back { None } else { queue.hand_off.clone().try_reserve_owned().ok() };
                let selection =
                    if whole { EventSelection::All } else { EventSelection::Some(events.to_vec()) };
                entries.push(self.entry(queue, selection, now, place.is_some()));
                prepared.push(Prepared { queue: index, events: events.to_vec(), place });
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

    /// Tells an action's relay, where there is one, that there is something to claim at once.
    pub(crate) fn notify(&self, action: &ActionName) {
        self.queues
            .iter()
            .filter(|queue| queue.subscription.name == *action)
            .for_each(|queue| queue.stored.notify_one());
    }

    /// Tells every relay that there may be something to claim at once.
    pub(crate) fn notify_all(&self) {
        self.queues.iter().for_each(|queue| queue.stored.notify_one());
    }

    /// What an action of that name is given and does, where this worker is configured with it.
    pub(crate) fn find(&self, action: &ActionName) -> Option<&ActionQueue> {
        self.queues.iter().find(|queue| queue.subscription.name == *action)
    }

    /// The names of the actions that this worker is configured with.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ActionName> {
        self.queues.iter().map(|queue| &queue.subscription.name)
    }

    /// Takes in what is known of an action's receiver.
    pub(crate) fn learn(&self, action: &ActionName, circuit: Circuit) {
        if let Some(queue) = self.find(action) {
            queue.breaker.learn(circuit);
            queue.stored.notify_one();
        }
    }

    /// Hands the committed entries to their relays.
    pub(crate) fn hand_over(&self, shard: Shard, round: &Round, prepared: Vec<Prepared>) {
        for (entry, prepared) in round.entries.iter().zip(prepared) {
            let Some(queue) = self.queues.get(prepared.queue) else { continue };
            match prepared.place {
                Some(place) => {
                    let event = |&(change, event): &(u32, u32)| {
                        round.changes.get(change as usize)?.events.get(event as usize).cloned()
                    };
                    let events = prepared.events.iter().filter_map(event).collect();
                    let entry = EntryRef { shard, id: entry.id.clone() };
                    queue.held.add(&entry);
                    place.send(ClaimedEntry { entry, events, history: None });
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
