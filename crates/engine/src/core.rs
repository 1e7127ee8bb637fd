//! The state that all parts of the engine share, and how it decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{
    Command, Decision, Event, Order, OrderId, Policies, Shard, ShardCount, Time, decide,
    decide::decide_absent,
};
use autoreceive_store::now::StoreTime;
use autoreceive_store::{Cas, Expected, Space, Store};

use crate::backfills::Backfills;
use crate::due_index::DueIndex;
use crate::metrics::Metrics;
use crate::outbox::ActionQueues;
use crate::planned::{DecidedCommands, PlannedChange};
use crate::reply::ReplyOutcome;
use crate::settings::{COMMIT_BYTES, EngineSettings, ORDER_BYTES};
use crate::shard_assignment::ShardAssignment;
use crate::terms::TermsCache;

pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) shards: ShardCount,
    pub(crate) terms: TermsCache,
    pub(crate) policies: Policies,
    pub(crate) queues: ActionQueues,
    pub(crate) due_index: DueIndex,
    pub(crate) time: StoreTime,
    pub(crate) assignment: ShardAssignment,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: EngineSettings,
    /// Whether the store is known to contain the names of all actions.
    pub(crate) actions_noted: AtomicBool,
    pub(crate) backfills: Backfills,
}

impl Core {
    /// The shard of an order.
    pub(crate) fn shard_of(&self, id: &OrderId) -> Shard {
        self.shards.of(id)
    }

    /// Decides commands about one order, each on the result of the one before. Stops when one
    /// commit is full, but decides at least one command.
    pub(crate) fn decide<'a>(
        &self,
        id: &OrderId,
        loaded: Option<Arc<Order>>,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Time,
    ) -> Result<DecidedCommands, Unreadable> {
        let mut order = loaded.clone();
        let mut policy = None;
        let mut terms = None;
        if let Some(order) = &order {
            let known = self.terms.get(&order.revision);
            terms = Some(known.ok_or_else(|| terms_missing(order))?);
        }
        let mut replies = Vec::new();
        let mut events = Vec::new();
        let mut bytes = 0;
        for command in commands {
            let named = match command.policy().map(|name| self.policies.get(name)).transpose() {
                Ok(named) => named,
                Err(unknown) => {
                    replies.push((ReplyOutcome::UnknownPolicy(unknown), order.clone()));
                    continue;
                }
            };
            let decision = match (&order, &terms) {
                (Some(order), Some(terms)) => decide(order, command, now, terms),
                _ => decide_absent(id, command, now, named),
            };
            let outcome = match decision {
                Decision::Unchanged => ReplyOutcome::Unchanged,
                Decision::Rejected(rejection) => ReplyOutcome::Rejected(rejection),
                Decision::Changed(next) => {
                    if let Some(of_new) = named.filter(|_| order.is_none()) {
                        policy = Some(of_new.clone());
                        terms = Some(of_new.terms.clone());
                    }
                    bytes += ORDER_BYTES + next.data.as_ref().map_or(0, |d| d.as_str().len());
                    events.push(Event(next.clone()));
                    order = Some(next);
                    ReplyOutcome::Changed
                }
            };
            replies.push((outcome, order.clone()));
            if bytes > COMMIT_BYTES {
                break;
            }
        }
        let planned = order.filter(|_| !events.is_empty()).map(|order| PlannedChange {
            policy,
            ..PlannedChange::new(loaded.as_deref(), order, events, terms.clone())
        });
        Ok(DecidedCommands { replies, terms, planned })
    }

    /// Decides what the timer does about a due order, if anything.
    pub(crate) fn decide_due(
        &self,
        order: &Order,
        now: Time,
    ) -> Result<Option<PlannedChange>, Unreadable> {
        let terms = self.terms.get(&order.revision).ok_or_else(|| terms_missing(order))?;
        match decide(order, &Command::Due, now, &terms) {
            Decision::Changed(next) => {
                let events = vec![Event(next.clone())];
                Ok(Some(PlannedChange::new(Some(order), next, events, Some(terms))))
            }
            Decision::Unchanged | Decision::Rejected(_) => Ok(None),
        }
    }

    /// Writes the names of all actions to the store once, so that the figures show their queues
    /// even after they are removed from the configuration. After a crash before this write, no
    /// figure counts such entries until a worker with that action starts; it also delivers them. A
    /// failed write delays no order.
    pub(crate) async fn note_actions(&self) {
        if self.actions_noted.load(Ordering::Relaxed) {
            return;
        }
        let names: Vec<&str> = self.queues.names().map(|name| name.as_str()).collect();
        let changes: Vec<Cas<'_>> = names
            .iter()
            .map(|&key| Cas { key, expected: Expected::Nothing, value: Some("1") })
            .collect();
        let is_noted = changes.is_empty()
            || self.store.compare_and_set(Space::Actions, &changes).await.is_ok();
        self.actions_noted.store(is_noted, Ordering::Relaxed);
    }
}

fn terms_missing(order: &Order) -> Unreadable {
    let what = format!("the store does not contain its terms, {}", order.revision);
    Unreadable { id: order.id.to_string(), what }
}
