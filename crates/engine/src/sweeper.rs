//! The timer. It finds what is due and submits `Due`, through the same door as everybody else; it
//! claims nothing, for where two workers meet, the version decides and the other commit is dropped.
//!
//! It sleeps until the nearest next_due it knows of, is woken by nearer ones that are committed
//! here, and asks the store at least every [`check_every`](crate::EngineBuilder::check_every): a
//! neighbour may have committed one and died, a laptop may have slept.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use autoreceive_domain::{OrderId, Time};
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::guarded_receipts::GuardedReceipts;
use crate::metrics::BySource;
use crate::planned::{ChangeResult, Planned, ShardPlan};
use crate::settings::MAX_BATCH;
use crate::shard_assignment::{ALIVE_WITHIN, PATIENCE};
use autoreceive_store::now::span;
use autoreceive_store::{At, Change, DueOrder, DueShard, Look, Shard, StoreError};

/// How many batches are on their way at the same time: a worker's part of them, for all workers
/// share one store, and others wait behind what it was sent.
const IN_FLIGHT: usize = 4;
/// The most orders in a batch of another worker's shard: where that one is only slow, both decide
/// the same, and one in vain.
const HELPING: usize = 50;
/// How many batches of a shard are done before the other shards get their turn.
const BATCHES_A_TURN: usize = 8;
/// The shortest sleep, so that neighbouring deadlines share a batch.
const PAUSE: Duration = Duration::from_millis(4);
/// The wait after the store did not answer.
const AWAY_PAUSE: Duration = Duration::from_millis(200);
/// For how long orders that cannot be read are left alone.
const LEFT_ALONE_FOR: Duration = Duration::from_secs(60);
const SOURCE: &str = "timer";

/// The timer of one worker.
pub(crate) struct Sweeper {
    core: Arc<Core>,
    /// Receives adopted orders; nobody, on a worker without an intake.
    guarded: Option<Arc<GuardedReceipts>>,
    left_alone: Mutex<LeftAlone>,
    /// Shards in which more was due than one batch holds.
    backlog: Mutex<HashSet<Shard>>,
    /// The size of the next batch that the store suggested last.
    suggested: AtomicUsize,
}

/// Due orders that cannot be read or decided, so that they don't stand in the way of others.
struct LeftAlone {
    since: Instant,
    orders: HashMap<Shard, HashSet<OrderId>>,
}

/// Shards that are looked at together.
struct Visit {
    shards: Vec<Shard>,
    limit: usize,
    batches: usize,
}

impl Sweeper {
    pub(crate) fn new(core: Arc<Core>, guarded: Option<Arc<GuardedReceipts>>) -> Sweeper {
        let left_alone = Mutex::new(LeftAlone { since: Instant::now(), orders: HashMap::new() });
        Sweeper {
            core,
            guarded,
            left_alone,
            backlog: Mutex::default(),
            suggested: AtomicUsize::new(MAX_BATCH),
        }
    }

    /// Sweeps until told to stop; what is being decided then is finished.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut looked: Option<Instant> = None;
        let mut away = false;
        while !stop.is_cancelled() {
            let looking = self.core.due_index.has_time_moved()
                || looked.is_none_or(|at| at.elapsed() >= self.core.settings.check_every);
            let result = if looking { self.look_around().await } else { Ok(()) };
            if looking && result.is_ok() {
                looked = Some(Instant::now());
            }
            let result = match result {
                Ok(()) => self.run_once().await,
                Err(error) => Err(error),
            };
            note_outage(&mut away, &result);
            let pause = if result.is_err() { AWAY_PAUSE } else { self.pause(looked) };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.core.due_index.nearer(), if result.is_ok() => {}
            }
        }
    }

    /// Asks the store for the next due time of every shard, and who else is alive. A shard that is
    /// away keeps no other from being looked at, and without the list of the living the last one
    /// stands.
    async fn look_around(&self) -> Result<(), StoreError> {
        let core = &self.core;
        core.note_actions().await;
        // Whoever looks around seldom is not dead in between.
        let within = ALIVE_WITHIN.max(span(3 * core.settings.check_every));
        let living = core.store.heartbeat(core.assignment.me(), within).await;
        if let Ok(living) = &living {
            core.assignment.update(living);
        }
        let looks: Vec<Look> = core.shards.all().map(|shard| Look { shard, extra: 0 }).collect();
        let mut outcome = living.map(drop);
        for found in core.store.due(&looks, 0).await {
            match found {
                Ok(At { now, value, .. }) => {
                    core.time.heard(now);
                    if let Some(at) = value.next_at {
                        core.due_index.hint(value.shard, at);
                    }
                }
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Decides what is due by now in the shards that are this worker's, or late in another's: of
    /// each shard a few batches.
    pub(crate) async fn run_once(&self) -> Result<(), StoreError> {
        let now = self.core.time.estimate();
        let is_ready = |shard, next_due| self.ready_at(shard, next_due) <= now;
        let mut ready = self.core.due_index.take_ready(|shard, next_due| {
            self.core.assignment.is_mine(shard) && is_ready(shard, next_due)
        });
        // Who is behind with their own shards does not run after those of others, who are behind as
        // well: they would only meet.
        let is_behind = ready.iter().any(|shard| self.backlog().contains(shard));
        if !is_behind {
            ready.extend(self.core.due_index.take_ready(is_ready));
        }
        let visits = self.plan(ready);
        // Signs of life, and what fell due meanwhile, are not to wait for many slow batches.
        let until = Instant::now() + self.core.settings.check_every;
        let results: Vec<Result<(), StoreError>> = stream::iter(visits)
            .map(|visit| self.visit(visit, until))
            .buffer_unordered(self.core.assignment.share_of(IN_FLIGHT))
            .collect()
            .await;
        results.into_iter().collect()
    }

    fn ready_at(&self, shard: Shard, next_due: Time) -> Time {
        if self.core.assignment.is_mine(shard) { next_due } else { next_due.after(PATIENCE) }
    }

    fn pause(&self, looked: Option<Instant>) -> Duration {
        let now = self.core.time.estimate();
        let nearest = self.core.due_index.nearest(|shard, next_due| self.ready_at(shard, next_due));
        if nearest.is_some_and(|at| at <= now) && !self.backlog().is_empty() {
            return Duration::ZERO;
        }
        let until_look = self
            .core
            .settings
            .check_every
            .saturating_sub(looked.map_or(Duration::ZERO, |at| at.elapsed()));
        nearest.map_or(until_look, |at| at.since(now).to_std().min(until_look)).max(PAUSE)
    }

    fn backlog(&self) -> std::sync::MutexGuard<'_, HashSet<Shard>> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shards with a backlog are drained one by one in full batches, those of other workers in
    /// small ones; the others, where little is due, share a look. A worker begins where its name
    /// says, so that two do not walk side by side.
    fn plan(&self, mut ready: Vec<Shard>) -> Vec<Visit> {
        if !ready.is_empty() {
            let start =
                crc32fast::hash(self.core.assignment.me().as_bytes()) as usize % ready.len();
            ready.rotate_left(start);
        }
        let backlog = self.backlog();
        let batch = self.most_at_once();
        let (full, light): (Vec<Shard>, Vec<Shard>) = ready
            .into_iter()
            .partition(|&shard| backlog.contains(&shard) || !self.core.assignment.is_mine(shard));
        let share = (batch / light.len().max(1)).max(16).min(batch);
        let together = light.chunks((batch / share).max(1)).map(|shards| Visit {
            shards: shards.to_vec(),
            limit: share,
            batches: 1,
        });
        let limit = |shard| if self.core.assignment.is_mine(shard) { usize::MAX } else { HELPING };
        let alone = full.into_iter().map(|shard| Visit {
            shards: vec![shard],
            limit: limit(shard),
            batches: BATCHES_A_TURN,
        });
        together.chain(alone).collect()
    }

    /// How many orders make one batch: no more than are configured, and than the store takes well
    /// just now.
    fn most_at_once(&self) -> usize {
        self.core.settings.batch.min(self.suggested.load(Ordering::Relaxed)).clamp(1, MAX_BATCH)
    }

    /// One batch at least, and others of the visit until then.
    async fn visit(&self, visit: Visit, until: Instant) -> Result<(), StoreError> {
        let mut shards = visit.shards;
        for _ in 0..visit.batches {
            shards = match self.batch(&shards, visit.limit.min(self.most_at_once())).await {
                Ok(more) => more,
                Err(error) => {
                    self.put_back(&shards);
                    return Err(error);
                }
            };
            if shards.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                break;
            }
        }
        self.put_back(&shards);
        Ok(())
    }

    /// What was taken and is not finished is due, also where it is another worker's that is late:
    /// patience is had once.
    fn put_back(&self, shards: &[Shard]) {
        let overdue = self.core.time.estimate().before(PATIENCE);
        for &shard in shards {
            self.core.due_index.hint(shard, overdue);
        }
    }

    /// Reads, decides and commits one batch. Returns the shards in which more is due. A shard that
    /// is away is due again later, and the others go on.
    async fn batch(&self, shards: &[Shard], limit: usize) -> Result<Vec<Shard>, StoreError> {
        let core = &self.core;
        let (mut found, mut failed) = (Vec::with_capacity(shards.len()), None);
        for (&shard, answer) in shards.iter().zip(core.store.due(&self.looks(shards), limit).await)
        {
            match answer {
                Ok(at) => found.push(at),
                Err(error) => {
                    self.put_back(&[shard]);
                    failed = Some(error);
                }
            }
        }
        let orders = found.iter().flat_map(|at| &at.value.orders);
        core.book
            .learn(&*core.store, orders.filter_map(|order| order.order.as_ref().ok()?.as_ref()))
            .await?;
        let (mut plans, mut more, mut size) = (Vec::new(), Vec::new(), 0);
        for At { now, shard: state, mut value } in found {
            core.time.heard(now);
            self.suggested.store(value.suggested, Ordering::Relaxed);
            if self.note_next(&value, now) {
                more.push(value.shard);
            }
            let shard = value.shard;
            let planned: Vec<Planned> =
                value.orders.iter().filter_map(|order| self.decide(shard, order, now)).collect();
            size += planned.len();
            // An empty plan lets the read go.
            if !planned.is_empty() {
                plans.push(ShardPlan { shard, now, state, read: value.read.take(), planned });
            }
        }
        if let Some(guarded) = &self.guarded {
            guarded.room().await;
        }
        if !plans.is_empty() {
            core.metrics
                .batch_orders
                .get_or_create(&BySource { source: SOURCE })
                .observe(size as f64);
            failed = self.commit(plans).await.or(failed);
        }
        failed.map_or(Ok(more), Err)
    }

    /// Commits what was decided. Returns why a part of it was not; those orders are still due, and
    /// the next look finds them.
    async fn commit(&self, plans: Vec<ShardPlan>) -> Option<StoreError> {
        let results = self.core.commit(SOURCE, plans).await;
        results.into_iter().flatten().find_map(|result| match result {
            ChangeResult::Done | ChangeResult::Conflict => None,
            ChangeResult::Refused(why) | ChangeResult::Unknown(why) => {
                Some(StoreError::Unavailable(why))
            }
        })
    }

    fn looks(&self, shards: &[Shard]) -> Vec<Look> {
        let mut left = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        if left.since.elapsed() > LEFT_ALONE_FOR {
            *left = LeftAlone { since: Instant::now(), orders: HashMap::new() };
        }
        let guarded = |shard| self.guarded.as_ref().map_or(0, |guarded| guarded.held(shard));
        shards
            .iter()
            .map(|&shard| Look {
                shard,
                extra: left.orders.get(&shard).map_or(0, HashSet::len) + guarded(shard),
            })
            .collect()
    }

    /// Notes the shard's next due time. Returns whether more is due in it.
    fn note_next(&self, shard: &DueShard, now: Time) -> bool {
        let more = shard.next_at.is_some_and(|at| at <= now);
        if more {
            self.backlog().insert(shard.shard);
        } else {
            self.backlog().remove(&shard.shard);
            if let Some(at) = shard.next_at {
                self.core.due_index.hint(shard.shard, at);
            }
        }
        more
    }

    /// What the timer does about one due order, if anything.
    fn decide(&self, shard: Shard, due: &DueOrder, now: Time) -> Option<Planned> {
        if self.is_left_alone(shard, &due.id) {
            return None;
        }
        let order = match &due.order {
            Ok(Some(order)) => order,
            Ok(None) => {
                return Some(self.correct(Change {
                    id: due.id.clone(),
                    expected: 0,
                    was: None,
                    order: None,
                    events: Vec::new(),
                }));
            }
            Err(error) => return self.leave_alone(shard, &due.id, &error.to_string()),
        };
        if order.next_due_at().is_none_or(|next_due| next_due > now) {
            let was = Some(order.status).filter(|_| !order.is_resting());
            let (id, order) = (due.id.clone(), Arc::new(order.clone()));
            let change =
                Change { id, expected: order.version, was, order: Some(order), events: Vec::new() };
            return Some(self.correct(change));
        }
        match self.core.decide_due(order, now) {
            Ok(Some(planned)) if planned.receives_adopted() => self.hand_over(shard, &due.id),
            Ok(Some(planned)) => Some(planned),
            Ok(None) => self.leave_alone(shard, &due.id, "it is due, but nothing follows from it"),
            Err(error) => self.leave_alone(shard, &due.id, &error.to_string()),
        }
    }

    /// An adopted order is received after a look at the shop's word, where this worker can take
    /// one.
    fn hand_over(&self, shard: Shard, id: &OrderId) -> Option<Planned> {
        match &self.guarded {
            Some(guarded) => guarded.take(shard, id.clone()),
            None => {
                self.core.metrics.unguarded.inc();
                tracing::warn!(order = %id, "an adopted order is due, but this worker has no \
                    [intake]: it is left to one that has");
                self.note_left_alone(shard, id);
            }
        }
        None
    }

    /// A due time that does not agree with its order is set right, under the same version check.
    fn correct(&self, change: Change) -> Planned {
        self.core.metrics.corrected.inc();
        tracing::warn!(order = %change.id, "a noted due time did not agree with its order and is \
            corrected");
        Planned::correction(change)
    }

    fn is_left_alone(&self, shard: Shard, id: &OrderId) -> bool {
        let left = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = left.orders.get(&shard).is_some_and(|ids| ids.contains(id));
        is_left || self.guarded.as_ref().is_some_and(|guarded| guarded.holds(shard, id))
    }

    fn leave_alone(&self, shard: Shard, id: &OrderId, why: &str) -> Option<Planned> {
        self.core.metrics.unreadable.inc();
        tracing::error!(order = %id, why, "a due order is left alone");
        self.note_left_alone(shard, id);
        None
    }

    fn note_left_alone(&self, shard: Shard, id: &OrderId) {
        let mut left = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        left.orders.entry(shard).or_default().insert(id.clone());
    }
}

fn note_outage(away: &mut bool, result: &Result<(), StoreError>) {
    match result {
        Err(error) if !*away => {
            tracing::error!(%error, "the timer cannot reach the store and keeps trying")
        }
        Ok(()) if *away => tracing::info!("the timer reaches the store again"),
        _ => {}
    }
    *away = result.is_err();
}
