//! Decided changes before their commit.

use std::sync::Arc;

use autoreceive_domain::{Cause, Event, EventKind, Order, OrderId, Policy, Shard, Terms, Time};
use autoreceive_store::{At, Change, ReadToken, ShardState};

use crate::reply::ReplyOutcome;

/// A change and the data needed to commit it.
pub(crate) struct PlannedChange {
    pub(crate) change: Change,
    /// The order's terms; they contain the retention time of a resting order.
    pub(crate) terms: Option<Arc<Terms>>,
    /// The policy, if the change places an order.
    pub(crate) policy: Option<Policy>,
    /// The deadline before this change, to measure the lag of a receipt.
    pub(crate) deadline: Option<Time>,
}

/// The changes decided on one read of one shard.
pub(crate) struct ShardPlan {
    pub(crate) shard: Shard,
    /// The shard's time at which they were decided.
    pub(crate) now: Time,
    /// The shard's state when it was read.
    pub(crate) state: Arc<ShardState>,
    /// The read token, if the store still holds the read.
    pub(crate) read: Option<ReadToken>,
    pub(crate) planned: Vec<PlannedChange>,
}

/// Changes of orders that were read one by one, grouped by shard.
#[derive(Default)]
pub(crate) struct ShardPlans(Vec<ShardPlan>);

impl ShardPlans {
    /// Adds a change of an order that was read at `at`. If a shard was read twice, the plan keeps
    /// the earlier time.
    pub(crate) fn add<T>(&mut self, shard: Shard, at: &At<T>, planned: PlannedChange) {
        match self.0.iter_mut().find(|plan| plan.shard == shard && plan.state == at.shard) {
            Some(plan) => {
                plan.now = plan.now.min(at.now);
                plan.planned.push(planned);
            }
            None => self.0.push(ShardPlan {
                shard,
                now: at.now,
                state: at.shard.clone(),
                read: None,
                planned: vec![planned],
            }),
        }
    }

    /// The plans, and for each of them the ids of its orders.
    pub(crate) fn into_parts(self) -> (Vec<ShardPlan>, Vec<Vec<OrderId>>) {
        let ids = |plan: &ShardPlan| plan.planned.iter().map(|p| p.change.id.clone()).collect();
        let all = self.0.iter().map(ids).collect();
        (self.0, all)
    }
}

/// The result of a planned change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ChangeResult {
    Done,
    Conflict,
    Refused(String),
    Unknown(String),
}

/// The result of deciding the commands of one order.
pub(crate) struct DecidedCommands {
    /// The outcome of each decided command, with the order after it.
    pub(crate) replies: Vec<(ReplyOutcome, Option<Arc<Order>>)>,
    /// The order's terms, if there is an order.
    pub(crate) terms: Option<Arc<Terms>>,
    /// The change to commit, if any.
    pub(crate) planned: Option<PlannedChange>,
}

impl PlannedChange {
    /// The change from `loaded` to `order`.
    pub(crate) fn new(
        loaded: Option<&Order>,
        order: Arc<Order>,
        events: Vec<Event>,
        terms: Option<Arc<Terms>>,
    ) -> PlannedChange {
        let was = loaded.filter(|order| !order.is_resting()).map(|order| order.status);
        let expected = loaded.map_or(0, |order| order.version);
        let deadline = loaded.and_then(|order| order.clock.deadline());
        let change = Change { id: order.id.clone(), expected, was, order: Some(order), events };
        PlannedChange { change, terms, policy: None, deadline }
    }

    /// Corrects a due time, or removes the due time of an order that does not exist.
    pub(crate) fn correction(change: Change) -> PlannedChange {
        PlannedChange { change, terms: None, policy: None, deadline: None }
    }

    /// Whether the timer receives an adopted order by this change; the shop is asked first.
    pub(crate) fn receives_adopted(&self) -> bool {
        let receives = |order: &Arc<Order>| {
            order.adopted && order.kind == EventKind::Received && order.cause == Cause::Timer
        };
        self.change.order.as_ref().is_some_and(receives)
    }
}
