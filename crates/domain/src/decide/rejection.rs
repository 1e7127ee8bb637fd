//! Why a command was not carried out, and what would be.

use std::fmt;

use super::permits;
use crate::command::Verb;
use crate::order::{MAX_HOLDS, Order, Status};
use crate::policy::Terms;
use crate::words::OrderId;

/// The reason of a rejection, for programs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// There is no such order.
    OrderNotFound,
    /// Another order was placed under this id.
    OrderExists,
    /// The order was taken over from the shop's keys and follows those.
    Adopted,
    /// The claimed time lies more than five seconds ahead.
    AtInFuture,
    /// Not to be paid in this status.
    NotPayable,
    /// Not to be shipped in this status.
    NotShippable,
    /// Not to be delivered in this status.
    NotDeliverable,
    /// Not to be received in this status.
    NotReceivable,
    /// No receive clock runs that could be extended.
    NotExtendable,
    /// The policy's extensions are used up.
    ExtensionLimit,
    /// The number skips an extension that was never made.
    ExtensionOutOfOrder,
    /// Not to be held in this status.
    NotHoldable,
    /// All holds of the order's life are used up.
    TooManyHolds,
    /// No hold of this id was ever put on the order.
    NotHeld,
    /// Not to be cancelled in this status.
    NotCancellable,
    /// Not to be refunded in this status.
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

    /// The code as it is sent.
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

    /// The code for a command whose status does not permit it.
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

/// A command that was not carried out. Nothing changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Rejection {
    /// The reason, for programs.
    pub code: Code,
    /// The reason, for people.
    pub title: String,
    /// Where the order stands, if there is one.
    pub status: Option<Status>,
    /// The commands that could be carried out now.
    pub allowed: Vec<Verb>,
}

impl Rejection {
    pub(super) fn not_found(id: &OrderId, verb: Verb) -> Rejection {
        let title = format!("there is no order {id}; place it before you {verb} it");
        Rejection { code: Code::OrderNotFound, title, status: None, allowed: vec![Verb::Place] }
    }

    pub(super) fn exists(order: &Order, field: &str) -> Rejection {
        let title = format!(
            "order {} was placed before with another {field}; order ids are never reused",
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
            "order {} was taken over from the shop's keys and takes no commands: write its new \
                status to its status key, which it follows",
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

    /// A new order that is said to be shipped (or delivered, by `code`), and not to be paid.
    pub(super) fn unpaid(id: &OrderId, code: Code) -> Rejection {
        let title = format!(
            "order {id} is placed as {}, but not as paid: give paid_at, too",
            participle(code)
        );
        Rejection { code, title, status: None, allowed: vec![Verb::Place] }
    }

    pub(super) fn not_allowed(order: &Order, code: Code, terms: &Terms) -> Rejection {
        let (id, status) = (&order.id, order.status);
        let title = match code {
            Code::ExtensionLimit => format!(
                "order {id} was extended {} times, which is all that its policy allows",
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
                "order {id} had {MAX_HOLDS} holds, which is all that an order can have in its life"
            ),
            Code::NotHeld => format!("order {id} has no such hold"),
            Code::NotExtendable => format!(
                "order {id} is {status} and no receive clock is running that could be extended"
            ),
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
        _ => "changed like that",
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}
