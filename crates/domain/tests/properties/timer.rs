//! The timer is never early, never misses a due order, and never runs without a change.

use std::sync::Arc;

use autoreceive_domain::{Clock, Command, Decision, EventKind, Order, Status, Time, decide};
use proptest::prelude::*;

use crate::generate::{DAY_MS, Life, a_life, a_wild_life, shifted};

fn due(order: &Order, now: Time, life: &Life) -> Option<Order> {
    match decide(order, &Command::Due, now, life.terms()) {
        Decision::Changed(after) => Some(Arc::unwrap_or_clone(after)),
        Decision::Unchanged => None,
        Decision::Rejected(rejection) => panic!("a Due was rejected: {rejection}"),
    }
}

proptest! {
    #[test]
        fn no_order_is_received_completed_or_cancelled_before_its_deadline(
        life in a_life(),
        early in 1..=20 * DAY_MS,
    ) {
        for order in life.live().versions() {
            let Some(deadline) = order.clock.deadline() else { continue };
            for now in [shifted(deadline, -1), shifted(deadline, -early)] {
                let Some(after) = due(order, now, &life) else { continue };
                let reminder = (EventKind::ReceiveReminder, order.status);
                prop_assert_eq!((after.kind, after.status), reminder);
                prop_assert_eq!(after.clock.deadline(), Some(deadline));
            }
        }
    }

    #[test]
    fn a_change_happens_at_the_due_time_and_not_a_millisecond_before(life in a_wild_life()) {
        for order in life.live().versions() {
            let Some(next_due) = order.next_due_at() else { continue };
            prop_assert!(due(order, next_due, &life).is_some());
            if next_due.ms() > 0 {
                prop_assert_eq!(due(order, shifted(next_due, -1), &life), None);
            }
        }
    }

    #[test]
        fn after_its_deadline_an_order_ends_immediately_without_a_reminder(
        life in a_life(),
        late in 0..=20 * DAY_MS,
    ) {
        for order in life.live().versions() {
            let Some(deadline) = order.clock.deadline() else { continue };
            let after = due(order, shifted(deadline, late), &life).unwrap();
            let ended = [Status::Received, Status::Completed, Status::Cancelled];
            prop_assert!(ended.contains(&after.status));
            prop_assert_ne!(after.kind, EventKind::ReceiveReminder);
        }
    }

    #[test]
    fn an_order_without_a_running_clock_is_never_due(life in a_wild_life(), late in any::<i64>()) {
        let story = life.live();
        let stopped = |order: &&Order| order.is_held() || order.clock == Clock::None;
        for order in story.versions().filter(stopped) {
            prop_assert_eq!(order.next_due_at(), None);
            prop_assert_eq!(due(order, shifted(story.end, late), &life), None);
        }
    }

    #[test]
    fn a_running_clock_has_a_due_time_and_it_is_never_after_the_deadline(life in a_wild_life()) {
        for order in life.live().versions() {
            let is_running = matches!(order.clock, Clock::Running { .. });
            prop_assert_eq!(order.next_due_at().is_some(), is_running);
            prop_assert!(order.next_due_at() <= order.clock.deadline());
        }
    }

    #[test]
    fn the_timer_alone_ends_an_order_in_a_bounded_number_of_steps(life in a_life()) {
        let mut order = life.live().last;
        let mut last = None;
        for _ in 0..=life.terms().remind_before.len() + 2 {
            let Some(next_due) = order.next_due_at() else { break };
            prop_assert!(
                last < Some(next_due) || order.clock.deadline() == Some(next_due),
                "due again at {next_due:?}"
            );
            last = Some(next_due);
            order = due(&order, next_due, &life).unwrap();
        }
        prop_assert_eq!(order.next_due_at(), None);
    }

    #[test]
    fn after_a_reminder_the_next_due_time_is_in_the_future(life in a_wild_life()) {
        for taken in life.live().taken {
            let Some(after) = taken.changed() else { continue };
            if after.kind == EventKind::ReceiveReminder {
                prop_assert!(after.next_due_at() > Some(taken.now));
            }
        }
    }
}
