//! The order: its status, its times, its clock and its holds.

use std::fmt;
use std::str::FromStr;

use crate::clock::{Clock, ClockKind};
use crate::event::{Cause, EventKind};
use crate::policy::Revision;
use crate::time::{Span, Time};
use crate::words::{Currency, Data, OrderId, Text};

/// Who bought: the shop's own id of the buyer.
pub type BuyerId = Text<128>;
/// Why something was done, in the shop's words.
pub type Reason = Text<200>;
/// Names one hold among those of an order.
pub type HoldId = Text<64>;
/// The carrier's name, and the number it tracks the parcel under.
pub type Label = Text<128>;

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Status {
    /// Placed, not yet paid.
    PendingPayment,
    /// Paid, not yet shipped.
    Paid,
    /// Handed to a carrier.
    Shipped,
    /// Arrived at the buyer's.
    Delivered,
    /// Received: the buyer said so, or kept silent for the agreed time.
    Received,
    /// Received and settled.
    Completed,
    /// Cancelled before it was shipped.
    Cancelled,
    /// Paid back.
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

    /// What most often brings an order into this status; a record leaves it out.
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

    /// Whether the buyer's word is still waited for: PAID, SHIPPED or DELIVERED.
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

/// When what happened. A time that is set is the mark by which a repeated command is recognised.
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
    /// A payment came after it had been cancelled unpaid.
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

    /// The latest of all.
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

/// Something that stops the clock, a dispute for example.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Names the hold; a released id is never held again.
    pub id: HoldId,
    /// Why it is held.
    pub reason: Reason,
    /// Since when.
    pub since: Time,
    /// When it was taken off, if it was.
    pub released_at: Option<Time>,
}

/// How many holds an order can have in its life, so that a record stays small.
pub const MAX_HOLDS: usize = 10;

/// An order at one version.
#[derive(Clone, PartialEq, Debug)]
pub struct Order {
    /// The shop's id of the order.
    pub id: OrderId,
    /// Rises by one with each change; the first is 1.
    pub version: u64,
    /// Where it stands.
    pub status: Status,
    /// What made this version.
    pub kind: EventKind,
    /// Who or what made this version.
    pub cause: Cause,
    /// When this version was decided, by the store's clock.
    pub changed_at: Time,
    /// Who bought it, where the shop told.
    pub buyer_id: Option<BuyerId>,
    /// The terms under which it was placed.
    pub revision: Revision,
    /// What was paid for it, in minor units of the currency (59000 KRW = ₩59,000).
    pub amount: Option<u64>,
    /// The currency of the amount.
    pub currency: Option<Currency>,
    /// What the shop wants to find again in every event.
    pub data: Option<Data>,
    /// The order's own time of silence, in place of the policy's.
    pub receive_after: Option<Span>,
    /// When what happened.
    pub times: Times,
    /// Who carries the parcel.
    pub carrier: Option<Label>,
    /// Under which number.
    pub tracking: Option<Label>,
    /// Why it was cancelled or refunded.
    pub reason: Option<Reason>,
    /// How often the receive deadline was extended.
    pub extensions: u32,
    /// The clock.
    pub clock: Clock,
    /// Every hold of its life, released ones too.
    pub holds: Vec<Hold>,
    /// Whether it was taken over from the keys that a shop writes: it follows those, and takes no
    /// commands from others.
    pub adopted: bool,
    /// Fields of a newer version of the program, kept as they were read.
    pub unknown: String,
}

impl Order {
    /// Whether a hold stops the clock.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holds.iter().any(|hold| hold.released_at.is_none())
    }

    /// Since when it is held, if it is.
    #[must_use]
    pub fn held_since(&self) -> Option<Time> {
        self.holds.iter().filter(|hold| hold.released_at.is_none()).map(|hold| hold.since).min()
    }

    /// When the timer must look at it next.
    #[must_use]
    pub fn next_due_at(&self) -> Option<Time> {
        self.clock.next_due_at()
    }

    /// Whether nothing more will happen by itself: no clock, and RECEIVED, COMPLETED, CANCELLED or
    /// REFUNDED. A resting record is removed some time after its last change.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        let ended = matches!(
            self.status,
            Status::Received | Status::Completed | Status::Cancelled | Status::Refunded
        );
        ended && self.clock == Clock::None
    }

    /// Whether the clock suits the status and the holds, as it does after every decision. A record
    /// of which this is not true was damaged: a held order whose clock runs would be received in
    /// the middle of its dispute.
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

    /// Whether the receive clock runs, so that it can be extended.
    #[must_use]
    pub fn receive_clock_runs(&self) -> bool {
        self.status.is_open()
            && matches!(self.clock, Clock::Running { kind: ClockKind::Receive, .. })
    }
}
