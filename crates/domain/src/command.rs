//! The commands on an order. The timer uses one, too: [`Command::Due`].

use std::fmt;

use crate::event::Cause;
use crate::order::{BuyerId, HoldId, Label, Reason};
use crate::policy::PolicyName;
use crate::time::{Span, Time};
use crate::words::{Currency, Data};

/// A command on an order. `at` is when it happened; `None` means now.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// A new order.
    Place(Box<Place>),
    /// The payment was confirmed.
    Pay {
        /// When it was paid.
        at: Option<Time>,
    },
    /// The parcel was handed over.
    Ship {
        /// When it was shipped.
        at: Option<Time>,
        /// The carrier's name.
        carrier: Option<Label>,
        /// The tracking number.
        tracking: Option<Label>,
    },
    /// The parcel arrived.
    Deliver {
        /// When it arrived.
        at: Option<Time>,
    },
    /// The buyer, or an operator for the buyer, confirms the receipt.
    Receive {
        /// Who confirms it: the buyer or an operator.
        by: Cause,
    },
    /// The buyer needs more time.
    Extend {
        /// The number of this extension, from 1. It makes a repeat harmless.
        number: u32,
    },
    /// Stop the clock.
    Hold {
        /// The hold's id.
        id: HoldId,
        /// Why the order is held.
        reason: Reason,
    },
    /// End a hold.
    Release {
        /// The hold's id.
        id: HoldId,
    },
    /// Cancel before the shipment.
    Cancel {
        /// Why it is cancelled.
        reason: Reason,
    },
    /// The money was paid back.
    Refund {
        /// Why it is refunded.
        reason: Option<Reason>,
    },
    /// The service read the shop's own status of an order, to adopt it or to follow it.
    Observe(Box<Observation>),
    /// The timer found the order due.
    Due,
}

/// The meaning of the status that the shop keeps for an order. An adopted order follows it.
#[derive(Clone, PartialEq, Debug)]
pub enum Observation {
    /// Paid. An order that does not exist yet is adopted, with the payment at the current time.
    Paid {
        /// The policy for a new order.
        policy: PolicyName,
        /// The order's own `receive_after`, in place of the policy's.
        receive_after: Option<Span>,
    },
    /// The shop itself completed the receipt.
    Received,
    /// The shop cancelled it.
    Cancelled(Reason),
    /// The shop refunded it.
    Refunded(Reason),
    /// Any other status, or none: the order is not received while this stands.
    Other(Reason),
}

/// A new order as the shop describes it. All fields except the policy are optional:
///
/// ```
/// use autoreceive_domain::{Command, Place};
///
/// let place = Place::new().buyer_id("u-7".parse()?).amount(59_000).currency("KRW".parse()?);
/// assert_eq!(place.policy.as_str(), "default");
/// let command = Command::from(place);
/// # Ok::<(), autoreceive_domain::words::WrongText>(())
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Place {
    /// The shop's id of the buyer.
    pub buyer_id: Option<BuyerId>,
    /// The policy whose terms apply. The name is checked when the order is placed.
    pub policy: PolicyName,
    /// The price, in minor units of the currency.
    pub amount: Option<u64>,
    /// The currency of the amount.
    pub currency: Option<Currency>,
    /// The shop's own data, sent back in every event.
    pub data: Option<Data>,
    /// The order's own `receive_after`, in place of the policy's.
    pub receive_after: Option<Span>,
    /// When it was placed.
    pub at: Option<Time>,
    /// When it was paid, if it was.
    pub paid_at: Option<Time>,
    /// When it was shipped, if it was. Needs `paid_at`.
    pub shipped_at: Option<Time>,
    /// When it was delivered, if it was. Needs `paid_at`.
    pub delivered_at: Option<Time>,
}

impl Place {
    /// An order under the policy `default`, with no other field set.
    #[must_use]
    pub fn new() -> Place {
        Place::default()
    }

    /// Sets the policy.
    #[must_use]
    pub fn policy(self, name: impl Into<PolicyName>) -> Place {
        Place { policy: name.into(), ..self }
    }

    /// Sets the buyer.
    #[must_use]
    pub fn buyer_id(self, buyer_id: BuyerId) -> Place {
        Place { buyer_id: Some(buyer_id), ..self }
    }

    /// Sets the price, in minor units of the currency.
    #[must_use]
    pub fn amount(self, amount: u64) -> Place {
        Place { amount: Some(amount), ..self }
    }

    /// Sets the currency of the amount.
    #[must_use]
    pub fn currency(self, currency: Currency) -> Place {
        Place { currency: Some(currency), ..self }
    }

    /// Attaches the shop's own data.
    #[must_use]
    pub fn data(self, data: Data) -> Place {
        Place { data: Some(data), ..self }
    }

    /// Sets the order's own `receive_after`.
    #[must_use]
    pub fn receive_after(self, silence: Span) -> Place {
        Place { receive_after: Some(silence), ..self }
    }

    /// Sets when it was placed.
    #[must_use]
    pub fn at(self, at: Time) -> Place {
        Place { at: Some(at), ..self }
    }

    /// Sets when it was paid.
    #[must_use]
    pub fn paid_at(self, at: Time) -> Place {
        Place { paid_at: Some(at), ..self }
    }

    /// Sets when it was shipped.
    #[must_use]
    pub fn shipped_at(self, at: Time) -> Place {
        Place { shipped_at: Some(at), ..self }
    }

    /// Sets when it was delivered.
    #[must_use]
    pub fn delivered_at(self, at: Time) -> Place {
        Place { delivered_at: Some(at), ..self }
    }

    /// See [`Command::claimed_times`].
    pub(crate) fn claimed_times(&self) -> [Option<Time>; 4] {
        [self.at, self.paid_at, self.shipped_at, self.delivered_at]
    }
}

impl From<Place> for Command {
    fn from(place: Place) -> Command {
        Command::Place(Box::new(place))
    }
}

/// The name of a command. Paths, bulk lines and the command line use the same word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verb {
    /// See [`Command::Place`].
    Place,
    /// See [`Command::Pay`].
    Pay,
    /// See [`Command::Ship`].
    Ship,
    /// See [`Command::Deliver`].
    Deliver,
    /// See [`Command::Receive`].
    Receive,
    /// See [`Command::Extend`].
    Extend,
    /// See [`Command::Hold`].
    Hold,
    /// See [`Command::Release`].
    Release,
    /// See [`Command::Cancel`].
    Cancel,
    /// See [`Command::Refund`].
    Refund,
    /// See [`Command::Observe`].
    Observe,
    /// See [`Command::Due`].
    Due,
}

impl Verb {
    /// Every verb that a client can use.
    pub const PUBLIC: [Verb; 10] = [
        Verb::Place,
        Verb::Pay,
        Verb::Ship,
        Verb::Deliver,
        Verb::Receive,
        Verb::Extend,
        Verb::Hold,
        Verb::Release,
        Verb::Cancel,
        Verb::Refund,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Place => "place",
            Verb::Pay => "pay",
            Verb::Ship => "ship",
            Verb::Deliver => "deliver",
            Verb::Receive => "receive",
            Verb::Extend => "extend",
            Verb::Hold => "hold",
            Verb::Release => "release",
            Verb::Cancel => "cancel",
            Verb::Refund => "refund",
            Verb::Observe => "observe",
            Verb::Due => "due",
        }
    }

    /// The public verb with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Verb> {
        Verb::PUBLIC.into_iter().find(|verb| verb.as_str() == word)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Command {
    /// The command's name.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Command::Place(_) => Verb::Place,
            Command::Pay { .. } => Verb::Pay,
            Command::Ship { .. } => Verb::Ship,
            Command::Deliver { .. } => Verb::Deliver,
            Command::Receive { .. } => Verb::Receive,
            Command::Extend { .. } => Verb::Extend,
            Command::Hold { .. } => Verb::Hold,
            Command::Release { .. } => Verb::Release,
            Command::Cancel { .. } => Verb::Cancel,
            Command::Refund { .. } => Verb::Refund,
            Command::Observe(_) => Verb::Observe,
            Command::Due => Verb::Due,
        }
    }

    /// The policy for the order that this command creates. `None` for a command that creates none.
    #[must_use]
    pub fn policy(&self) -> Option<&PolicyName> {
        match self {
            Command::Place(place) => Some(&place.policy),
            Command::Observe(observation) => match &**observation {
                Observation::Paid { policy, .. } => Some(policy),
                _ => None,
            },
            _ => None,
        }
    }

    /// The times that the sender gives. None of them may lie in the future.
    pub(crate) fn claimed_times(&self) -> [Option<Time>; 4] {
        match self {
            Command::Place(place) => place.claimed_times(),
            Command::Pay { at } | Command::Ship { at, .. } | Command::Deliver { at } => {
                [*at, None, None, None]
            }
            _ => [None; 4],
        }
    }
}
