//! Why a command was rejected, and which commands are possible.

use std::fmt;

use super::permits;
use crate::command::Verb;
use crate::order::{MAX_HOLDS, Order, Status};
use crate::policy::Terms;
use crate::words::OrderId;

/// The machine-readable reason of a rejection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// There is no such order.
    OrderNotFound,
    /// Another order already has this id.
    OrderExists,
    /// The order was adopted from the shop's keys and follows them.
    Adopted,
    /// The given time lies more than five seconds ahead.
    AtInFuture,
    /// This status does not permit `pay`.
    NotPayable,
    /// This status does not permit `ship`.
    NotShippable,
    /// This status does not permit `deliver`.
    NotDeliverable,
    /// This status does not permit `receive`.
    NotReceivable,
    /// No receive clock is running, so nothing can be extended.
    NotExtendable,
    /// The policy's extensions are used up.
    ExtensionLimit,
    /// The number skips an extension.
    ExtensionOutOfOrder,
    /// This status does not permit `hold`.
    NotHoldable,
    /// The order already had the maximum number of holds.
    TooManyHolds,
    /// The order never had a hold with this id.
    NotHeld,
    /// This status does not permit `cancel`.
    NotCancellable,
    /// This status does not permit `refund`.
    NotRefundable,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 16] = [
        Code::OrderNotFound,
        Code::OrderExists,
        Code::Adopted,
        Code::AtInFuture,
        Code::NotPayable,
        Code::NotShippable,
        Code::NotDeliverable,
        Code::NotReceivable,
        Code::NotExtendable,
        Code::ExtensionLimit,
        Code::ExtensionOutOfOrder,
        Code::NotHoldable,
        Code::TooManyHolds,
        Code::NotHeld,
        Code::NotCancellable,
        Code::NotRefundable,
    ];

    /// The code as it appears in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::OrderNotFound => "order_not_found",
            Code::OrderExists => "order_exists",
            Code::Adopted => "adopted",
            Code::AtInFuture => "at_in_future",
            Code::NotPayable => "not_payable",
            Code::NotShippable => "not_shippable",
            Code::NotDeliverable => "not_deliverable",
            Code::NotReceivable => "not_receivable",
            Code::NotExtendable => "not_extendable",
            Code::ExtensionLimit => "extension_limit",
            Code::ExtensionOutOfOrder => "extension_out_of_order",
            Code::NotHoldable => "not_holdable",
            Code::TooManyHolds => "too_many_holds",
            Code::NotHeld => "not_held",
            Code::NotCancellable => "not_cancellable",
            Code::NotRefundable => "not_refundable",
        }
    }

    /// The code for a command that the status does not permit.
    pub(super) fn of(verb: Verb) -> Code {
        match verb {
            Verb::Place | Verb::Observe | Verb::Due => Code::OrderExists,
            Verb::Pay => Code::NotPayable,
            Verb::Ship => Code::NotShippable,
            Verb::Deliver => Code::NotDeliverable,
            Verb::Receive => Code::NotReceivable,
            Verb::Extend => Code::NotExtendable,
            Verb::Hold => Code::NotHoldable,
            Verb::Release => Code::NotHeld,
            Verb::Cancel => Code::NotCancellable,
            Verb::Refund => Code::NotRefundable,
        }
    }
}

/// A rejected command. Nothing changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Rejection {
    /// The machine-readable reason.
    pub code: Code,
    /// The reason in words.
    pub title: String,
    /// The order's status, if the order exists.
    pub status: Option<Status>,
    /// The commands that are possible now.
    pub allowed: Vec<Verb>,
}

impl Rejection {
    pub(super) fn not_found(id: &OrderId, verb: Verb) -> Rejection {
        let title = format!("there is no order {id}; place it before you {verb} it");
        Rejection { code: Code::OrderNotFound, title, status: None, allowed: vec![Verb::Place] }
    }

    pub(super) fn exists(order: &Order, field: &str) -> Rejection {
        let title = format!(
            "order {} already exists with a different {field}; an order id cannot be reused",
            order.id
        );
        Rejection {
            code: Code::OrderExists,
            title,
            status: Some(order.status),
            allowed: Vec::new(),
        }
    }

    pub(super) fn adopted(order: &Order) -> Rejection {
        let title = format!(
            "order {} was adopted from the shop's keys and accepts no commands; write its new \
                status to its status key",
            order.id
        );
        Rejection { code: Code::Adopted, title, status: Some(order.status), allowed: Vec::new() }
    }

    pub(super) fn not_adopted(order: &Order) -> Rejection {
        let title = format!(
            "order {} was placed by a command, so it does not follow the shop's keys",
            order.id
        );
        Rejection {
            code: Code::OrderExists,
            title,
            status: Some(order.status),
            allowed: Vec::new(),
        }
    }

    pub(super) fn in_future(id: &OrderId, status: Option<Status>) -> Rejection {
        let title = format!(
            "the time given for order {id} lies more than 5 seconds ahead of this service's clock"
        );
        Rejection { code: Code::AtInFuture, title, status, allowed: Vec::new() }
    }

    /// A new order that is shipped or delivered (by `code`) but not paid.
    pub(super) fn unpaid(id: &OrderId, code: Code) -> Rejection {
        let title = format!(
            "order {id} is placed as {} but not as paid; send paid_at too",
            participle(code)
        );
        Rejection { code, title, status: None, allowed: vec![Verb::Place] }
    }

    pub(super) fn not_allowed(order: &Order, code: Code, terms: &Terms) -> Rejection {
        let id = &order.id;
        let status = order.status;
        let title = match code {
            Code::ExtensionLimit => format!(
                "order {id} was extended {} times; its policy allows no more",
                order.extensions
            ),
            Code::ExtensionOutOfOrder => {
                format!(
                    "order {id} was extended {} times; the next extension has number {}",
                    order.extensions,
                    order.extensions + 1
                )
            }
            Code::TooManyHolds => format!(
                "order {id} already had {MAX_HOLDS} holds; an order cannot have more in its life"
            ),
            Code::NotHeld => format!("order {id} has no such hold"),
            Code::NotExtendable => {
                format!("order {id} is {status} and has no running receive clock to extend")
            }
            _ => format!("order {id} is {status} and cannot be {}", participle(code)),
        };
        let allowed =
            Verb::PUBLIC.into_iter().filter(|verb| permits(order, *verb, terms)).collect();
        Rejection { code, title, status: Some(status), allowed }
    }
}

fn participle(code: Code) -> &'static str {
    match code {
        Code::NotPayable => "paid",
        Code::NotShippable => "shipped",
        Code::NotDeliverable => "delivered",
        Code::NotReceivable => "received",
        Code::NotHoldable => "held",
        Code::NotCancellable => "cancelled",
        Code::NotRefundable => "refunded",
        _ => "changed in this way",
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}
