//! Orders adopted from a shop's keys: they follow only the status that the shop keeps.

use std::sync::Arc;

use autoreceive_domain::decide::{Code, decide_absent};
use autoreceive_domain::{
    Cause, Clock, ClockKind, Command, Decision, EventKind, Observation, Order, Policy, Span,
    Status, Terms, Time, decide, record,
};

use crate::support::{Shop, cancel, h, pay, receive, refund, ship};

fn now() -> Time {
    Time::from_ms(1_790_000_000_000)
}

fn policy() -> Policy {
    Policy::new("default", Terms::default()).unwrap()
}

fn seen(observation: Observation) -> Command {
    Command::Observe(Box::new(observation))
}

fn paid() -> Command {
    seen(Observation::Paid { policy: policy().name(), receive_after: None })
}

fn cancelled() -> Command {
    seen(Observation::Cancelled("the shop's status is CANCELLED".parse().unwrap()))
}

fn refunded() -> Command {
    seen(Observation::Refunded("the shop's status is REFUNDED".parse().unwrap()))
}

fn other() -> Command {
    seen(Observation::Other("the shop's status is SHIPPED".parse().unwrap()))
}

fn adopted() -> Order {
    match decide_absent(&"A-1".parse().unwrap(), &paid(), now(), Some(&policy())) {
        Decision::Changed(order) => Arc::unwrap_or_clone(order),
        other => panic!("not adopted: {other:?}"),
    }
}

fn at(hours: i64) -> Time {
    now().after(Span::from_ms(h(hours)))
}

#[track_caller]
fn after(order: &Order, hours: i64, command: &Command) -> Order {
    match decide(order, command, at(hours), &policy().terms) {
        Decision::Changed(order) => Arc::unwrap_or_clone(order),
        other => panic!("{command:?} did not change the order: {other:?}"),
    }
}

#[track_caller]
fn unchanged(order: &Order, hours: i64, command: &Command) {
    assert_eq!(
        decide(order, command, at(hours), &policy().terms),
        Decision::Unchanged,
        "{command:?}"
    );
}

fn last(order: &Order) -> (Status, EventKind, Cause) {
    (order.status, order.kind, order.cause)
}

#[test]
fn an_order_first_seen_paid_is_adopted_as_paid_now_and_received_by_the_timer() {
    let order = adopted();
    assert_eq!(last(&order), (Status::Paid, EventKind::Placed, Cause::System));
    assert_eq!(
        (order.adopted, order.buyer_id.clone(), order.times.paid_at),
        (true, None, Some(now()))
    );
    assert_eq!(
        order.clock,
        Clock::Running { kind: ClockKind::Receive, deadline: at(24), remind_at: None }
    );
    unchanged(&order, 23, &paid());
    unchanged(&order, 23, &Command::Due);
    let received = after(&order, 24, &Command::Due);
    assert_eq!(last(&received), (Status::Received, EventKind::Received, Cause::Timer));
    assert!(received.adopted);
    unchanged(&received, 25, &paid());
    unchanged(&received, 25, &seen(Observation::Received));
}

#[test]
fn an_unknown_order_is_not_adopted_before_it_is_paid() {
    for command in [seen(Observation::Received), cancelled(), refunded(), other()] {
        let decision = decide_absent(&"A-1".parse().unwrap(), &command, now(), Some(&policy()));
        assert_eq!(decision, Decision::Unchanged, "{command:?}");
    }
}

#[test]
fn the_shop_can_receive_cancel_and_refund() {
    let order = adopted();
    assert_eq!(
        last(&after(&order, 1, &seen(Observation::Received))),
        (Status::Received, EventKind::Received, Cause::Shop)
    );
    assert_eq!(
        last(&after(&order, 1, &cancelled())),
        (Status::Cancelled, EventKind::Cancelled, Cause::Shop)
    );
    assert_eq!(
        last(&after(&order, 1, &refunded())),
        (Status::Refunded, EventKind::Refunded, Cause::Shop)
    );
    let gone = after(&order, 1, &cancelled());
    for again in [paid(), cancelled(), refunded(), other(), seen(Observation::Received)] {
        unchanged(&gone, 2, &again);
    }
}

#[test]
fn a_cancellation_by_the_shop_after_the_receipt_is_a_refund() {
    let received = after(&adopted(), 24, &Command::Due);
    for command in [cancelled(), refunded()] {
        let taken_back = after(&received, 25, &command);
        assert_eq!(last(&taken_back), (Status::Refunded, EventKind::Refunded, Cause::Shop));
        unchanged(&taken_back, 26, &command);
    }
}

#[test]
fn any_other_status_stops_the_clock_until_the_order_is_paid_again() {
    let held = after(&adopted(), 20, &other());
    assert_eq!(
        held.clock,
        Clock::Paused { kind: ClockKind::Receive, remaining: Span::from_ms(h(4)) }
    );
    unchanged(&held, 21, &other());
    unchanged(&held, 200, &Command::Due);
    let released = after(&held, 30, &paid());
    assert_eq!(
        released.clock.deadline(),
        Some(at(34)),
        "exactly the remaining time, without the release grace"
    );
    assert!(after(&released, 31, &other()).is_held(), "a second hold, with another id");
    assert_eq!(after(&held, 30, &cancelled()).status, Status::Cancelled);
}

#[test]
fn an_order_without_holds_left_still_follows_its_status() {
    let mut order = adopted();
    for _ in 0..10 {
        order = after(&order, 1, &other());
        order = after(&order, 1, &paid());
    }
    unchanged(&order, 1, &other());
    assert_eq!(after(&order, 1, &cancelled()).status, Status::Cancelled);
}

#[test]
fn an_adopted_order_accepts_no_commands_and_a_placed_one_is_not_observed() {
    let order = adopted();
    let place = Shop::new(Terms::default()).place();
    for command in [place, pay(), ship(), receive(Cause::Buyer), cancel("no"), refund()] {
        match decide(&order, &command, at(1), &policy().terms) {
            Decision::Rejected(rejection) => {
                assert_eq!((rejection.code, rejection.allowed.len()), (Code::Adopted, 0))
            }
            other => panic!("{command:?} was not rejected: {other:?}"),
        }
    }
    let mut shop = Shop::new(Terms::default()).placed();
    for command in [paid(), cancelled(), refunded(), other(), seen(Observation::Received)] {
        shop.rejected(h(1), command, Code::OrderExists);
    }
}

#[test]
fn the_record_contains_the_adopted_mark() {
    let order = adopted();
    let text = record::encode(&order);
    assert_eq!(record::decode(&order.id, &text).unwrap(), order, "{text}");
    assert!(text.contains("|i|") || text.ends_with("|i"), "{text}");
    assert!(
        record::decode(&order.id, &text.replace("|i", "|iZ")).is_err(),
        "a field with unknown content"
    );
}
