//! One relay for each action: it takes entries that were committed here (hand-off) or that it claims from the store,
//! attempts them, and settles. An entry is under lease while it waits here or is worked on, and the lease is renewed; if
//! this worker dies, the lease runs out and another claims the entry. So every event is attempted at least once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use autoreceive_domain::backoff::next_wait;
use autoreceive_domain::{Event, Span, Time};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::action::{Outcome, Subscription};
use crate::store::now::span;
use crate::store::{After, ClaimedEntry, EntryRef, History, Settlement, StoreError};
use crate::telemetry::{ByAction, ByResult};

/// The relay's queue of entries that this worker committed.
pub(crate) type Queue = mpsc::Receiver<ClaimedEntry>;

/// The most entries that are settled in one call.
const SETTLED_TOGETHER: usize = 256;
/// The longest an attempt may take; an action has shorter time-outs of its own.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(600);
/// The wait after the store did not answer.
const AWAY_PAUSE: Duration = Duration::from_millis(200);
/// How often settling is tried; after that the entries' leases run out and they are attempted again.
const SETTLE_TRIES: u32 = 50;

/// What one action's relay works with.
pub(crate) struct Relay {
    core: Arc<Core>,
    subscription: Subscription,
    /// Woken when an entry was stored that nobody holds.
    stored: Arc<Notify>,
    /// The entries under this relay's lease.
    held: Arc<Held>,
}

/// Entries under lease here, to be renewed: those that wait in the hand-off queue and those that are worked on.
#[derive(Default)]
pub(crate) struct Held(Mutex<HashSet<EntryRef>>);

impl Held {
    pub(crate) fn add(&self, entry: &EntryRef) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.clone());
    }

    fn remove(&self, entry: &EntryRef) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(entry);
    }

    fn all(&self) -> Vec<EntryRef> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// When to claim next.
struct Schedule {
    /// When the next entry comes up, as far as the store said.
    next_at: Option<Time>,
    claimed: Option<Instant>,
    /// What was found last time was all that there was room for.
    more: bool,
}

impl Relay {
    pub(crate) fn new(core: Arc<Core>, subscription: Subscription, stored: Arc<Notify>, held: Arc<Held>) -> Relay {
        Relay { core, subscription, stored, held }
    }

    /// Works until told to stop, then finishes the attempts in hand and gives back what it did not begin.
    pub(crate) async fn run(self, mut queue: Queue, stop: CancellationToken) {
        let relay = Arc::new(self);
        let (done, settled) = mpsc::channel(SETTLED_TOGETHER);
        let settler = tokio::spawn(relay.clone().settle_all(settled));
        let renewing = tokio::spawn(relay.clone().renew_all());
        let mut attempts = JoinSet::new();
        let mut schedule = Schedule { next_at: None, claimed: None, more: true };
        while !stop.is_cancelled() {
            let room = relay.subscription.concurrency.max(1).saturating_sub(attempts.len());
            let claim_in = relay.claim_in(&schedule);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = attempts.join_next(), if !attempts.is_empty() => {}
                Some(entry) = queue.recv(), if room > 0 => relay.start(entry, &mut attempts, &done),
                () = relay.stored.notified(), if !schedule.more => schedule.more = true,
                () = tokio::time::sleep(claim_in), if room > 0 => {
                    for entry in relay.claim(&mut schedule, room).await {
                        relay.start(entry, &mut attempts, &done);
                    }
                }
            }
        }
        relay.give_back(&mut queue).await;
        while attempts.join_next().await.is_some() {}
        drop(done);
        let _ = settler.await;
        renewing.abort();
    }

    fn claim_in(&self, schedule: &Schedule) -> Duration {
        let Some(claimed) = schedule.claimed else { return Duration::ZERO };
        if schedule.more {
            return Duration::ZERO;
        }
        let until_check = self.core.settings.check_every.saturating_sub(claimed.elapsed());
        let now = self.core.time.estimate();
        schedule.next_at.map_or(until_check, |at| at.since(now).to_std().max(Duration::from_millis(1)).min(until_check))
    }

    async fn claim(&self, schedule: &mut Schedule, room: usize) -> Vec<ClaimedEntry> {
        let lease = span(self.subscription.lease);
        let result = self.core.store.claim(&self.subscription.name, room, lease).await;
        schedule.claimed = Some(Instant::now());
        let claimed = match result {
            Ok(claimed) => claimed,
            Err(_) => {
                // The sweeper reports the outage; here it is enough to wait.
                schedule.more = false;
                schedule.next_at = Some(self.core.time.estimate().after(span(AWAY_PAUSE)));
                return Vec::new();
            }
        };
        self.core.time.heard(claimed.now);
        for error in &claimed.unreadable {
            self.core.metrics.unreadable.inc();
            tracing::error!(action = %self.subscription.name, %error, "an outbox entry is left alone");
        }
        schedule.next_at = claimed.next_at;
        schedule.more = claimed.next_at.is_some_and(|at| at <= claimed.now);
        claimed.entries
    }

    fn start(self: &Arc<Self>, entry: ClaimedEntry, attempts: &mut JoinSet<()>, done: &mpsc::Sender<Settlement>) {
        self.held.add(&entry.entry);
        let (relay, done) = (self.clone(), done.clone());
        attempts.spawn(async move {
            let settlement = relay.attempt(entry).await;
            // The receiver goes away only after every attempt ended.
            let _ = done.send(settlement).await;
        });
    }

    /// Attempts all events of an entry, and says what is to be stored in its place.
    async fn attempt(&self, entry: ClaimedEntry) -> Settlement {
        let mut after = Vec::new();
        for events in entry.events.chunks(self.subscription.batch.max(1)) {
            let start = Instant::now();
            let outcomes = self.attempt_batch(events.to_vec()).await;
            let label = ByAction { action: self.subscription.name.to_string() };
            self.core.metrics.attempt_seconds.get_or_create(&label).observe(start.elapsed().as_secs_f64());
            let missing = std::iter::repeat_with(|| Outcome::retry("the action gave no outcome for it"));
            let now = self.core.time.estimate();
            let outcomes: Vec<Outcome> = outcomes.into_iter().chain(missing).take(events.len()).collect();
            self.count(&outcomes);
            for (event, outcome) in events.iter().zip(outcomes) {
                after.extend(follow(event, outcome, entry.history.as_ref(), now));
            }
        }
        Settlement { entry: entry.entry, after }
    }

    /// One attempt. An action that panics or hangs fails this attempt and nothing else.
    async fn attempt_batch(&self, events: Vec<Event>) -> Vec<Outcome> {
        let (action, count) = (self.subscription.action.clone(), events.len());
        let mut task = JoinSet::new();
        task.spawn(async move { action.attempt(&events).await });
        let why = match tokio::time::timeout(ATTEMPT_WITHIN, task.join_next()).await {
            Ok(Some(Ok(outcomes))) => return outcomes,
            Ok(_) => "the action panicked",
            Err(_) => "the action did not end within 10 minutes",
        };
        vec![Outcome::retry(why); count]
    }

    fn count(&self, outcomes: &[Outcome]) {
        let (mut done, mut retry, mut dead) = (0, 0, 0);
        for outcome in outcomes {
            match outcome {
                Outcome::Done => done += 1,
                Outcome::Retry { .. } => retry += 1,
                Outcome::Dead { .. } => dead += 1,
            }
        }
        for (result, count) in [("done", done), ("retry", retry), ("dead", dead)].into_iter().filter(|(_, count)| *count > 0) {
            let label = ByResult { action: self.subscription.name.to_string(), result };
            self.core.metrics.attempts.get_or_create(&label).inc_by(count);
        }
    }

    /// Settles what was attempted, many entries in one call.
    async fn settle_all(self: Arc<Self>, mut settled: mpsc::Receiver<Settlement>) {
        let mut batch = Vec::with_capacity(SETTLED_TOGETHER);
        while settled.recv_many(&mut batch, SETTLED_TOGETHER).await > 0 {
            let entries: Vec<EntryRef> = batch.iter().map(|settlement| settlement.entry.clone()).collect();
            if let Err(error) = self.settle(std::mem::take(&mut batch)).await {
                tracing::error!(action = %self.subscription.name, %error, "finished entries could not be settled and will be attempted again");
            }
            entries.iter().for_each(|entry| self.held.remove(entry));
        }
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            match self.core.store.settle(&self.subscription.name, batch.clone()).await {
                Err(_) if tries < SETTLE_TRIES => tries += 1,
                result => {
                    if batch.iter().any(|settlement| !settlement.after.is_empty()) {
                        self.stored.notify_one();
                    }
                    return result;
                }
            }
            tokio::time::sleep(AWAY_PAUSE).await;
        }
    }

    /// Renews the leases of what is in hand, three times within a lease.
    async fn renew_all(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.subscription.lease / 3).await;
            let entries = self.held.all();
            if entries.is_empty() {
                continue;
            }
            if let Err(error) = self.core.store.renew(&self.subscription.name, &entries, span(self.subscription.lease)).await {
                tracing::warn!(action = %self.subscription.name, %error, "leases could not be renewed; others may attempt the same events");
            }
        }
    }

    /// Ends the leases of entries that were handed over and not begun, so that another worker need not wait.
    async fn give_back(&self, queue: &mut Queue) {
        queue.close();
        let mut entries = Vec::new();
        while let Some(entry) = queue.recv().await {
            entries.push(entry.entry);
        }
        if !entries.is_empty() {
            let _ = self.core.store.renew(&self.subscription.name, &entries, Span::ZERO).await;
        }
    }
}

/// What follows from the outcome of one event: nothing, another attempt, or a dead letter.
fn follow(event: &Event, outcome: Outcome, before: Option<&History>, now: Time) -> Option<After> {
    let (why, asked, dead) = match outcome {
        Outcome::Done => return None,
        Outcome::Retry { why, after } => (why, after.map_or(Span::ZERO, span), false),
        Outcome::Dead { why } => (why, Span::ZERO, true),
    };
    let mut history = before.cloned().unwrap_or(History { attempts: 0, first_at: now, errors: Vec::new() });
    history.attempts = history.attempts.saturating_add(1);
    history.errors.push((now, why));
    let surplus = history.errors.len().saturating_sub(History::ERRORS);
    history.errors.drain(..surplus);
    let seed = u64::from(crc32fast::hash(event.id().as_bytes()));
    let wait = next_wait(history.attempts, now.since(history.first_at), seed).filter(|_| !dead);
    Some(match wait {
        Some(wait) => After::Retry { event: event.clone(), history, at: now.after(wait.max(asked)) },
        None => After::Dead { event: event.clone(), history, at: now },
    })
}
