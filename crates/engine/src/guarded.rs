//! Adopted orders whose time has come. The shop keeps their status and its word wins, so the timer asks a [`Guard`] before it
//! commits a receipt, here and apart from the sweeper: a shop's server that is slow or away delays no order that was placed by a
//! command.
//!
//! What is handed over here is left alone by the sweeper until it was worked on. Nothing is claimed by that: another worker
//! may ask about the same order, is given the same word, and the version decides whose commit counts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::{Command, Observation, Order, OrderId, Time};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::core::{Core, Fate, Planned};
use crate::metrics::BySource;
use autoreceive_store::Shard;

/// How many orders are asked about in one round trip.
const BATCH: usize = 200;
/// How long orders about which there was no word, or whose commit failed, are left alone.
const AWAY_PAUSE: Duration = Duration::from_millis(500);
/// The longest queue behind which the sweeper reads on; how long it waits for it to become shorter.
const QUEUE: usize = 4_000;
const ROOM_WITHIN: Duration = Duration::from_millis(50);
const SOURCE: &str = "guarded";

/// Who knows the shop's word about adopted orders.
#[async_trait]
pub trait Guard: Debug + Send + Sync + 'static {
    /// Asks, and where the shop still wants the order to be received, writes that there: one word for each order. Asked
    /// again after [`Word::Ours`] it is the same word, whatever the shop has written since.
    async fn ask(&self, orders: &[OrderId]) -> Vec<Word>;

    /// The receipts of these orders are committed.
    async fn done(&self, orders: &[OrderId]);
}

/// What is known about an adopted order whose time has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// The shop waited for the receipt, and was told of it: it has to be committed.
    Ours,
    /// The shop's own word, which is to be followed.
    Shop(Observation),
    /// Nobody knows for now.
    None(String),
}

/// The adopted orders that the sweeper found due.
pub(crate) struct Guarded {
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

impl Guarded {
    pub(crate) fn new(core: Arc<Core>, guard: Arc<dyn Guard>) -> Guarded {
        Guarded { core, guard, state: Mutex::default(), woken: Notify::new(), room: Notify::new() }
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

    /// Waits a moment while the queue is long. Not where the shop is away: the other orders don't wait for it.
    pub(crate) async fn room(&self) {
        let is_long = |state: &mut State| state.queue.len() > QUEUE && !state.away;
        if self.with(is_long) {
            let _ = tokio::time::timeout(ROOM_WITHIN, self.room.notified()).await;
        }
    }

    /// Works until told to stop; what is asked about then is finished.
    pub(crate) async fn run(self: Arc<Guarded>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let batch: Vec<(Shard, OrderId)> = self.with(|state| state.queue.drain(..state.queue.len().min(BATCH)).collect());
            self.room.notify_one();
            if batch.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.woken.notified() => continue,
                }
            }
            let ids: Vec<OrderId> = batch.iter().map(|(_, id)| id.clone()).collect();
            let outcome = self.run_once(&ids).await;
            note_outage(&outcome, self.with(|state| std::mem::replace(&mut state.away, outcome.is_err())));
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
            self.core.wakes.hint(*shard, now);
        }
    }

    /// Loads, decides, asks, and commits what follows from the answers.
    async fn run_once(&self, ids: &[OrderId]) -> Result<(), String> {
        let core = &self.core;
        let loaded = core.store.load(ids).await.map_err(|error| error.to_string())?;
        core.time.heard(loaded.now);
        core.book.learn(&*core.store, loaded.orders.iter().flatten().flatten()).await.map_err(|error| error.to_string())?;
        let orders = loaded.orders.into_iter().flatten().flatten().map(Arc::new);
        let due: Vec<(Arc<Order>, Planned)> =
            orders.filter_map(|order| Some((order.clone(), self.planned(&order, &Command::Due, loaded.now)?))).collect();
        let (orders, planned): (Vec<_>, Vec<_>) = due.into_iter().unzip();
        self.ask_and_commit(orders, planned, loaded.now).await
    }

    fn planned(&self, order: &Arc<Order>, command: &Command, now: Time) -> Option<Planned> {
        self.core.decide(&order.id, Some(order.clone()), std::iter::once(command), now).ok()?.planned
    }

    async fn ask_and_commit(&self, orders: Vec<Arc<Order>>, planned: Vec<Planned>, now: Time) -> Result<(), String> {
        let (mut ask, mut chosen) = (Vec::new(), Vec::new());
        for (order, plan) in orders.into_iter().zip(planned) {
            match plan.receives_adopted() {
                true => ask.push((order, plan)),
                false => chosen.push((plan, false)),
            }
        }
        let ids: Vec<OrderId> = ask.iter().map(|(order, _)| order.id.clone()).collect();
        let words = if ids.is_empty() { Vec::new() } else { self.guard.ask(&ids).await };
        let mut why = None;
        for ((order, plan), word) in ask.into_iter().zip(words) {
            match word {
                Word::Ours => chosen.push((plan, true)),
                Word::Shop(observation) => {
                    let command = Command::Observe(Box::new(observation));
                    chosen.extend(self.planned(&order, &command, now).map(|plan| (plan, false)));
                }
                Word::None(text) => why = Some(text),
            }
        }
        let (planned, ours): (Vec<Planned>, Vec<bool>) = chosen.into_iter().unzip();
        self.commit(planned, ours, now).await?;
        why.map_or(Ok(()), Err)
    }

    async fn commit(&self, planned: Vec<Planned>, ours: Vec<bool>, now: Time) -> Result<(), String> {
        if planned.is_empty() {
            return Ok(());
        }
        let core = &self.core;
        core.metrics.batch_orders.get_or_create(&BySource { source: SOURCE }).observe(planned.len() as f64);
        let ids: Vec<OrderId> = planned.iter().map(|plan| plan.change.id.clone()).collect();
        let fates = core.commit(SOURCE, now, planned).await;
        let done = ids.into_iter().zip(ours).zip(&fates).filter(|((_, ours), fate)| *ours && **fate == Fate::Done);
        let done: Vec<OrderId> = done.map(|((id, _), _)| id).collect();
        if !done.is_empty() {
            self.guard.done(&done).await;
        }
        let failed = fates.into_iter().find_map(|fate| match fate {
            Fate::Done | Fate::Conflict => None,
            Fate::Refused(why) | Fate::Unknown(why) => Some(why),
        });
        failed.map_or(Ok(()), Err)
    }
}

fn note_outage(outcome: &Result<(), String>, was_away: bool) {
    match outcome {
        Err(why) if !was_away => tracing::error!(why, "adopted orders that are due wait for the shop's word"),
        Ok(()) if was_away => tracing::info!("adopted orders that are due are received again"),
        _ => {}
    }
}
