//! What can be asked of an order. The timer asks like everybody else, with [`Command::Due`].

use std::fmt;

use crate::event::Cause;
use crate::order::{BuyerId, HoldId, Label, Reason};
use crate::policy::PolicyName;
use crate::time::{Span, Time};
use crate::words::{Currency, Data};

/// What is asked. `at` is when it happened; without it, now.
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
        /// Who carries it.
        carrier: Option<Label>,
        /// Under which number.
        tracking: Option<Label>,
    },
    /// The parcel arrived.
    Deliver {
        /// When it arrived.
        at: Option<Time>,
    },
    /// The buyer, or an operator for the buyer, confirms the receipt.
    Receive {
        /// Who says so.
        by: Cause,
    },
    /// The buyer needs more time.
    Extend {
        /// Which extension of the order it is, counted from 1; what makes a repeat harmless.
        number: u32,
    },
    /// Stop the clock.
    Hold {
        /// Names the hold.
        id: HoldId,
        /// Why.
        reason: Reason,
    },
    /// Take a hold off.
    Release {
        /// The hold's name.
        id: HoldId,
    },
    /// Cancel before the shipment.
    Cancel {
        /// Why.
        reason: Reason,
    },
    /// The money was paid back.
    Refund {
        /// Why.
        reason: Option<Reason>,
    },
    /// The shop's own status of an adopted order was read.
    Observe(Box<Observation>),
    /// The timer found the order due.
    Due,
}

/// What the status that a shop keeps of an order says. An adopted order follows it.
#[derive(Clone, PartialEq, Debug)]
pub enum Observation {
    /// Paid; an order that is not known yet is adopted, as paid by now.
    Paid {
        /// Under which terms.
        policy: PolicyName,
        /// A time of silence of its own.
        receive_after: Option<Span>,
    },
    /// The shop received it by itself.
    Received,
    /// The shop cancelled it.
    Cancelled(Reason),
    /// The shop paid it back.
    Refunded(Reason),
    /// Anything else, or nothing: it is not to be received as long as this stands.
    Other(Reason),
}

/// A new order, as the shop describes it. All fields but the policy are optional:
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
    /// Who bought.
    pub buyer_id: Option<BuyerId>,
    /// The policy whose terms hold for it. Whether there is one of this name shows when the order
    /// is placed.
    pub policy: PolicyName,
    /// What it costs, in minor units.
    pub amount: Option<u64>,
    /// The currency of the amount.
    pub currency: Option<Currency>,
    /// What the shop wants to find again.
    pub data: Option<Data>,
    /// A time of silence of its own.
    pub receive_after: Option<Span>,
    /// When it was placed.
    pub at: Option<Time>,
    /// When it was paid, where it already is.
    pub paid_at: Option<Time>,
    /// When it was shipped, where it is paid and already on its way.
    pub shipped_at: Option<Time>,
    /// When it was delivered, where it is paid and already there.
    pub delivered_at: Option<Time>,
}

impl Place {
    /// An order under the policy `default`, of which nothing else is known.
    #[must_use]
    pub fn new() -> Place {
        Place::default()
    }

    /// Names the policy.
    #[must_use]
    pub fn policy(self, name: impl Into<PolicyName>) -> Place {
        Place { policy: name.into(), ..self }
    }

    /// Names the buyer.
    #[must_use]
    pub fn buyer_id(self, buyer_id: BuyerId) -> Place {
        Place { buyer_id: Some(buyer_id), ..self }
    }

    /// Sets what it costs, in minor units.
    #[must_use]
    pub fn amount(self, amount: u64) -> Place {
        Place { amount: Some(amount), ..self }
    }

    /// Sets the currency of the amount.
    #[must_use]
    pub fn currency(self, currency: Currency) -> Place {
        Place { currency: Some(currency), ..self }
    }

    /// Attaches what the shop wants to find again.
    #[must_use]
    pub fn data(self, data: Data) -> Place {
        Place { data: Some(data), ..self }
    }

    /// Sets a time of silence of its own.
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

/// The name of a command: one word in the path, in bulk lines, on the command line and here.
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

    /// The public verb that a word names.
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

    /// The policy of an order that this command makes, where there is none yet.
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

    /// The instants that the sender claims; none may lie in the future.
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
