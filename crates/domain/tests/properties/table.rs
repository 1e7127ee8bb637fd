//! Decisions follow the table of an order's life exactly. The table is written here a second time,
//! as in the documentation and not as in the code.

use std::collections::BTreeSet;

use autoreceive_domain::command::Verb;
use autoreceive_domain::decide::Code;
use autoreceive_domain::{
    Cause, Clock, ClockKind, Command, Decision, EventKind, Order, Place, Status, Time,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::generate::{Life, Taken, a_life, a_wild_life};

/// The outcome of a command in the table.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Expected {
    To(Status, EventKind),
    Unchanged,
    Rejected(Code),
}

fn expected(life: &Life, taken: &Taken) -> Expected {
    let Taken { before: order, command, now, .. } = taken;
    match in_the_table(life, order, command, *now) {
        Expected::To(..) if claimed(command).is_some_and(|at| at.ms() - now.ms() > 5_000) => {
            Expected::Rejected(Code::AtInFuture)
        }
        other => other,
    }
}

fn claimed(command: &Command) -> Option<Time> {
    match command {
        Command::Pay { at } | Command::Ship { at, .. } | Command::Deliver { at } => *at,
        _ => None,
    }
}

fn in_the_table(life: &Life, order: &Order, command: &Command, now: Time) -> Expected {
    use Expected::{Rejected, To, Unchanged};
    use Status::{
        Cancelled, Completed, Delivered, Paid, PendingPayment, Received, Refunded, Shipped,
    };
    let times = &order.times;
    match (command, order.status) {
        (Command::Place(again), _) if is_the_same(order, &life.place, again) => Unchanged,
        (Command::Place(_), _) => Rejected(Code::OrderExists),

        (Command::Pay { .. }, PendingPayment) => To(Paid, EventKind::Paid),
        (Command::Pay { .. }, Cancelled)
            if times.paid_at.is_none() && times.late_payment_at.is_none() =>
        {
            To(Cancelled, EventKind::LatePayment)
        }
        (Command::Pay { .. }, _) => Unchanged,

        (Command::Ship { .. }, Paid) => To(Shipped, EventKind::Shipped),
        (Command::Ship { .. }, Shipped | Delivered) => Unchanged,
        (Command::Ship { .. }, _) if times.shipped_at.is_some() || times.delivered_at.is_some() => {
            Unchanged
        }
        (Command::Ship { .. }, _) => Rejected(Code::NotShippable),

        (Command::Deliver { .. }, Paid | Shipped) => To(Delivered, EventKind::Delivered),
        (Command::Deliver { .. }, _) if times.delivered_at.is_some() => Unchanged,
        (Command::Deliver { .. }, _) => Rejected(Code::NotDeliverable),

        (Command::Receive { .. }, Paid | Shipped | Delivered) => To(Received, EventKind::Received),
        (Command::Receive { .. }, Received | Completed) => Unchanged,
        (Command::Receive { .. }, Refunded) if times.received_at.is_some() => Unchanged,
        (Command::Receive { .. }, _) => Rejected(Code::NotReceivable),

        (Command::Extend { number }, status) => match order.clock {
            _ if *number <= order.extensions => Unchanged,
            Clock::Running { kind: ClockKind::Receive, .. }
                if order.extensions >= life.terms().max_extensions =>
            {
                Rejected(Code::ExtensionLimit)
            }
            Clock::Running { kind: ClockKind::Receive, .. } if *number - order.extensions > 1 => {
                Rejected(Code::ExtensionOutOfOrder)
            }
            Clock::Running { kind: ClockKind::Receive, .. } => To(status, EventKind::Extended),
            _ => Rejected(Code::NotExtendable),
        },

        (Command::Hold { id, .. }, _) if order.holds.iter().any(|hold| hold.id == *id) => Unchanged,
        (Command::Hold { .. }, Paid | Shipped | Delivered) if order.holds.len() == 10 => {
            Rejected(Code::TooManyHolds)
        }
        (Command::Hold { .. }, Received)
            if order.clock != Clock::None && order.holds.len() == 10 =>
        {
            Rejected(Code::TooManyHolds)
        }
        (Command::Hold { .. }, status @ (Paid | Shipped | Delivered)) => {
            To(status, EventKind::Held)
        }
        (Command::Hold { .. }, Received) if order.clock != Clock::None => {
            To(Received, EventKind::Held)
        }
        (Command::Hold { .. }, _) => Rejected(Code::NotHoldable),

        (Command::Release { id }, status) => match order.holds.iter().find(|hold| hold.id == *id) {
            None => Rejected(Code::NotHeld),
            Some(hold) if hold.released_at.is_some() => Unchanged,
            Some(_) => To(status, EventKind::Released),
        },

        (Command::Cancel { .. }, PendingPayment | Paid) => To(Cancelled, EventKind::Cancelled),
        (Command::Cancel { .. }, Cancelled) => Unchanged,
        (Command::Cancel { .. }, _) => Rejected(Code::NotCancellable),

        (Command::Refund { .. }, Paid | Shipped | Delivered | Received | Completed) => {
            To(Refunded, EventKind::Refunded)
        }
        (Command::Refund { .. }, Refunded) => Unchanged,
        (Command::Refund { .. }, _) => Rejected(Code::NotRefundable),

        (Command::Observe(_), _) => Rejected(Code::OrderExists),

        (Command::Due, status) => match order.clock {
            Clock::None | Clock::Paused { .. } => Unchanged,
            Clock::Running { deadline, remind_at, .. } if now < deadline => match remind_at {
                Some(at) if at <= now => To(status, EventKind::ReceiveReminder),
                _ => Unchanged,
            },
            Clock::Running { kind: ClockKind::Pay | ClockKind::Ship, .. } => {
                To(Cancelled, EventKind::Cancelled)
            }
            Clock::Running { kind: ClockKind::Receive, .. } => To(Received, EventKind::Received),
            Clock::Running { kind: ClockKind::Settle, .. } => To(Completed, EventKind::Completed),
        },
    }
}

fn is_the_same(order: &Order, first: &Place, again: &Place) -> bool {
    let sent = |place: &Place| Place {
        at: None,
        paid_at: None,
        shipped_at: None,
        delivered_at: None,
        ..place.clone()
    };
    let times = [
        (again.paid_at, order.times.paid_at),
        (again.shipped_at, order.times.shipped_at),
        (again.delivered_at, order.times.delivered_at),
    ];
    sent(first) == sent(again) && times.iter().all(|(sent, known)| sent.is_none() || sent == known)
}

proptest! {
    #[test]
    fn every_decision_follows_the_table(life in a_life()) {
        for taken in life.live().taken {
            let happened = match &taken.decision {
                Decision::Changed(after) => Expected::To(after.status, after.kind),
                Decision::Unchanged => Expected::Unchanged,
                Decision::Rejected(rejection) => Expected::Rejected(rejection.code),
            };
            prop_assert_eq!(happened, expected(&life, &taken), "{:?}", taken);
        }
    }

    #[test]
    fn a_change_is_one_version_and_one_event_of_its_kind(life in a_wild_life()) {
        let story = life.live();
        let first = &story.first;
        prop_assert_eq!((first.version, first.kind), (1, EventKind::Placed));
        prop_assert_eq!(first.changed_at, life.start);
        let mut version = 1;
        for taken in &story.taken {
            prop_assert_eq!(taken.before.version, version);
            let Some(after) = taken.changed() else { continue };
            version += 1;
            let cause = match taken.command {
                Command::Due => Cause::Timer,
                Command::Receive { by } => by,
                _ => Cause::Shop,
            };
            prop_assert_eq!((after.version, after.cause), (version, cause));
            prop_assert_eq!(after.changed_at, taken.now);
        }
    }

    #[test]
    fn a_change_sets_its_own_time_and_no_other(life in a_life()) {
        for taken in life.live().taken {
            let Some(after) = taken.changed() else { continue };
            let at = Some(claimed(&taken.command).unwrap_or(taken.now));
            let mut times = taken.before.times.clone();
            match after.kind {
                EventKind::Paid => times.paid_at = at,
                EventKind::LatePayment => times.late_payment_at = at,
                EventKind::Shipped => times.shipped_at = at,
                EventKind::Delivered => times.delivered_at = at,
                EventKind::Received => times.received_at = at,
                EventKind::Completed => times.completed_at = at,
                EventKind::Cancelled => times.cancelled_at = at,
                EventKind::Refunded => times.refunded_at = at,
                EventKind::Placed
                | EventKind::Held
                | EventKind::Released
                | EventKind::Extended
                | EventKind::ReceiveReminder => {}
            }
            prop_assert_eq!(&after.times, &times);
        }
    }

    #[test]
    fn the_fields_of_place_never_change(life in a_wild_life()) {
        let story = life.live();
        let agreed = |o: &Order| {
            let texts = (o.id.clone(), o.buyer_id.clone(), o.revision.clone(), o.data.clone());
            (texts, o.amount, o.currency, o.receive_after, o.times.placed_at)
        };
        for version in story.versions() {
            prop_assert_eq!(agreed(version), agreed(&story.first));
        }
    }

    #[test]
    fn only_a_late_payment_or_a_refund_changes_a_resting_order(life in a_life()) {
        for taken in life.live().taken.iter().filter(|taken| taken.before.is_resting()) {
            let Some(after) = taken.changed() else { continue };
            prop_assert!(after.is_resting());
            match after.kind {
                EventKind::LatePayment => {
                    prop_assert_eq!(taken.before.status, Status::Cancelled);
                    prop_assert_eq!(after.status, Status::Cancelled);
                }
                kind => {
                    prop_assert_eq!((kind, after.status), (EventKind::Refunded, Status::Refunded));
                }
            }
        }
    }

    #[test]
    fn a_rejection_lists_exactly_the_possible_commands(life in a_life()) {
        let story = life.live();
        for taken in &story.taken {
            let Decision::Rejected(rejection) = &taken.decision else { continue };
            prop_assert_eq!(rejection.status, Some(taken.before.status));
            if matches!(rejection.code, Code::OrderExists | Code::AtInFuture) {
                continue;
            }
            let order = &taken.before;
            let possible = |verb: &Verb| is_possible(&life, order, *verb, taken.now);
            let allowed: Vec<Verb> = Verb::PUBLIC.into_iter().filter(possible).collect();
            prop_assert_eq!(&rejection.allowed, &allowed);
        }
    }
}

/// True if some command of this name would change the order.
fn is_possible(life: &Life, order: &Order, verb: Verb, now: Time) -> bool {
    let fresh = || "never used before".parse().unwrap();
    let mut commands = match verb {
        Verb::Place | Verb::Observe | Verb::Due => vec![],
        Verb::Pay => vec![Command::Pay { at: None }],
        Verb::Ship => vec![Command::Ship { at: None, carrier: None, tracking: None }],
        Verb::Deliver => vec![Command::Deliver { at: None }],
        Verb::Receive => vec![Command::Receive { by: Cause::Buyer }],
        Verb::Extend => vec![Command::Extend { number: order.extensions + 1 }],
        Verb::Hold => vec![Command::Hold { id: fresh(), reason: "r".parse().unwrap() }],
        Verb::Release => {
            order.holds.iter().map(|hold| Command::Release { id: hold.id.clone() }).collect()
        }
        Verb::Cancel => vec![Command::Cancel { reason: "r".parse().unwrap() }],
        Verb::Refund => vec![Command::Refund { reason: None }],
    };
    commands
        .drain(..)
        .any(|command| matches!(in_the_table(life, order, &command, now), Expected::To(..)))
}

/// The properties test only cases that the random lives reach. So they must reach every case.
#[test]
fn random_lives_reach_every_status_every_event_and_every_rejection() {
    let mut statuses = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    let mut codes = BTreeSet::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..1_000 {
        let story = a_life().new_tree(&mut runner).unwrap().current().live();
        for order in story.versions() {
            statuses.insert(order.status);
            kinds.insert((order.kind, order.status));
        }
        for taken in &story.taken {
            if let Decision::Rejected(rejection) = &taken.decision {
                codes.insert(rejection.code.as_str());
            }
        }
    }
    assert_eq!(statuses.len(), Status::ALL.len(), "{statuses:?}");
    for kind in EventKind::ALL {
        assert!(kinds.iter().any(|(known, _)| *known == kind), "{kind}");
    }
    for wanted in [
        (EventKind::Held, Status::Received),
        (EventKind::Released, Status::Received),
        (EventKind::Placed, Status::Paid),
    ] {
        assert!(kinds.contains(&wanted), "{wanted:?}");
    }
    // Every order that is not pending or cancelled was paid, so `pay` is never rejected. Lives
    // begin with `place`, so no order is adopted.
    for code in Code::ALL
        .into_iter()
        .filter(|code| !matches!(code, Code::OrderNotFound | Code::NotPayable | Code::Adopted))
    {
        assert!(codes.contains(code.as_str()), "{code:?}");
    }
}
