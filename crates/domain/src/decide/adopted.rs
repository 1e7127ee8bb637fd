//! Orders adopted from the shop's keys. They accept no commands. They follow the status that the
//! shop keeps and the intake reads.

use std::sync::Arc;

use super::{Decision, apply, permits, placed};
use crate::command::{Command, Observation, Place, Verb};
use crate::event::Cause;
use crate::order::{MAX_HOLDS, Order};
use crate::policy::{Policy, Terms};
use crate::time::{Span, Time};
use crate::words::OrderId;

use super::rejection::Rejection;

/// Adopts an order when it is first seen paid. `paid_at` is now, because the shop's key does not
/// say when it was paid.
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

/// Applies the command that corresponds to the shop's status, if the order permits it. Otherwise
/// nothing changes, because the same status is read many times.
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
        // This hold was no dispute, so the clock goes on without the release grace.
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
        // After the receipt, money and points have moved. A cancellation is then a refund.
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
