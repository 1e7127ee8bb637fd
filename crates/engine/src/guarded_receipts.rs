//! Adopted orders whose time has come. The shop keeps their status and its word wins, so the timer
//! asks a [`Guard`] before it commits a receipt, here and apart from the sweeper: a shop's server
//! that is slow or away delays no order that was placed by a command.
//!
//! What is handed over here is left alone by the sweeper until it was worked on. Nothing is claimed
//! by that: another worker may ask about the same order, is given the same word, and the version
//! decides whose commit counts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use autoreceive_domain::{Command, Order, OrderId, Time};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::guard::{Guard, ShopDecision};
use crate::metrics::BySource;
use crate::planned::{ChangeResult, Planned, ShardPlans};
use autoreceive_store::{At, Shard};

/// How many orders are asked about in one round trip.
const BATCH: usize = 200;
/// How long orders about which there was no word, or whose commit failed, are left alone.
const AWAY_PAUSE: Duration = Duration::from_millis(500);
/// The longest queue behind which the sweeper reads on; how long it waits for it to become shorter.
const QUEUE: usize = 4_000;
const ROOM_WITHIN: Duration = Duration::from_millis(50);
const SOURCE: &str = "guarded";

/// The adopted orders that the sweeper found due.
pub(crate) struct GuardedReceipts {
    core: Arc<Core>,
    guard: Arc<dyn Guard>,
    state: Mutex<State>,
    woken: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    /// Everything that was handed over and not given back.
    held: HashMap<Shard, HashSet<OrderId>>,
    queue: VecDeque<(Shard, OrderId)>,
    away: bool,
}

impl GuardedReceipts {
    pub(crate) fn new(core: Arc<Core>, guard: Arc<dyn Guard>) -> GuardedReceipts {
        GuardedReceipts {
            core,
            guard,
            state: Mutex::default(),
            woken: Notify::new(),
            room: Notify::new(),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over an order that is due.
    pub(crate) fn take(&self, shard: Shard, id: OrderId) {
        self.with(|state| {
            if state.held.entry(shard).or_default().insert(id.clone()) {
                state.queue.push_back((shard, id));
            }
        });
        self.woken.notify_one();
    }

    pub(crate) fn holds(&self, shard: Shard, id: &OrderId) -> bool {
        self.with(|state| state.held.get(&shard).is_some_and(|ids| ids.contains(id)))
    }

    /// How many orders of a shard are held.
    pub(crate) fn held(&self, shard: Shard) -> usize {
        self.with(|state| state.held.get(&shard).map_or(0, HashSet::len))
    }

    /// Waits a moment while the queue is long. Not where the shop is away: the other orders don't
    /// wait for it.
    pub(crate) async fn room(&self) {
        let is_long = |state: &mut State| state.queue.len() > QUEUE && !state.away;
        if self.with(is_long) {
            let _ = tokio::time::timeout(ROOM_WITHIN, self.room.notified()).await;
        }
    }

    /// Works until told to stop; what is asked about then is finished.
    pub(crate) async fn run(self: Arc<GuardedReceipts>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let batch: Vec<(Shard, OrderId)> =
                self.with(|state| state.queue.drain(..state.queue.len().min(BATCH)).collect());
            self.room.notify_one();
            if batch.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.woken.notified() => continue,
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
                    () = tokio::time::sleep(AWAY_PAUSE) => {}
                }
            }
            self.give_back(&batch, outcome.is_err());
        }
    }

    /// Lets the sweeper find again what is still due.
    fn give_back(&self, batch: &[(Shard, OrderId)], at_once: bool) {
        self.with(|state| {
            for (shard, id) in batch {
                if let Some(held) = state.held.get_mut(shard) {
                    held.remove(id);
                }
            }
        });
        let now = self.core.time.estimate();
        for (shard, _) in batch.iter().filter(|_| at_once) {
            self.core.due_index.hint(*shard, now);
        }
    }

    /// Loads, decides, asks, and commits what follows from the answers.
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
        core.book.learn(&*core.store, orders).await.map_err(|error| error.to_string())?;
        let due: Vec<(At<Arc<Order>>, Planned)> = found
            .into_iter()
            .filter_map(|at| {
                let planned = self.planned(&at.value, &Command::Due, at.now)?;
                Some((at, planned))
            })
            .collect();
        self.ask_and_commit(due).await?;
        why.map_or(Ok(()), Err)
    }

    fn planned(&self, order: &Arc<Order>, command: &Command, now: Time) -> Option<Planned> {
        self.core
            .decide(&order.id, Some(order.clone()), std::iter::once(command), now)
            .ok()?
            .planned
    }

    async fn ask_and_commit(&self, due: Vec<(At<Arc<Order>>, Planned)>) -> Result<(), String> {
        let (ask, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(_, plan)| plan.receives_adopted());
        let mut chosen: Vec<Chosen> = Vec::new();
        for (at, plan) in others {
            chosen.push(Chosen { at: at.map(drop), plan, ours: false });
        }
        let ids: Vec<OrderId> = ask.iter().map(|(at, _)| at.value.id.clone()).collect();
        let words = if ids.is_empty() { Vec::new() } else { self.guard.ask(&ids).await };
        let mut why = None;
        for ((at, plan), word) in ask.into_iter().zip(words) {
            match word {
                ShopDecision::Ours => chosen.push(Chosen { at: at.map(drop), plan, ours: true }),
                ShopDecision::Shop(observation) => {
                    let command = Command::Observe(Box::new(observation));
                    if let Some(plan) = self.planned(&at.value, &command, at.now) {
                        chosen.push(Chosen { at: at.map(drop), plan, ours: false });
                    }
                }
                ShopDecision::None(text) => why = Some(text),
            }
        }
        self.commit(chosen).await?;
        why.map_or(Ok(()), Err)
    }

    async fn commit(&self, chosen: Vec<Chosen>) -> Result<(), String> {
        if chosen.is_empty() {
            return Ok(());
        }
        let core = &self.core;
        core.metrics
            .batch_orders
            .get_or_create(&BySource { source: SOURCE })
            .observe(chosen.len() as f64);
        let mut ours: HashSet<OrderId> = HashSet::new();
        let mut plans = ShardPlans::default();
        for Chosen { at, plan, ours: is_ours } in chosen {
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

/// A change that is to be committed.
struct Chosen {
    /// When its order was read.
    at: At<()>,
    plan: Planned,
    /// Whether it is a receipt that the shop was told of.
    ours: bool,
}

fn note_outage(outcome: &Result<(), String>, was_away: bool) {
    match outcome {
        Err(why) if !was_away => {
            tracing::error!(why, "adopted orders that are due wait for the shop's word")
        }
        Ok(()) if was_away => tracing::info!("adopted orders that are due are received again"),
        _ => {}
    }
}
