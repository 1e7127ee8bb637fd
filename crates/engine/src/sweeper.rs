//! The timer. It finds due orders and commits `Due` for them through the same path as commands. It
//! takes no locks: if two workers decide the same order, the version check drops the second commit.
//!
//! It sleeps until the nearest known due time. A commit on this worker with a nearer due time wakes
//! it. It polls the store at least every [`check_every`](crate::EngineBuilder::check_every),
//! because another worker may have committed a due time and died, or the machine may have been
//! suspended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use autoreceive_domain::{OrderId, Time};
use futures_util::{StreamExt, stream};
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::guarded_receipts::GuardedReceipts;
use crate::metrics::BySource;
use crate::planned::{ChangeResult, PlannedChange, ShardPlan};
use crate::settings::MAX_BATCH;
use crate::shard_assignment::{ALIVE_WITHIN, GRACE};
use autoreceive_store::now::span;
use autoreceive_store::{At, Change, DueOrder, DueShard, Look, Shard, StoreError};

/// In-flight batches of all workers together; each worker gets a share, because all of them use one
/// store.
const IN_FLIGHT: usize = 4;
/// The most orders in a batch of another worker's shard. If that worker is only slow, both decide
/// the same orders and one of them does so in vain.
const OTHERS_BATCH: usize = 50;
/// The most batches of one shard before the other shards get their turn.
const BATCHES_PER_VISIT: usize = 8;
/// The shortest sleep, so that neighbouring deadlines share a batch.
const PAUSE: Duration = Duration::from_millis(4);
/// The wait after the store did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long unreadable orders are skipped.
const SKIP_FOR: Duration = Duration::from_secs(60);
const SOURCE: &str = "timer";

/// The timer of one worker.
pub(crate) struct Sweeper {
    core: Arc<Core>,
    /// Receives adopted orders. `None` on a worker without an intake.
    guarded: Option<Arc<GuardedReceipts>>,
    skipped: Mutex<SkippedOrders>,
    /// Shards with more due orders than one batch holds.
    backlog: Mutex<HashSet<Shard>>,
    /// The size of the next batch that the store suggested last.
    suggested: AtomicUsize,
}

/// Due orders that cannot be read or decided. They are skipped, so that they do not block others.
struct SkippedOrders {
    since: Instant,
    orders: HashMap<Shard, HashSet<OrderId>>,
}

/// Shards that are read together.
struct Visit {
    shards: Vec<Shard>,
    limit: usize,
    batches: usize,
}

impl Sweeper {
    pub(crate) fn new(core: Arc<Core>, guarded: Option<Arc<GuardedReceipts>>) -> Sweeper {
        let skipped = Mutex::new(SkippedOrders { since: Instant::now(), orders: HashMap::new() });
        Sweeper {
            core,
            guarded,
            skipped,
            backlog: Mutex::default(),
            suggested: AtomicUsize::new(MAX_BATCH),
        }
    }

    /// Sweeps until stopped; finishes the current batches.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut polled_at: Option<Instant> = None;
        let mut away = false;
        while !stop.is_cancelled() {
            let polling = self.core.due_index.has_time_moved()
                || polled_at.is_none_or(|at| at.elapsed() >= self.core.settings.check_every);
            let result = if polling { self.poll().await } else { Ok(()) };
            if polling && result.is_ok() {
                polled_at = Some(Instant::now());
            }
            let result = match result {
                Ok(()) => self.run_once().await,
                Err(error) => Err(error),
            };
            note_outage(&mut away, &result);
            let pause = if result.is_err() { RETRY_PAUSE } else { self.pause(polled_at) };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.core.due_index.nearer(), if result.is_ok() => {}
            }
        }
    }

    /// Asks the store for the next due time of every shard and for the living workers. An
    /// unreachable shard does not block the others. Without an answer, the last list of workers
    /// stays valid.
    async fn poll(&self) -> Result<(), StoreError> {
        let core = &self.core;
        core.note_actions().await;
        // A worker that polls rarely must not count as dead between two polls.
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
                        core.due_index.note_due(value.shard, at);
                    }
                }
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Decides the due orders of this worker's shards, and the overdue ones of other shards; a few
    /// batches of each shard.
    pub(crate) async fn run_once(&self) -> Result<(), StoreError> {
        let now = self.core.time.estimate();
        let is_ready = |shard, next_due| self.ready_at(shard, next_due) <= now;
        let mut ready = self.core.due_index.take_ready(|shard, next_due| {
            self.core.assignment.is_mine(shard) && is_ready(shard, next_due)
        });
        // A worker with a backlog of its own does not help others: they have one as well, and both
        // would decide the same orders.
        let has_backlog = ready.iter().any(|shard| self.backlog().contains(shard));
        if !has_backlog {
            ready.extend(self.core.due_index.take_ready(is_ready));
        }
        let visits = self.plan(ready);
        // Heartbeats and newly due orders must not wait for many slow batches.
        let until = Instant::now() + self.core.settings.check_every;
        let results: Vec<Result<(), StoreError>> = stream::iter(visits)
            .map(|visit| self.visit(visit, until))
            .buffer_unordered(self.core.assignment.share_of(IN_FLIGHT))
            .collect()
            .await;
        results.into_iter().collect()
    }

    fn ready_at(&self, shard: Shard, next_due: Time) -> Time {
        if self.core.assignment.is_mine(shard) { next_due } else { next_due.after(GRACE) }
    }

    fn pause(&self, polled_at: Option<Instant>) -> Duration {
        let now = self.core.time.estimate();
        let nearest = self.core.due_index.nearest(|shard, next_due| self.ready_at(shard, next_due));
        if nearest.is_some_and(|at| at <= now) && !self.backlog().is_empty() {
            return Duration::ZERO;
        }
        let until_poll = self
            .core
            .settings
            .check_every
            .saturating_sub(polled_at.map_or(Duration::ZERO, |at| at.elapsed()));
        nearest.map_or(until_poll, |at| at.since(now).to_std().min(until_poll)).max(PAUSE)
    }

    fn backlog(&self) -> MutexGuard<'_, HashSet<Shard>> {
        self.backlog.lock()
    }

    /// Shards with a backlog are drained one by one in full batches, other workers' shards in small
    /// batches. The remaining shards have few due orders and share one read. Each worker starts at
    /// a position derived from its name, so that workers do not visit the shards in step.
    fn plan(&self, mut ready: Vec<Shard>) -> Vec<Visit> {
        if !ready.is_empty() {
            let start =
                crc32fast::hash(self.core.assignment.me().as_bytes()) as usize % ready.len();
            ready.rotate_left(start);
        }
        let backlog = self.backlog();
        let batch = self.batch_limit();
        let (full, light): (Vec<Shard>, Vec<Shard>) = ready
            .into_iter()
            .partition(|&shard| backlog.contains(&shard) || !self.core.assignment.is_mine(shard));
        let share = (batch / light.len().max(1)).max(16).min(batch);
        let together = light.chunks((batch / share).max(1)).map(|shards| Visit {
            shards: shards.to_vec(),
            limit: share,
            batches: 1,
        });
        let limit =
            |shard| if self.core.assignment.is_mine(shard) { usize::MAX } else { OTHERS_BATCH };
        let alone = full.into_iter().map(|shard| Visit {
            shards: vec![shard],
            limit: limit(shard),
            batches: BATCHES_PER_VISIT,
        });
        together.chain(alone).collect()
    }

    /// The most orders in one batch: the configured limit, or less if the store suggested less.
    fn batch_limit(&self) -> usize {
        self.core.settings.batch.min(self.suggested.load(Ordering::Relaxed)).clamp(1, MAX_BATCH)
    }

    /// Runs at least one batch, and the rest of the visit until `until`.
    async fn visit(&self, visit: Visit, until: Instant) -> Result<(), StoreError> {
        let mut shards = visit.shards;
        for _ in 0..visit.batches {
            shards = match self.batch(&shards, visit.limit.min(self.batch_limit())).await {
                Ok(more) => more,
                Err(error) => {
                    self.mark_overdue(&shards);
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
        self.mark_overdue(&shards);
        Ok(())
    }

    /// Puts unfinished shards back as overdue, so that the grace period for another worker's shard
    /// is not waited for twice.
    fn mark_overdue(&self, shards: &[Shard]) {
        let overdue = self.core.time.estimate().before(GRACE);
        for &shard in shards {
            self.core.due_index.note_due(shard, overdue);
        }
    }

    /// Reads, decides and commits one batch. Returns the shards with more due orders. An
    /// unreachable shard is put back; the others continue.
    async fn batch(&self, shards: &[Shard], limit: usize) -> Result<Vec<Shard>, StoreError> {
        let core = &self.core;
        let mut found = Vec::with_capacity(shards.len());
        let mut failed = None;
        for (&shard, answer) in shards.iter().zip(core.store.due(&self.looks(shards), limit).await)
        {
            match answer {
                Ok(at) => found.push(at),
                Err(error) => {
                    self.mark_overdue(&[shard]);
                    failed = Some(error);
                }
            }
        }
        let orders = found.iter().flat_map(|at| &at.value.orders);
        core.terms
            .load(&*core.store, orders.filter_map(|order| order.order.as_ref().ok()?.as_ref()))
            .await?;
        let mut plans = Vec::new();
        let mut more = Vec::new();
        let mut size = 0;
        for At { now, shard: state, mut value } in found {
            core.time.heard(now);
            self.suggested.store(value.suggested, Ordering::Relaxed);
            if self.note_next(&value, now) {
                more.push(value.shard);
            }
            let shard = value.shard;
            let planned: Vec<PlannedChange> =
                value.orders.iter().filter_map(|order| self.decide(shard, order, now)).collect();
            size += planned.len();
            // An empty plan drops its read token.
            if !planned.is_empty() {
                plans.push(ShardPlan { shard, now, state, read: value.read.take(), planned });
            }
        }
        if let Some(guarded) = &self.guarded {
            guarded.wait_for_room().await;
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

    /// Commits the decisions. Returns an error if some were not committed; those orders are still
    /// due and the next poll finds them.
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
        let mut skipped = self.skipped.lock();
        if skipped.since.elapsed() > SKIP_FOR {
            *skipped = SkippedOrders { since: Instant::now(), orders: HashMap::new() };
        }
        let guarded = |shard| self.guarded.as_ref().map_or(0, |guarded| guarded.count(shard));
        shards
            .iter()
            .map(|&shard| Look {
                shard,
                extra: skipped.orders.get(&shard).map_or(0, HashSet::len) + guarded(shard),
            })
            .collect()
    }

    /// Notes the shard's next due time. Returns whether the shard has more due orders.
    fn note_next(&self, shard: &DueShard, now: Time) -> bool {
        let more = shard.next_at.is_some_and(|at| at <= now);
        if more {
            self.backlog().insert(shard.shard);
        } else {
            self.backlog().remove(&shard.shard);
            if let Some(at) = shard.next_at {
                self.core.due_index.note_due(shard.shard, at);
            }
        }
        more
    }

    /// What the timer does about one due order, if anything.
    fn decide(&self, shard: Shard, due: &DueOrder, now: Time) -> Option<PlannedChange> {
        if self.is_skipped(shard, &due.id) {
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
            Err(error) => return self.skip(shard, &due.id, &error.to_string()),
        };
        if order.next_due_at().is_none_or(|next_due| next_due > now) {
            let was = Some(order.status).filter(|_| !order.is_resting());
            return Some(self.correct(Change {
                id: due.id.clone(),
                expected: order.version,
                was,
                order: Some(Arc::new(order.clone())),
                events: Vec::new(),
            }));
        }
        match self.core.decide_due(order, now) {
            Ok(Some(planned)) if planned.receives_adopted() => self.queue_for_guard(shard, &due.id),
            Ok(Some(planned)) => Some(planned),
            Ok(None) => {
                self.skip(shard, &due.id, "it is due, but the timer has nothing to do for it")
            }
            Err(error) => self.skip(shard, &due.id, &error.to_string()),
        }
    }

    /// Leaves an adopted order to the guard, which asks the shop. Without a guard the order is
    /// skipped.
    fn queue_for_guard(&self, shard: Shard, id: &OrderId) -> Option<PlannedChange> {
        match &self.guarded {
            Some(guarded) => guarded.take(shard, id.clone()),
            None => {
                self.core.metrics.unguarded.inc();
                tracing::warn!(order = %id, "skipped a due adopted order: this worker has no \
                    [intake]; a worker with an intake will receive it");
                self.remember_skipped(shard, id);
            }
        }
        None
    }

    /// Corrects a due time that does not match its order, under the same version check.
    fn correct(&self, change: Change) -> PlannedChange {
        self.core.metrics.corrected.inc();
        tracing::warn!(order = %change.id, "corrected a due time that did not match its \
            order");
        PlannedChange::correction(change)
    }

    fn is_skipped(&self, shard: Shard, id: &OrderId) -> bool {
        let skipped = self.skipped.lock();
        let is_skipped = skipped.orders.get(&shard).is_some_and(|ids| ids.contains(id));
        is_skipped || self.guarded.as_ref().is_some_and(|guarded| guarded.contains(shard, id))
    }

    fn skip(&self, shard: Shard, id: &OrderId, why: &str) -> Option<PlannedChange> {
        self.core.metrics.unreadable.inc();
        tracing::error!(order = %id, why, "skipped a due order for 60 s");
        self.remember_skipped(shard, id);
        None
    }

    fn remember_skipped(&self, shard: Shard, id: &OrderId) {
        let mut skipped = self.skipped.lock();
        skipped.orders.entry(shard).or_default().insert(id.clone());
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
