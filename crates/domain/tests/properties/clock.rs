//! The clock after every change, computed a second time from the documentation; holds and
//! extensions.

use autoreceive_domain::{
    Clock, ClockKind, Command, EventKind, Order, Span, StartsAt, Terms, Time,
};
use proptest::prelude::*;

use crate::generate::{Life, Taken, a_life, a_wild_life};

/// Plain sums: these lives are too short for an overflow.
fn running(kind: ClockKind, deadline: i64, since: i64, terms: &Terms) -> Clock {
    let mut reminders: Vec<i64> =
        terms.remind_before.iter().map(|before| deadline - before.ms()).collect();
    reminders.retain(|&at| kind == ClockKind::Receive && since < at && at < deadline);
    reminders.sort_unstable();
    Clock::Running {
        kind,
        deadline: Time::from_ms(deadline),
        remind_at: reminders.first().map(|&at| Time::from_ms(at)),
    }
}

fn started(kind: ClockKind, length: Option<Span>, from: Time, held: bool, terms: &Terms) -> Clock {
    match length {
        None => Clock::None,
        Some(remaining) if held => Clock::Paused { kind, remaining },
        Some(length) => running(kind, from.ms() + length.ms(), from.ms(), terms),
    }
}

fn clock_of_payment(order: &Order, at: Time, terms: &Terms) -> Clock {
    match terms.starts_at {
        StartsAt::Paid => started(
            ClockKind::Receive,
            Some(order.receive_after.unwrap_or(terms.receive_after)),
            at,
            false,
            terms,
        ),
        StartsAt::Shipped | StartsAt::Delivered => {
            started(ClockKind::Ship, terms.ship_within, at, false, terms)
        }
    }
}

fn clock_after(taken: &Taken, kind: EventKind, terms: &Terms) -> Clock {
    let Taken { before, command, now, .. } = taken;
    let open_holds = before.holds.iter().filter(|hold| hold.released_at.is_none()).count();
    let silence = Some(before.receive_after.unwrap_or(terms.receive_after));
    let from = match command {
        Command::Pay { at } | Command::Ship { at, .. } | Command::Deliver { at } => {
            at.unwrap_or(*now)
        }
        _ => *now,
    };
    let started = |kind, length| started(kind, length, from, open_holds > 0, terms);
    match (kind, terms.starts_at, before.clock) {
        (EventKind::Paid, ..) => clock_of_payment(before, from, terms),
        (EventKind::Shipped | EventKind::Delivered, StartsAt::Paid, clock) => clock,
        (EventKind::Shipped, StartsAt::Shipped, _) => started(ClockKind::Receive, silence),
        (EventKind::Shipped, StartsAt::Delivered, _) => {
            started(ClockKind::Receive, terms.fallback_after)
        }
        (EventKind::Delivered, StartsAt::Shipped, clock) if before.times.shipped_at.is_some() => {
            clock
        }
        (EventKind::Delivered, _, _) => started(ClockKind::Receive, silence),
        (EventKind::Received, ..) => terms.settle_after.map_or(Clock::None, |length| {
            running(ClockKind::Settle, now.ms() + length.ms(), now.ms(), terms)
        }),
        (EventKind::Held, _, Clock::Running { kind, deadline, .. }) => {
            Clock::Paused { kind, remaining: Span::from_ms((deadline.ms() - now.ms()).max(0)) }
        }
        (EventKind::Released, _, Clock::Paused { kind, remaining }) if open_holds == 1 => {
            running(kind, now.ms() + remaining.ms().max(terms.release_grace.ms()), now.ms(), terms)
        }
        (EventKind::Held | EventKind::Released, _, clock) => clock,
        (EventKind::Extended, _, Clock::Running { kind, deadline, .. }) => {
            running(kind, deadline.ms().max(now.ms()) + terms.extend_by.ms(), now.ms(), terms)
        }
        (EventKind::ReceiveReminder, _, Clock::Running { kind, deadline, .. }) => {
            running(kind, deadline.ms(), now.ms(), terms)
        }
        _ => Clock::None,
    }
}

fn clock_of_placing(life: &Life, first: &Order) -> Clock {
    let (place, terms) = (&life.place, life.terms());
    let Some(paid_at) = place.paid_at else {
        return started(
            ClockKind::Pay,
            terms.pay_within,
            place.at.unwrap_or(life.start),
            false,
            terms,
        );
    };
    let silence = Some(first.receive_after.unwrap_or(terms.receive_after));
    let from = |length, at| started(ClockKind::Receive, length, at, false, terms);
    match (terms.starts_at, place.shipped_at, place.delivered_at) {
        (StartsAt::Paid, ..) | (_, None, None) => clock_of_payment(first, paid_at, terms),
        (StartsAt::Shipped, Some(at), _) | (_, _, Some(at)) => from(silence, at),
        (StartsAt::Delivered, Some(at), None) => from(terms.fallback_after, at),
    }
}

proptest! {
    #[test]
    fn every_change_leaves_exactly_the_documented_clock(life in a_life()) {
        let story = life.live();
        prop_assert_eq!(story.first.clock, clock_of_placing(&life, &story.first));
        for taken in &story.taken {
            let Some(after) = taken.changed() else { continue };
            let expected = clock_after(taken, after.kind, life.terms());
            prop_assert_eq!(after.clock, expected, "{:?}", taken);
        }
    }

    #[test]
    fn hold_and_release_never_shorten_what_remains(life in a_life()) {
        let story = life.live();
        let mut owed = None;
        for taken in &story.taken {
            let Some(after) = taken.changed() else { continue };
            match after.kind {
                EventKind::Held => {
                    let deadline = taken.before.clock.deadline();
                    owed = owed.or(deadline.map(|deadline| deadline.since(taken.now)));
                }
                EventKind::Released if !after.is_held() => {
                    let left = after.clock.deadline().map(|deadline| deadline.since(taken.now));
                    prop_assert!(left >= owed.take());
                    prop_assert!(left.is_none_or(|left| left >= life.terms().release_grace));
                }
                EventKind::Released => prop_assert_eq!(after.clock, taken.before.clock),
                _ => owed = None,
            }
        }
    }

    #[test]
    fn a_clock_is_paused_exactly_while_the_order_is_held(life in a_wild_life()) {
        for order in life.live().versions() {
            match order.clock {
                Clock::None => {}
                Clock::Running { .. } => prop_assert!(!order.is_held()),
                Clock::Paused { .. } => prop_assert!(order.is_held()),
            }
            prop_assert!(
                order.status.is_open()
                    || !order.is_held()
                    || order.clock.kind() == Some(ClockKind::Settle)
            );
            prop_assert!(order.clock.kind().is_none_or(|kind| kind.fits(order.status)));
            prop_assert!(order.holds.len() <= 10);
        }
    }

    #[test]
    fn extensions_are_counted_capped_and_never_move_a_deadline_nearer(life in a_wild_life()) {
        let story = life.live();
        let mut made = 0;
        for taken in &story.taken {
            let Some(after) = taken.changed() else { continue };
            if after.kind == EventKind::Extended {
                made += 1;
                prop_assert!(after.clock.deadline() >= taken.before.clock.deadline());
                prop_assert_eq!(after.status, taken.before.status);
            }
            prop_assert_eq!(after.extensions, made);
        }
        prop_assert!(made <= life.terms().max_extensions);
    }
}
