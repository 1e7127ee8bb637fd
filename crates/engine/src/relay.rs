//! One relay for each action. It takes entries that this worker committed (hand-off) or that it
//! claims from the store, attempts them, and settles them. An entry is under lease while it waits
//! or is attempted, and the relay renews the lease. If this worker dies, the lease runs out and
//! another worker claims the entry. So every event is attempted at least once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoreceive_domain::{Event, Span, Time};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::work::{follow_up, group_into_attempts};
use crate::action::{Outcome, Subscription};
use crate::breaker::Breaker;
use crate::core::Core;
use crate::failures::FailureLog;
use crate::leases::Leases;
use crate::metrics::{ByAction, ByResult};
use crate::outbox::ClaimedEntry;
use autoreceive_store::now::span;
use autoreceive_store::{Entry, EntryRef, FollowUp, Queue, Settlement, StoreError, entry};

mod work;

/// The relay's queue of entries that this worker committed.
pub(crate) type HandOffQueue = mpsc::Receiver<ClaimedEntry>;

/// Waiting work; each item is attempted together.
type Ready = VecDeque<Vec<ClaimedEntry>>;

/// The most entries that are settled in one call.
const SETTLED_TOGETHER: usize = 256;
/// The most entries that are claimed in one call.
const CLAIMED_TOGETHER: usize = 256;
/// The longest an attempt may take. Actions have shorter time-outs of their own.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(600);
/// The wait after the store did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How often settling is tried. After that the leases run out and the entries are attempted again.
const SETTLE_TRIES: u32 = 50;

/// The relay of one action.
pub(crate) struct Relay {
    core: Arc<Core>,
    subscription: Subscription,
    /// Notified when an entry was stored that no worker has under lease.
    stored: Arc<Notify>,
    /// The entries under this relay's lease.
    leases: Arc<Leases>,
    /// The circuit breaker of the endpoint.
    breaker: Arc<Breaker>,
    /// Logs failed attempts.
    failures: FailureLog,
}

/// When to claim again.
struct Schedule {
    /// When the next entry is due, from the store's last answer.
    next_at: Option<Time>,
    claimed: Option<Instant>,
    /// The last claim was full.
    more: bool,
    /// How many entries of the last claim's average size make one attempt.
    entries_per_attempt: usize,
}

impl Relay {
    pub(crate) fn new(
        core: Arc<Core>,
        subscription: Subscription,
        stored: Arc<Notify>,
        leases: Arc<Leases>,
        breaker: Arc<Breaker>,
    ) -> Relay {
        Relay { core, subscription, stored, leases, breaker, failures: FailureLog::default() }
    }

    /// Runs until stopped. Then finishes the attempts in progress and gives back the entries that
    /// were not started.
    pub(crate) async fn run(self, mut queue: HandOffQueue, stop: CancellationToken) {
        let relay = Arc::new(self);
        let (done, settled) = mpsc::channel(SETTLED_TOGETHER);
        let settler = tokio::spawn(relay.clone().settle_all(settled));
        relay.first_sync(&stop).await;
        let background =
            [tokio::spawn(relay.clone().renew_all()), tokio::spawn(relay.clone().sync_all())];
        let mut attempts = JoinSet::new();
        let mut schedule =
            Schedule { next_at: None, claimed: None, more: true, entries_per_attempt: 1 };
        // Work to attempt as soon as there is room.
        let mut ready = VecDeque::new();
        while !stop.is_cancelled() {
            let (room, paused_for) = relay.start_attempts(&mut ready, &mut attempts, &done);
            if relay.breaker.is_limited() {
                relay.give_back_all(&mut queue, &mut ready).await;
            }
            let claim_in = relay.claim_in(&schedule);
            let is_paused = paused_for.is_some();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = attempts.join_next(), if !attempts.is_empty() => {}
                Some(entry) = queue.recv(), if room > 0 => {
                    relay.enqueue(relay.fill_attempt(entry, &mut queue), &mut ready);
                }
                () = relay.stored.notified(), if !schedule.more || is_paused => {
                    schedule.more = true;
                }
                () = tokio::time::sleep(paused_for.unwrap_or_default()), if is_paused => {}
                () = tokio::time::sleep(claim_in), if room > 0 => {
                    relay.enqueue(relay.claim(&mut schedule, room).await, &mut ready);
                }
            }
        }
        queue.close();
        relay.give_back_all(&mut queue, &mut ready).await;
        while attempts.join_next().await.is_some() {}
        drop(done);
        let _ = settler.await;
        for task in &background {
            task.abort();
        }
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

    /// Claims as many entries as there is room for; many small entries make one attempt.
    async fn claim(&self, schedule: &mut Schedule, room: usize) -> Vec<ClaimedEntry> {
        let lease = span(self.subscription.lease);
        let limit = if self.breaker.is_limited() {
            1
        } else {
            (room * schedule.entries_per_attempt).min(CLAIMED_TOGETHER)
        };
        let result = self.core.store.claim(&self.subscription.name, limit, lease).await;
        schedule.claimed = Some(Instant::now());
        let claimed = match result {
            Ok(claimed) => claimed,
            Err(_) => {
                // The sweeper reports the outage; this relay only waits.
                schedule.more = false;
                schedule.next_at = Some(self.core.time.estimate().after(span(RETRY_PAUSE)));
                return Vec::new();
            }
        };
        self.core.time.heard(claimed.now);
        schedule.next_at = claimed.next_at;
        schedule.more = claimed.next_at.is_some_and(|at| at <= claimed.now);
        let entries = self.readable(claimed.entries);
        let events: usize = entries.iter().map(|entry| entry.events.len()).sum();
        schedule.entries_per_attempt =
            (self.subscription.batch * entries.len()).checked_div(events).unwrap_or(1).max(1);
        entries
    }

    /// The readable entries. An unreadable one stays under lease and is claimed again later.
    fn readable(&self, entries: Vec<Entry>) -> Vec<ClaimedEntry> {
        let mut readable = Vec::with_capacity(entries.len());
        for found in entries {
            match found.read() {
                Ok((history, events)) => {
                    readable.push(ClaimedEntry { entry: found.entry, events, history })
                }
                Err(error) => {
                    self.core.metrics.unreadable.inc();
                    tracing::error!(action = %self.subscription.name, %error, "skipped an \
                        unreadable outbox entry");
                }
            }
        }
        readable
    }

    /// Fills one attempt from the hand-off queue. If orders come one by one, there are many commits
    /// of few events; one attempt for each would be limited by the endpoint's response time.
    fn fill_attempt(&self, first: ClaimedEntry, queue: &mut HandOffQueue) -> Vec<ClaimedEntry> {
        let mut events = first.events.len();
        let mut entries = vec![first];
        while events < self.subscription.batch
            && let Ok(next) = queue.try_recv()
        {
            events += next.events.len();
            entries.push(next);
        }
        entries
    }

    /// Adds entries under lease to the waiting work, grouped into attempts.
    fn enqueue(&self, entries: Vec<ClaimedEntry>, ready: &mut Ready) {
        for entry in &entries {
            self.leases.add(&entry.entry);
        }
        ready.extend(group_into_attempts(entries, self.breaker.batch(self.subscription.batch)));
    }

    /// Starts as many attempts as there is room for. Returns the remaining room, or for how long
    /// the circuit breaker allows no attempt.
    fn start_attempts(
        self: &Arc<Self>,
        ready: &mut Ready,
        attempts: &mut JoinSet<()>,
        done: &mpsc::Sender<Settlement>,
    ) -> (usize, Option<Duration>) {
        loop {
            let room = match self
                .breaker
                .free_attempts(attempts.len(), self.subscription.concurrency.max(1))
            {
                Ok(room) => room,
                Err(paused_for) => return (0, Some(paused_for)),
            };
            let Some(work) = ready.pop_front_if(|_| room > 0) else { return (room, None) };
            let relay = self.clone();
            let done = done.clone();
            attempts.spawn(async move {
                for settlement in relay.attempt(work).await {
                    // The settling task ends only after all attempts.
                    let _ = done.send(settlement).await;
                }
            });
        }
    }

    /// Attempts the events of some entries, and returns the settlements. If the endpoint starts to
    /// fail, entries that were not attempted are given back unchanged.
    async fn attempt(&self, entries: Vec<ClaimedEntry>) -> Vec<Settlement> {
        let events: Vec<Event> =
            entries.iter().flat_map(|entry| entry.events.iter().cloned()).collect();
        let mut outcomes = Vec::with_capacity(events.len());
        while outcomes.len() < events.len() && (outcomes.is_empty() || !self.breaker.is_limited()) {
            let left = &events[outcomes.len()..];
            let batch = &left[..self.breaker.batch(self.subscription.batch).min(left.len())];
            outcomes.extend(self.attempt_batch(batch).await);
        }
        let now = self.core.time.estimate();
        let mut outcomes = outcomes.into_iter();
        let mut settlements = Vec::with_capacity(entries.len());
        let mut untouched = Vec::new();
        for entry in entries {
            let outcomes: Vec<Outcome> = outcomes.by_ref().take(entry.events.len()).collect();
            if outcomes.is_empty() {
                untouched.push(entry.entry);
            } else {
                settlements.push(self.settlement(entry, outcomes, now));
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
                follow_up(action, event, outcome, entry.history.as_ref(), now, enabled_at)
            })
            .collect();
        if !rest.is_empty() {
            follow_ups.push(FollowUp {
                queue: Queue::pending(action),
                id: entry.entry.id.clone(),
                at: now,
                text: entry::encode(None, rest),
                only_if_absent: false,
            });
        }
        Settlement { entry: entry.entry, follow_ups }
    }

    /// Attempts some events and returns one outcome for each.
    async fn attempt_batch(&self, events: &[Event]) -> Vec<Outcome> {
        let start = Instant::now();
        let mut outcomes = self.run_action(events.to_vec()).await;
        outcomes.resize_with(events.len(), || {
            Outcome::retry("the action returned no outcome for this event")
        });
        let label = ByAction { action: self.subscription.name.to_string() };
        self.core
            .metrics
            .attempt_seconds
            .get_or_create(&label)
            .observe(start.elapsed().as_secs_f64());
        self.count(&outcomes);
        self.breaker.record_all(events.iter().zip(&outcomes));
        for (event, outcome) in events.iter().zip(&outcomes) {
            self.failures.note(&self.subscription.name, event, outcome);
        }
        outcomes
    }

    /// One attempt. A panic or a hang of the action fails only this attempt.
    async fn run_action(&self, events: Vec<Event>) -> Vec<Outcome> {
        let action = self.subscription.action.clone();
        let count = events.len();
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
        let mut done = 0;
        let mut retry = 0;
        let mut dead = 0;
        for outcome in outcomes {
            match outcome {
                Outcome::Done => done += 1,
                Outcome::Retry { .. } => retry += 1,
                Outcome::Dead { .. } => dead += 1,
            }
        }
        for (result, count) in [("done", done), ("retry", retry), ("dead", dead)] {
            if count == 0 {
                continue;
            }
            let label = ByResult { action: self.subscription.name.to_string(), result };
            self.core.metrics.attempts.get_or_create(&label).inc_by(count);
        }
    }

    /// Settles finished entries, many in one call.
    async fn settle_all(self: Arc<Self>, mut settled: mpsc::Receiver<Settlement>) {
        let mut batch = Vec::with_capacity(SETTLED_TOGETHER);
        while settled.recv_many(&mut batch, SETTLED_TOGETHER).await > 0 {
            let entries: Vec<EntryRef> =
                batch.iter().map(|settlement| settlement.entry.clone()).collect();
            if let Err(error) = self.settle(std::mem::take(&mut batch)).await {
                tracing::error!(action = %self.subscription.name, %error, "finished entries could \
                    not be settled; they will be attempted again");
            }
            for entry in &entries {
                self.leases.remove(entry);
            }
        }
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<(), StoreError> {
        let pending = Queue::pending(&self.subscription.name);
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
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Renews the leases three times within each lease period.
    async fn renew_all(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.subscription.lease / 3).await;
            let entries = self.leases.all();
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
                    renewed; other workers may attempt the same events");
            }
        }
    }

    /// Reads the circuit before the first attempt: the endpoint may be disabled.
    async fn first_sync(&self, stop: &CancellationToken) {
        while self.breaker.sync(&*self.core.store, &self.subscription).await.is_err()
            && !stop.is_cancelled()
        {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Exchanges the circuit's state with the store about once a second.
    async fn sync_all(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.core.settings.check_every).await;
            // The sweeper reports an outage. The observations are written at the next sync.
            let synced = self.breaker.sync(&*self.core.store, &self.subscription).await;
            if synced.is_ok_and(|changed| changed) {
                self.stored.notify_one();
            }
        }
    }

    /// Gives back all entries that were not started; after the queue is closed, also those still
    /// arriving.
    async fn give_back_all(&self, queue: &mut HandOffQueue, ready: &mut Ready) {
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

    /// Ends the leases of entries that were not started, so that a worker can claim them at once.
    async fn give_back(&self, entries: &[EntryRef]) {
        if entries.is_empty() {
            return;
        }
        for entry in entries {
            self.leases.remove(entry);
        }
        let _ = self.core.store.renew(&self.subscription.name, entries, Span::ZERO).await;
    }
}
