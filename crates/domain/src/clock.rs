//! The clock of an order: none, running towards a deadline, or paused with time remaining.

use crate::order::Status;
use crate::policy::Terms;
use crate::time::{Span, Time};

/// The step that the clock waits for. It decides what happens at the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockKind {
    /// Waits for the payment. At the deadline the order is cancelled.
    Pay,
    /// Waits for the shipment. At the deadline the order is cancelled.
    Ship,
    /// Waits for the buyer's confirmation. At the deadline the order is RECEIVED.
    Receive,
    /// Waits after the receipt. At the deadline the order is COMPLETED.
    Settle,
}

impl ClockKind {
    /// Every kind.
    pub const ALL: [ClockKind; 4] =
        [ClockKind::Pay, ClockKind::Ship, ClockKind::Receive, ClockKind::Settle];

    /// The kind's name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ClockKind::Pay => "pay",
            ClockKind::Ship => "ship",
            ClockKind::Receive => "receive",
            ClockKind::Settle => "settle",
        }
    }

    /// True if an order in `status` can have a clock of this kind.
    #[must_use]
    pub fn fits(self, status: Status) -> bool {
        match self {
            ClockKind::Pay => status == Status::PendingPayment,
            ClockKind::Ship => status == Status::Paid,
            ClockKind::Receive => status.is_open(),
            ClockKind::Settle => status == Status::Received,
        }
    }

    pub(crate) fn letter(self) -> char {
        match self {
            ClockKind::Pay => 'p',
            ClockKind::Ship => 's',
            ClockKind::Receive => 'r',
            ClockKind::Settle => 't',
        }
    }
}

/// The clock of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// The order waits for nothing.
    None,
    /// It runs to `deadline`.
    Running {
        /// What it waits for.
        kind: ClockKind,
        /// When the order is due.
        deadline: Time,
        /// The next reminder before the deadline, if one is still to come.
        remind_at: Option<Time>,
    },
    /// A hold stopped it with `remaining` left.
    Paused {
        /// What it waits for.
        kind: ClockKind,
        /// The time left when it stopped.
        remaining: Span,
    },
}

impl Clock {
    /// A clock that runs to `deadline`. Its next reminder is the first one after `since`.
    #[must_use]
    pub fn running(kind: ClockKind, deadline: Time, since: Time, terms: &Terms) -> Clock {
        let remind_at =
            if kind == ClockKind::Receive { next_reminder(deadline, since, terms) } else { None };
        Clock::Running { kind, deadline, remind_at }
    }

    /// When the timer must look at the order next: at an open reminder or at the deadline. `None`
    /// if no clock is running.
    #[must_use]
    pub fn next_due_at(&self) -> Option<Time> {
        match *self {
            Clock::Running { deadline, remind_at, .. } => Some(remind_at.unwrap_or(deadline)),
            Clock::None | Clock::Paused { .. } => None,
        }
    }

    /// The deadline, if the clock is running.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match *self {
            Clock::Running { deadline, .. } => Some(deadline),
            Clock::None | Clock::Paused { .. } => None,
        }
    }

    /// What it waits for, if there is a clock.
    #[must_use]
    pub fn kind(&self) -> Option<ClockKind> {
        match *self {
            Clock::Running { kind, .. } | Clock::Paused { kind, .. } => Some(kind),
            Clock::None => None,
        }
    }

    /// The same clock, paused at `now`.
    #[must_use]
    pub fn paused(self, now: Time) -> Clock {
        match self {
            Clock::Running { kind, deadline, .. } => {
                Clock::Paused { kind, remaining: deadline.since(now) }
            }
            other => other,
        }
    }

    /// The same clock, running again from `now`, with at least `release_grace` left.
    #[must_use]
    pub fn resumed(self, now: Time, terms: &Terms) -> Clock {
        match self {
            Clock::Paused { kind, remaining } => {
                Clock::running(kind, now.after(remaining.max(terms.release_grace)), now, terms)
            }
            other => other,
        }
    }
}

/// The earliest `deadline − remind_before` after `since`.
fn next_reminder(deadline: Time, since: Time, terms: &Terms) -> Option<Time> {
    terms
        .remind_before
        .iter()
        .map(|&before| deadline.before(before))
        .filter(|&at| at > since && at < deadline)
        .min()
}
