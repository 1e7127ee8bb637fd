//! The order: its status, its times, its clock and its holds.

use std::fmt;
use std::str::FromStr;

use crate::clock::{Clock, ClockKind};
use crate::event::{Cause, EventKind};
use crate::policy::Revision;
use crate::time::{Span, Time};
use crate::words::{Currency, Data, OrderId, Text};

/// The shop's own id of the buyer.
pub type BuyerId = Text<128>;
/// Why something was done, in the shop's words.
pub type Reason = Text<200>;
/// The id of a hold, unique within its order.
pub type HoldId = Text<64>;
/// A carrier's name or a tracking number.
pub type Label = Text<128>;

/// The status of an order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Status {
    /// Placed, not yet paid.
    PendingPayment,
    /// Paid, not yet shipped.
    Paid,
    /// Handed to a carrier.
    Shipped,
    /// The parcel arrived.
    Delivered,
    /// The buyer confirmed the receipt, or did not object in the agreed time.
    Received,
    /// Received and settled.
    Completed,
    /// Cancelled before it was shipped.
    Cancelled,
    /// The money was paid back.
    Refunded,
}

impl Status {
    /// Every status, in the order of an order's life.
    pub const ALL: [Status; 8] = [
        Status::PendingPayment,
        Status::Paid,
        Status::Shipped,
        Status::Delivered,
        Status::Received,
        Status::Completed,
        Status::Cancelled,
        Status::Refunded,
    ];

    /// The status as it is shown and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::PendingPayment => "PENDING_PAYMENT",
            Status::Paid => "PAID",
            Status::Shipped => "SHIPPED",
            Status::Delivered => "DELIVERED",
            Status::Received => "RECEIVED",
            Status::Completed => "COMPLETED",
            Status::Cancelled => "CANCELLED",
            Status::Refunded => "REFUNDED",
        }
    }

    pub(crate) fn letter(self) -> char {
        match self {
            Status::PendingPayment => 'N',
            Status::Paid => 'P',
            Status::Shipped => 'S',
            Status::Delivered => 'D',
            Status::Received => 'R',
            Status::Completed => 'C',
            Status::Cancelled => 'X',
            Status::Refunded => 'F',
        }
    }

    /// The most frequent event and cause for this status. A record omits them.
    pub(crate) fn usual_event(self) -> (EventKind, Cause) {
        match self {
            Status::PendingPayment => (EventKind::Placed, Cause::Shop),
            Status::Paid => (EventKind::Paid, Cause::Shop),
            Status::Shipped => (EventKind::Shipped, Cause::Shop),
            Status::Delivered => (EventKind::Delivered, Cause::Shop),
            Status::Received => (EventKind::Received, Cause::Timer),
            Status::Completed => (EventKind::Completed, Cause::Timer),
            Status::Cancelled => (EventKind::Cancelled, Cause::Shop),
            Status::Refunded => (EventKind::Refunded, Cause::Shop),
        }
    }

    /// True while the service waits for the receipt: PAID, SHIPPED or DELIVERED.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Status::Paid | Status::Shipped | Status::Delivered)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Status, ()> {
        Status::ALL.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

/// The time of each step. The idempotency check uses these times to recognise a repeated command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Times {
    /// The order was placed.
    pub placed_at: Time,
    /// It was paid.
    pub paid_at: Option<Time>,
    /// It was shipped.
    pub shipped_at: Option<Time>,
    /// It was delivered.
    pub delivered_at: Option<Time>,
    /// It became RECEIVED.
    pub received_at: Option<Time>,
    /// It became COMPLETED.
    pub completed_at: Option<Time>,
    /// It was cancelled.
    pub cancelled_at: Option<Time>,
    /// It was refunded.
    pub refunded_at: Option<Time>,
    /// A payment came after the unpaid order was cancelled.
    pub late_payment_at: Option<Time>,
}

impl Times {
    /// The times of an order that was just placed.
    #[must_use]
    pub fn placed(placed_at: Time) -> Times {
        Times {
            placed_at,
            paid_at: None,
            shipped_at: None,
            delivered_at: None,
            received_at: None,
            completed_at: None,
            cancelled_at: None,
            refunded_at: None,
            late_payment_at: None,
        }
    }

    /// The latest of these times.
    #[must_use]
    pub fn latest(&self) -> Time {
        let others = [
            self.paid_at,
            self.shipped_at,
            self.delivered_at,
            self.received_at,
            self.completed_at,
            self.cancelled_at,
            self.refunded_at,
            self.late_payment_at,
        ];
        others.into_iter().flatten().fold(self.placed_at, Time::max)
    }
}

/// A reason to stop the clock, for example a dispute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The hold's id. After its release the id cannot be used again.
    pub id: HoldId,
    /// Why it is held.
    pub reason: Reason,
    /// When it was placed.
    pub since: Time,
    /// When it was released, if it was.
    pub released_at: Option<Time>,
}

/// The most holds of one order in its life. The limit keeps a record small.
pub const MAX_HOLDS: usize = 10;

/// An order at a given version.
#[derive(Clone, PartialEq, Debug)]
pub struct Order {
    /// The shop's id of the order.
    pub id: OrderId,
    /// Starts at 1 and rises by one with each change.
    pub version: u64,
    /// Its status.
    pub status: Status,
    /// The event that made this version.
    pub kind: EventKind,
    /// Who or what caused this version.
    pub cause: Cause,
    /// When this version was decided, by the store's clock.
    pub changed_at: Time,
    /// The shop's id of the buyer. An adopted order has none.
    pub buyer_id: Option<BuyerId>,
    /// The revision of the terms it was placed under.
    pub revision: Revision,
    /// The price, in minor units of the currency (59000 KRW = ₩59,000).
    pub amount: Option<u64>,
    /// The currency of the amount.
    pub currency: Option<Currency>,
    /// The shop's own data, sent back in every event.
    pub data: Option<Data>,
    /// The order's own `receive_after`, in place of the policy's.
    pub receive_after: Option<Span>,
    /// The time of each step.
    pub times: Times,
    /// The carrier's name.
    pub carrier: Option<Label>,
    /// The tracking number.
    pub tracking: Option<Label>,
    /// Why it was cancelled or refunded.
    pub reason: Option<Reason>,
    /// How many times the receive deadline was extended.
    pub extensions: u32,
    /// The clock.
    pub clock: Clock,
    /// Every hold of its life, including released ones.
    pub holds: Vec<Hold>,
    /// Whether it was adopted from the shop's keys. It follows those keys and accepts no commands.
    pub adopted: bool,
    /// Record fields of a newer program version, kept as they were read.
    pub unknown: String,
}

impl Order {
    /// Whether a hold stops the clock.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holds.iter().any(|hold| hold.released_at.is_none())
    }

    /// When its oldest open hold was placed, if one is open.
    #[must_use]
    pub fn held_since(&self) -> Option<Time> {
        self.holds.iter().filter(|hold| hold.released_at.is_none()).map(|hold| hold.since).min()
    }

    /// When the timer must look at the order next.
    #[must_use]
    pub fn next_due_at(&self) -> Option<Time> {
        self.clock.next_due_at()
    }

    /// True if the timer has nothing left to do: no clock, and RECEIVED, COMPLETED, CANCELLED or
    /// REFUNDED. Retention removes a resting record some time after its last change.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        let ended = matches!(
            self.status,
            Status::Received | Status::Completed | Status::Cancelled | Status::Refunded
        );
        ended && self.clock == Clock::None
    }

    /// True if the clock fits the status and the holds, as after every decision. If not, the record
    /// was damaged: a held order with a running clock would be received in the middle of a dispute.
    pub(crate) fn clock_fits(&self) -> bool {
        match self.clock {
            Clock::None => true,
            Clock::Paused { kind, .. } => self.is_held() && kind.fits(self.status),
            Clock::Running { kind, deadline, remind_at } => {
                let reminder_fits =
                    remind_at.is_none_or(|at| kind == ClockKind::Receive && at < deadline);
                !self.is_held() && kind.fits(self.status) && reminder_fits
            }
        }
    }

    /// True if the receive clock is running. Only then it can be extended.
    #[must_use]
    pub fn receive_clock_runs(&self) -> bool {
        self.status.is_open()
            && matches!(self.clock, Clock::Running { kind: ClockKind::Receive, .. })
    }
}
