//! Due adopted orders. The shop's status takes precedence, so a [`Guard`] asks the shop before a
//! receipt is committed. This runs apart from the sweeper: a slow shop server delays no order that
//! was placed by a command.
//!
//! The sweeper skips orders that are queued here. This is no lock: another worker may ask about the
//! same order and gets the same decision; the version check drops the second commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::{Command, Order, OrderId, Time};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::guard::{Guard, ShopDecision};
use crate::metrics::BySource;
use crate::planned::{ChangeResult, PlannedChange, ShardPlans};
use autoreceive_store::{At, Shard};

/// The most orders in one question to the shop.
const BATCH: usize = 200;
/// How long orders wait after the shop gave no decision or a commit failed.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The sweeper waits up to `ROOM_WITHIN` if the queue is longer than this.
const QUEUE: usize = 4_000;
const ROOM_WITHIN: Duration = Duration::from_millis(50);
const SOURCE: &str = "guarded";

/// The adopted orders that the sweeper found due.
pub(crate) struct GuardedReceipts {
    core: Arc<Core>,
    guard: Arc<dyn Guard>,
    state: Mutex<GuardedQueue>,
    queued: Notify,
    room: Notify,
}

#[derive(Default)]
struct GuardedQueue {
    /// All orders that were taken and not given back yet.
    taken: HashMap<Shard, HashSet<OrderId>>,
    queue: VecDeque<(Shard, OrderId)>,
    away: bool,
}

impl GuardedReceipts {
    pub(crate) fn new(core: Arc<Core>, guard: Arc<dyn Guard>) -> GuardedReceipts {
        GuardedReceipts {
            core,
            guard,
            state: Mutex::default(),
            queued: Notify::new(),
            room: Notify::new(),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut GuardedQueue) -> T) -> T {
        f(&mut self.state.lock())
    }

    /// Takes over a due order.
    pub(crate) fn take(&self, shard: Shard, id: OrderId) {
        self.with(|state| {
            if state.taken.entry(shard).or_default().insert(id.clone()) {
                state.queue.push_back((shard, id));
            }
        });
        self.queued.notify_one();
    }

    pub(crate) fn contains(&self, shard: Shard, id: &OrderId) -> bool {
        self.with(|state| state.taken.get(&shard).is_some_and(|ids| ids.contains(id)))
    }

    /// The number of taken orders of a shard.
    pub(crate) fn count(&self, shard: Shard) -> usize {
        self.with(|state| state.taken.get(&shard).map_or(0, HashSet::len))
    }

    /// Waits a moment if the queue is long. Does not wait during an outage of the shop, so that
    /// other orders are not delayed.
    pub(crate) async fn wait_for_room(&self) {
        let is_long = |state: &mut GuardedQueue| state.queue.len() > QUEUE && !state.away;
        if self.with(is_long) {
            let _ = tokio::time::timeout(ROOM_WITHIN, self.room.notified()).await;
        }
    }

    /// Runs until stopped; finishes the current batch.
    pub(crate) async fn run(self: Arc<GuardedReceipts>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let batch: Vec<(Shard, OrderId)> =
                self.with(|state| state.queue.drain(..state.queue.len().min(BATCH)).collect());
            self.room.notify_one();
            if batch.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.queued.notified() => continue,
                }
            }
            let ids: Vec<OrderId> = batch.iter().map(|(_, id)| id.clone()).collect();
            let outcome = self.run_once(&ids).await;
            note_outage(
                &outcome,
                self.with(|state| std::mem::replace(&mut state.away, outcome.is_err())),
            );
            if outcome.is_err() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                }
            }
            self.give_back(&batch, outcome.is_err());
        }
    }

    /// Lets the sweeper find the orders again that are still due.
    fn give_back(&self, batch: &[(Shard, OrderId)], at_once: bool) {
        self.with(|state| {
            for (shard, id) in batch {
                if let Some(taken) = state.taken.get_mut(shard) {
                    taken.remove(id);
                }
            }
        });
        let now = self.core.time.estimate();
        for (shard, _) in batch.iter().filter(|_| at_once) {
            self.core.due_index.note_due(*shard, now);
        }
    }

    /// Loads, decides, asks, and commits the results.
    async fn run_once(&self, ids: &[OrderId]) -> Result<(), String> {
        let core = &self.core;
        let mut found = Vec::with_capacity(ids.len());
        let mut why = None;
        for slot in core.store.load(ids).await {
            match slot {
                Ok(At { now, shard, value: Ok(Some(order)) }) => {
                    core.time.heard(now);
                    found.push(At { now, shard, value: Arc::new(order) });
                }
                Ok(_) => {}
                Err(error) => why = Some(error.to_string()),
            }
        }
        let orders = found.iter().map(|at| &*at.value);
        core.terms.load(&*core.store, orders).await.map_err(|error| error.to_string())?;
        let due: Vec<(At<Arc<Order>>, PlannedChange)> = found
            .into_iter()
            .filter_map(|at| {
                let planned = self.planned(&at.value, &Command::Due, at.now)?;
                Some((at, planned))
            })
            .collect();
        self.ask_and_commit(due).await?;
        why.map_or(Ok(()), Err)
    }

    fn planned(&self, order: &Arc<Order>, command: &Command, now: Time) -> Option<PlannedChange> {
        self.core
            .decide(&order.id, Some(order.clone()), std::iter::once(command), now)
            .ok()?
            .planned
    }

    async fn ask_and_commit(
        &self,
        due: Vec<(At<Arc<Order>>, PlannedChange)>,
    ) -> Result<(), String> {
        let (ask, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(_, plan)| plan.receives_adopted());
        let mut changes: Vec<GuardedChange> = Vec::new();
        for (at, plan) in others {
            changes.push(GuardedChange { at: at.map(drop), plan, ours: false });
        }
        let ids: Vec<OrderId> = ask.iter().map(|(at, _)| at.value.id.clone()).collect();
        let decisions = if ids.is_empty() { Vec::new() } else { self.guard.ask(&ids).await };
        let mut why = None;
        for ((at, plan), decision) in ask.into_iter().zip(decisions) {
            match decision {
                ShopDecision::Ours => {
                    changes.push(GuardedChange { at: at.map(drop), plan, ours: true })
                }
                ShopDecision::Shop(observation) => {
                    let command = Command::Observe(Box::new(observation));
                    if let Some(plan) = self.planned(&at.value, &command, at.now) {
                        changes.push(GuardedChange { at: at.map(drop), plan, ours: false });
                    }
                }
                ShopDecision::Unknown(text) => why = Some(text),
            }
        }
        self.commit(changes).await?;
        why.map_or(Ok(()), Err)
    }

    async fn commit(&self, changes: Vec<GuardedChange>) -> Result<(), String> {
        if changes.is_empty() {
            return Ok(());
        }
        let core = &self.core;
        core.metrics
            .batch_orders
            .get_or_create(&BySource { source: SOURCE })
            .observe(changes.len() as f64);
        let mut ours: HashSet<OrderId> = HashSet::new();
        let mut plans = ShardPlans::default();
        for GuardedChange { at, plan, ours: is_ours } in changes {
            if is_ours {
                ours.insert(plan.change.id.clone());
            }
            plans.add(core.shard_of(&plan.change.id), &at, plan);
        }
        let (plans, ids) = plans.into_parts();
        let mut done = Vec::new();
        let mut failed = None;
        for (id, result) in
            ids.into_iter().flatten().zip(core.commit(SOURCE, plans).await.into_iter().flatten())
        {
            match result {
                ChangeResult::Done if ours.contains(&id) => done.push(id),
                ChangeResult::Done | ChangeResult::Conflict => {}
                ChangeResult::Refused(why) | ChangeResult::Unknown(why) => failed = Some(why),
            }
        }
        if !done.is_empty() {
            self.guard.done(&done).await;
        }
        failed.map_or(Ok(()), Err)
    }
}

/// A change to commit.
struct GuardedChange {
    /// When its order was read.
    at: At<()>,
    plan: PlannedChange,
    /// Whether it is a receipt that the shop was told of.
    ours: bool,
}

fn note_outage(outcome: &Result<(), String>, was_away: bool) {
    match outcome {
        Err(why) if !was_away => {
            tracing::error!(why, "due adopted orders wait: the shop's status is unknown")
        }
        Ok(()) if was_away => tracing::info!("due adopted orders are received again"),
        _ => {}
    }
}
