//! The one clock an order carries: none, running towards a deadline, or paused with so much
//! remaining.

use crate::order::Status;
use crate::policy::Terms;
use crate::time::{Span, Time};

/// What the clock measures, and so what happens when it runs out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockKind {
    /// The payment is waited for; then the order is cancelled.
    Pay,
    /// The shipment is waited for; then the order is cancelled.
    Ship,
    /// The buyer's word is waited for; then the order is RECEIVED.
    Receive,
    /// The receipt settles; then the order is COMPLETED.
    Settle,
}

impl ClockKind {
    /// Every kind.
    pub const ALL: [ClockKind; 4] =
        [ClockKind::Pay, ClockKind::Ship, ClockKind::Receive, ClockKind::Settle];

    /// The kind's name as it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ClockKind::Pay => "pay",
            ClockKind::Ship => "ship",
            ClockKind::Receive => "receive",
            ClockKind::Settle => "settle",
        }
    }

    /// Whether an order in `status` can carry a clock of this kind.
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
    /// Nothing is waited for.
    None,
    /// It runs out at `deadline`.
    Running {
        /// What it measures.
        kind: ClockKind,
        /// The instant from which the order is due.
        deadline: Time,
        /// The next reminder before the deadline, if one is still to come.
        remind_at: Option<Time>,
    },
    /// A hold stopped it; `remaining` was left.
    Paused {
        /// What it measures.
        kind: ClockKind,
        /// What was left when it stopped.
        remaining: Span,
    },
}

impl Clock {
    /// A clock that runs to `deadline`, its first reminder being the next one after `since`.
    #[must_use]
    pub fn running(kind: ClockKind, deadline: Time, since: Time, terms: &Terms) -> Clock {
        let remind_at =
            if kind == ClockKind::Receive { next_reminder(deadline, since, terms) } else { None };
        Clock::Running { kind, deadline, remind_at }
    }

    /// When the order must be looked at next: the deadline or an earlier reminder; never, where the
    /// clock stands.
    #[must_use]
    pub fn next_due_at(&self) -> Option<Time> {
        match *self {
            Clock::Running { deadline, remind_at, .. } => Some(remind_at.unwrap_or(deadline)),
            Clock::None | Clock::Paused { .. } => None,
        }
    }

    /// The instant at which it runs out, if it runs.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match *self {
            Clock::Running { deadline, .. } => Some(deadline),
            Clock::None | Clock::Paused { .. } => None,
        }
    }

    /// What it measures, if there is one.
    #[must_use]
    pub fn kind(&self) -> Option<ClockKind> {
        match *self {
            Clock::Running { kind, .. } | Clock::Paused { kind, .. } => Some(kind),
            Clock::None => None,
        }
    }

    /// The same clock stopped at `now`.
    #[must_use]
    pub fn paused(self, now: Time) -> Clock {
        match self {
            Clock::Running { kind, deadline, .. } => {
                Clock::Paused { kind, remaining: deadline.since(now) }
            }
            other => other,
        }
    }

    /// The same clock going on at `now`, with at least the terms' grace ahead of it.
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

/// The first of the instants `deadline − remind_before` that comes after `since`.
fn next_reminder(deadline: Time, since: Time, terms: &Terms) -> Option<Time> {
    terms
        .remind_before
        .iter()
        .map(|&before| deadline.before(before))
        .filter(|&at| at > since && at < deadline)
        .min()
}
