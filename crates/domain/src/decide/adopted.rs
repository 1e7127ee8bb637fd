//! Orders that were taken over from the keys that a shop writes. Such an order has no commands of
//! its own: it follows the status that the shop keeps, which was read a moment ago.

use std::sync::Arc;

use super::{Decision, apply, permits, placed};
use crate::command::{Command, Observation, Place, Verb};
use crate::event::Cause;
use crate::order::{MAX_HOLDS, Order};
use crate::policy::{Policy, Terms};
use crate::time::{Span, Time};
use crate::words::OrderId;

use super::rejection::Rejection;

/// An order is adopted when it is first seen paid: as paid by then, because the shop's key does not
/// say since when.
pub(super) fn observe_absent(
    id: &OrderId,
    observation: &Observation,
    now: Time,
    policy: &Policy,
) -> Decision {
    let Observation::Paid { policy: name, receive_after } = observation else {
        return Decision::Unchanged;
    };
    let (name, receive_after) = (name.clone(), *receive_after);
    let place = Place { policy: name, receive_after, paid_at: Some(now), ..Place::new() };
    let order = placed(id, &place, now, policy);
    Decision::Changed(Arc::new(Order { adopted: true, cause: Cause::System, ..order }))
}

/// What follows from the shop's status is what a command would do, where its status permits that;
/// else nothing, because the same status is read again and again.
pub(super) fn observe(
    order: &Order,
    observation: &Observation,
    now: Time,
    terms: &Terms,
) -> Decision {
    if !order.adopted {
        return Decision::Rejected(Rejection::not_adopted(order));
    }
    match command(order, observation, terms) {
        // Nobody quarrelled: what was left is left, without the grace that a dispute is followed
        // by.
        Some(command @ Command::Release { .. }) => {
            apply(order, &command, now, &Terms { release_grace: Span::ZERO, ..terms.clone() })
        }
        Some(command) => apply(order, &command, now, terms),
        None => Decision::Unchanged,
    }
}

fn command(order: &Order, observation: &Observation, terms: &Terms) -> Option<Command> {
    match observation {
        Observation::Paid { .. } => {
            let hold = order.holds.iter().find(|hold| hold.released_at.is_none())?;
            Some(Command::Release { id: hold.id.clone() })
        }
        Observation::Received => {
            order.status.is_open().then_some(Command::Receive { by: Cause::Shop })
        }
        Observation::Cancelled(reason) if permits(order, Verb::Cancel, terms) => {
            Some(Command::Cancel { reason: reason.clone() })
        }
        // Once it was received, money and points have moved: taking it back is a refund, whatever
        // the shop calls it.
        Observation::Cancelled(reason) | Observation::Refunded(reason) => {
            permits(order, Verb::Refund, terms)
                .then(|| Command::Refund { reason: Some(reason.clone()) })
        }
        Observation::Other(reason) => {
            let number = order.holds.len() + 1;
            let can_be_held = order.status.is_open() && !order.is_held() && number <= MAX_HOLDS;
            can_be_held.then(|| {
                Some(Command::Hold {
                    id: format!("shop-{number}").parse().ok()?,
                    reason: reason.clone(),
                })
            })?
        }
    }
}
