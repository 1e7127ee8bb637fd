//! Decisions before they are committed.

use std::sync::Arc;

use autoreceive_domain::{Cause, Event, EventKind, Order, OrderId, Policy, Shard, Terms, Time};
use autoreceive_store::{At, Change, ReadToken, ShardState};

use crate::reply::ReplyOutcome;

/// A change with what is needed to commit it.
pub(crate) struct Planned {
    pub(crate) change: Change,
    /// The order's terms, which tell how long it is kept once it rests.
    pub(crate) terms: Option<Arc<Terms>>,
    /// The policy, where the change places an order.
    pub(crate) policy: Option<Policy>,
    /// The deadline that ran until now, for the lag of a receipt.
    pub(crate) deadline: Option<Time>,
}

/// Changes that were decided on one read of one shard.
pub(crate) struct ShardPlan {
    pub(crate) shard: Shard,
    /// The shard's time with which they were decided.
    pub(crate) now: Time,
    /// What the shard was when it was read.
    pub(crate) state: Arc<ShardState>,
    /// The read itself, where the store still holds it.
    pub(crate) read: Option<ReadToken>,
    pub(crate) planned: Vec<Planned>,
}

/// Changes of orders that were read one by one, gathered by their shards.
#[derive(Default)]
pub(crate) struct ShardPlans(Vec<ShardPlan>);

impl ShardPlans {
    /// Adds a change of an order that was read `at`. What is decided by two readings of one shard
    /// goes by the earlier one, so that neither is older than it says.
    pub(crate) fn add<T>(&mut self, shard: Shard, at: &At<T>, planned: Planned) {
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

    /// The plans, and which orders each of them changes.
    pub(crate) fn into_parts(self) -> (Vec<ShardPlan>, Vec<Vec<OrderId>>) {
        let ids = |plan: &ShardPlan| plan.planned.iter().map(|p| p.change.id.clone()).collect();
        let all = self.0.iter().map(ids).collect();
        (self.0, all)
    }
}

/// What became of a planned change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ChangeResult {
    Done,
    Conflict,
    Refused(String),
    Unknown(String),
}

/// What commands about one order came to.
pub(crate) struct Decided {
    /// For each command that was decided how it went, and the order as it left it.
    pub(crate) replies: Vec<(ReplyOutcome, Option<Arc<Order>>)>,
    /// The order's terms, where there is an order.
    pub(crate) terms: Option<Arc<Terms>>,
    /// What is to be committed, if anything.
    pub(crate) planned: Option<Planned>,
}

impl Planned {
    /// The change that leads from what was loaded to `order`.
    pub(crate) fn new(
        loaded: Option<&Order>,
        order: Arc<Order>,
        events: Vec<Event>,
        terms: Option<Arc<Terms>>,
    ) -> Planned {
        let was = loaded.filter(|order| !order.is_resting()).map(|order| order.status);
        let expected = loaded.map_or(0, |order| order.version);
        let deadline = loaded.and_then(|order| order.clock.deadline());
        let change = Change { id: order.id.clone(), expected, was, order: Some(order), events };
        Planned { change, terms, policy: None, deadline }
    }

    /// Only the noted due time is set right, or the note of an order that is gone removed.
    pub(crate) fn correction(change: Change) -> Planned {
        Planned { change, terms: None, policy: None, deadline: None }
    }

    /// Whether the timer makes an adopted order RECEIVED by it, about which the shop has a say.
    pub(crate) fn receives_adopted(&self) -> bool {
        let receives = |order: &Arc<Order>| {
            order.adopted && order.kind == EventKind::Received && order.cause == Cause::Timer
        };
        self.change.order.as_ref().is_some_and(receives)
    }
}
