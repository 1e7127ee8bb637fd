//! Decisions before they are committed.

use std::sync::Arc;

use autoreceive_domain::{Cause, Event, EventKind, Order, Policy, Shard, Terms, Time};
use autoreceive_store::{Change, ReadToken, ShardState};

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

/// What became of a planned change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
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
