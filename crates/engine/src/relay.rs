//! One relay for each action: it takes entries that were committed here (hand-off) or that it
//! claims from the store, attempts them, and settles. An entry is under lease while it waits here
//! or is worked on, and the lease is renewed; if this worker dies, the lease runs out and another
//! claims the entry. So every event is attempted at least once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoreceive_domain::{Event, Span, Time};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::work::{follow, gathered};
use crate::action::{Outcome, Subscription};
use crate::breaker::Breaker;
use crate::core::Core;
use crate::failures::Failures;
use crate::leases::Held;
use crate::metrics::{ByAction, ByResult};
use crate::outbox::ClaimedEntry;
use autoreceive_store::now::span;
use autoreceive_store::{
    Entry, EntryRef, FollowUp, Queue as StoreQueue, Settlement, StoreError, entry,
};

mod work;

/// The relay's queue of entries that this worker committed.
pub(crate) type Queue = mpsc::Receiver<ClaimedEntry>;

/// What waits here to be attempted, each a few entries that are attempted together.
type Ready = VecDeque<Vec<ClaimedEntry>>;

/// The most entries that are settled in one call.
const SETTLED_TOGETHER: usize = 256;
/// The most entries that are claimed in one call.
const CLAIMED_TOGETHER: usize = 256;
/// The longest an attempt may take; an action has shorter time-outs of its own.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(600);
/// The wait after the store did not answer.
const AWAY_PAUSE: Duration = Duration::from_millis(200);
/// How often settling is tried; after that the entries' leases run out and they are attempted
/// again.
const SETTLE_TRIES: u32 = 50;

/// What one action's relay works with.
pub(crate) struct Relay {
    core: Arc<Core>,
    subscription: Subscription,
    /// Woken when an entry was stored that nobody holds.
    stored: Arc<Notify>,
    /// The entries under this relay's lease.
    held: Arc<Held>,
    /// What is known of the receiver.
    breaker: Arc<Breaker>,
    /// Tells the log what fails.
    failures: Failures,
}

/// When to claim next.
struct Schedule {
    /// When the next entry comes up, as far as the store said.
    next_at: Option<Time>,
    claimed: Option<Instant>,
    /// What was found last time was all that there was room for.
    more: bool,
    /// How many entries as large as those found last time make one attempt.
    to_an_attempt: usize,
}

impl Relay {
    pub(crate) fn new(
        core: Arc<Core>,
        subscription: Subscription,
        stored: Arc<Notify>,
        held: Arc<Held>,
        breaker: Arc<Breaker>,
    ) -> Relay {
        Relay { core, subscription, stored, held, breaker, failures: Failures::default() }
    }

    /// Works until told to stop, then finishes the attempts in hand and gives back what it did not
    /// begin.
    pub(crate) async fn run(self, mut queue: Queue, stop: CancellationToken) {
        let relay = Arc::new(self);
        let (done, settled) = mpsc::channel(SETTLED_TOGETHER);
        let settler = tokio::spawn(relay.clone().settle_all(settled));
        relay.first_beat(&stop).await;
        let keeping =
            [tokio::spawn(relay.clone().renew_all()), tokio::spawn(relay.clone().beat_all())];
        let mut attempts = JoinSet::new();
        let mut schedule = Schedule { next_at: None, claimed: None, more: true, to_an_attempt: 1 };
        // What is to be attempted as soon as there is room: what one claim, or one look into the
        // queue, came to.
        let mut ready = VecDeque::new();
        while !stop.is_cancelled() {
            let (room, closed_for) = relay.begin(&mut ready, &mut attempts, &done);
            if relay.breaker.holds_back() {
                relay.give_back_all(&mut queue, &mut ready).await;
            }
            let claim_in = relay.claim_in(&schedule);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = attempts.join_next(), if !attempts.is_empty() => {}
                Some(entry) = queue.recv(), if room > 0 => relay.take(relay.gather(entry, &mut queue), &mut ready),
                () = relay.stored.notified(), if !schedule.more || closed_for.is_some() => schedule.more = true,
                () = tokio::time::sleep(closed_for.unwrap_or_default()), if closed_for.is_some() => {}
                () = tokio::time::sleep(claim_in), if room > 0 => relay.take(relay.claim(&mut schedule, room).await, &mut ready),
            }
        }
        queue.close();
        relay.give_back_all(&mut queue, &mut ready).await;
        while attempts.join_next().await.is_some() {}
        drop(done);
        let _ = settler.await;
        keeping.iter().for_each(JoinHandle::abort);
    }

    fn claim_in(&self, schedule: &Schedule) -> Duration {
        let Some(claimed) = schedule.claimed else { return Duration::ZERO };
        if schedule.more {
            return Duration::ZERO;
        }
        let until_check = self.core.settings.check_every.saturating_sub(claimed.elapsed());
        let now = self.core.time.estimate();
        schedule.next_at.map_or(until_check, |at| {
            at.since(now).to_std().max(Duration::from_millis(1)).min(until_check)
        })
    }

    /// Claims what there is room for. Where entries are small, many of them make one attempt.
    async fn claim(&self, schedule: &mut Schedule, room: usize) -> Vec<ClaimedEntry> {
        let lease = span(self.subscription.lease);
        let limit = if self.breaker.holds_back() {
            1
        } else {
            (room * schedule.to_an_attempt).min(CLAIMED_TOGETHER)
        };
        let result = self.core.store.claim(&self.subscription.name, limit, lease).await;
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
        schedule.next_at = claimed.next_at;
        schedule.more = claimed.next_at.is_some_and(|at| at <= claimed.now);
        let entries = self.readable(claimed.entries);
        let events: usize = entries.iter().map(|entry| entry.events.len()).sum();
        schedule.to_an_attempt =
            (self.subscription.batch * entries.len()).checked_div(events).unwrap_or(1).max(1);
        entries
    }

    /// The entries that can be read. One that cannot stays under lease, so that it comes up again
    /// later, and is otherwise left alone.
    fn readable(&self, entries: Vec<Entry>) -> Vec<ClaimedEntry> {
        let mut readable = Vec::with_capacity(entries.len());
        for found in entries {
            match found.read() {
                Ok((history, events)) => {
                    readable.push(ClaimedEntry { entry: found.entry, events, history })
                }
                Err(error) => {
                    self.core.metrics.unreadable.inc();
                    tracing::error!(action = %self.subscription.name, %error, "an outbox entry is \
                        left alone");
                }
            }
        }
        readable
    }

    /// What was handed over, as much as makes one attempt. Commits of few events are frequent where
    /// orders come one by one, and an attempt for each would be as slow as its receiver's answer.
    fn gather(&self, first: ClaimedEntry, queue: &mut Queue) -> Vec<ClaimedEntry> {
        let (mut events, mut entries) = (first.events.len(), vec![first]);
        while events < self.subscription.batch
            && let Ok(next) = queue.try_recv()
        {
            events += next.events.len();
            entries.push(next);
        }
        entries
    }

    /// Takes entries, which are under lease here, to be attempted together as far as they fit.
    fn take(&self, entries: Vec<ClaimedEntry>, ready: &mut Ready) {
        entries.iter().for_each(|entry| self.held.add(&entry.entry));
        ready.extend(gathered(entries, self.breaker.batch(self.subscription.batch)));
    }

    /// Begins as many attempts as there is room for. Returns for how many more there is, or for how
    /// long there is none.
    fn begin(
        self: &Arc<Self>,
        ready: &mut Ready,
        attempts: &mut JoinSet<()>,
        done: &mpsc::Sender<Settlement>,
    ) -> (usize, Option<Duration>) {
        loop {
            let room = match self.breaker.room(attempts.len(), self.subscription.concurrency.max(1))
            {
                Ok(room) => room,
                Err(closed_for) => return (0, Some(closed_for)),
            };
            let Some(work) = ready.pop_front_if(|_| room > 0) else { return (room, None) };
            let (relay, done) = (self.clone(), done.clone());
            attempts.spawn(async move {
                for settlement in relay.attempt(work).await {
                    // The receiver goes away only after every attempt ended.
                    let _ = done.send(settlement).await;
                }
            });
        }
    }

    /// Attempts all events of some entries, and says what is to be stored in their place. Where the
    /// receiver turns out to fail only, what was not attempted stays as it is.
    async fn attempt(&self, entries: Vec<ClaimedEntry>) -> Vec<Settlement> {
        let events: Vec<Event> =
            entries.iter().flat_map(|entry| entry.events.iter().cloned()).collect();
        let mut outcomes = Vec::with_capacity(events.len());
        while outcomes.len() < events.len() && (outcomes.is_empty() || !self.breaker.holds_back()) {
            let left = &events[outcomes.len()..];
            let batch = &left[..self.breaker.batch(self.subscription.batch).min(left.len())];
            outcomes.extend(self.attempt_batch(batch).await);
        }
        let now = self.core.time.estimate();
        let (mut outcomes, mut settlements, mut untouched) =
            (outcomes.into_iter(), Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            let outcomes: Vec<Outcome> = outcomes.by_ref().take(entry.events.len()).collect();
            match outcomes.is_empty() {
                true => untouched.push(entry.entry),
                false => settlements.push(self.settlement(entry, outcomes, now)),
            }
        }
        self.give_back(&untouched).await;
        settlements
    }

    fn settlement(&self, entry: ClaimedEntry, outcomes: Vec<Outcome>, now: Time) -> Settlement {
        let (attempted, rest) = entry.events.split_at(outcomes.len().min(entry.events.len()));
        let enabled_at = self.breaker.enabled_at();
        let followed = attempted.iter().zip(outcomes);
        let action = &self.subscription.name;
        let mut follow_ups: Vec<FollowUp> = followed
            .filter_map(|(event, outcome)| {
                follow(action, event, outcome, entry.history.as_ref(), now, enabled_at)
            })
            .collect();
        if !rest.is_empty() {
            follow_ups.push(FollowUp {
                queue: StoreQueue::pending(action),
                id: entry.entry.id.clone(),
                at: now,
                text: entry::encode(None, rest),
                only_if_absent: false,
            });
        }
        Settlement { entry: entry.entry, follow_ups }
    }

    /// Attempts some events, and returns an outcome for each.
    async fn attempt_batch(&self, events: &[Event]) -> Vec<Outcome> {
        let start = Instant::now();
        let mut outcomes = self.act(events.to_vec()).await;
        outcomes.resize_with(events.len(), || Outcome::retry("the action gave no outcome for it"));
        let label = ByAction { action: self.subscription.name.to_string() };
        self.core
            .metrics
            .attempt_seconds
            .get_or_create(&label)
            .observe(start.elapsed().as_secs_f64());
        self.count(&outcomes);
        self.breaker.heard(events.iter().zip(&outcomes));
        events.iter().zip(&outcomes).for_each(|(event, outcome)| {
            self.failures.note(&self.subscription.name, event, outcome)
        });
        outcomes
    }

    /// One attempt. An action that panics or hangs fails this attempt and nothing else.
    async fn act(&self, events: Vec<Event>) -> Vec<Outcome> {
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
        for (result, count) in [("done", done), ("retry", retry), ("dead", dead)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
        {
            let label = ByResult { action: self.subscription.name.to_string(), result };
            self.core.metrics.attempts.get_or_create(&label).inc_by(count);
        }
    }

    /// Settles what was attempted, many entries in one call.
    async fn settle_all(self: Arc<Self>, mut settled: mpsc::Receiver<Settlement>) {
        let mut batch = Vec::with_capacity(SETTLED_TOGETHER);
        while settled.recv_many(&mut batch, SETTLED_TOGETHER).await > 0 {
            let entries: Vec<EntryRef> =
                batch.iter().map(|settlement| settlement.entry.clone()).collect();
            if let Err(error) = self.settle(std::mem::take(&mut batch)).await {
                tracing::error!(action = %self.subscription.name, %error, "finished entries could \
                    not be settled and will be attempted again");
            }
            entries.iter().for_each(|entry| self.held.remove(entry));
        }
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<(), StoreError> {
        let pending = StoreQueue::pending(&self.subscription.name);
        let mut tries = 0;
        loop {
            match self.core.store.settle(&pending, batch.clone()).await {
                Err(_) if tries < SETTLE_TRIES => tries += 1,
                result => {
                    if batch.iter().any(|settlement| !settlement.follow_ups.is_empty()) {
                        self.stored.notify_one();
                    }
                    return result.map(drop);
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
            if let Err(error) = self
                .core
                .store
                .renew(&self.subscription.name, &entries, span(self.subscription.lease))
                .await
            {
                tracing::warn!(action = %self.subscription.name, %error, "leases could not be \
                    renewed; others may attempt the same events");
            }
        }
    }

    /// Hears how the receiver is doing before anything is attempted: it may be disabled.
    async fn first_beat(&self, stop: &CancellationToken) {
        while self.breaker.beat(&*self.core.store, &self.subscription).await.is_err()
            && !stop.is_cancelled()
        {
            tokio::time::sleep(AWAY_PAUSE).await;
        }
    }

    /// Tells and hears how the receiver is doing, about once a second.
    async fn beat_all(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.core.settings.check_every).await;
            // The sweeper reports an outage; what was seen is told at the next beat.
            if self
                .breaker
                .beat(&*self.core.store, &self.subscription)
                .await
                .is_ok_and(|changed| changed)
            {
                self.stored.notify_one();
            }
        }
    }

    /// Gives back what was handed over or claimed and is not begun. Once the queue is closed, also
    /// what is still on its way.
    async fn give_back_all(&self, queue: &mut Queue, ready: &mut Ready) {
        let mut entries: Vec<EntryRef> =
            ready.drain(..).flatten().map(|entry| entry.entry).collect();
        while let Ok(entry) = queue.try_recv() {
            entries.push(entry.entry);
        }
        while queue.is_closed()
            && let Some(entry) = queue.recv().await
        {
            entries.push(entry.entry);
        }
        self.give_back(&entries).await;
    }

    /// Ends the leases of entries that were not begun, so that another worker, or this one later,
    /// need not wait.
    async fn give_back(&self, entries: &[EntryRef]) {
        if entries.is_empty() {
            return;
        }
        entries.iter().for_each(|entry| self.held.remove(entry));
        let _ = self.core.store.renew(&self.subscription.name, entries, Span::ZERO).await;
    }
}
