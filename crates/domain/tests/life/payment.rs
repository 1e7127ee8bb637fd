//! An order is placed and paid, or cancelled because it was not paid.

use autoreceive_domain::decide::Code;
use autoreceive_domain::{Cause, Clock, ClockKind, Command, EventKind, Status, Terms};

use crate::support::{Shop, cancel, from_shipment, h, min, pay, span};

#[test]
fn a_placed_order_waits_for_its_payment_for_ever_by_default() {
    let shop = Shop::new(Terms::default()).placed();
    shop.stands(Status::PendingPayment, Clock::None);
    shop.event_is(1, EventKind::Placed, Cause::Shop);
}

#[test]
fn a_placed_order_waits_for_its_payment_as_long_as_the_policy_says() {
    let shop = Shop::new(Terms { pay_within: Some(span("30m")), ..Terms::default() }).placed();
    shop.due_at(ClockKind::Pay, min(30));
}

#[test]
fn an_order_placed_with_its_payment_is_paid_and_its_event_is_placed() {
    let shop = Shop::new(Terms::default()).placed_and_paid_at(-h(2));
    shop.runs(Status::Paid, ClockKind::Receive, h(22));
    shop.event_is(1, EventKind::Placed, Cause::Shop);
}

#[test]
fn the_same_order_placed_again_changes_nothing_and_a_different_one_is_rejected() {
    let mut shop = Shop::new(Terms::default()).placed();
    shop.unchanged(h(1), shop.place());
    let mut other = shop.place_fields();
    other.amount = Some(1);
    shop.rejected(h(1), Command::Place(Box::new(other)), Code::OrderExists);
}

#[test]
fn a_repeated_place_with_a_payment_that_the_order_does_not_have_is_rejected() {
    let mut shop = Shop::new(Terms::default()).placed();
    let mut paid = shop.place_fields();
    paid.paid_at = Some(shop.at(0));
    shop.rejected(0, Command::Place(Box::new(paid.clone())), Code::OrderExists);
    shop.changed(0, pay());
    shop.unchanged(h(1), Command::Place(Box::new(paid)));
}

#[test]
fn only_place_creates_an_order() {
    let shop = Shop::new(Terms::default());
    shop.absent_rejects(pay(), Code::OrderNotFound);
    shop.absent_rejects(shop.placing_at(5_001), Code::AtInFuture);
    shop.absent_ignores(Command::Due);
}

#[test]
fn a_paid_order_is_received_24_hours_after_the_payment() {
    let mut shop = Shop::new(Terms::default()).placed();
    shop.changed(h(1), pay()).runs(Status::Paid, ClockKind::Receive, h(25));
    shop.unchanged(h(25) - 1, Command::Due);
    shop.changed(h(25), Command::Due).stands(Status::Received, Clock::None);
    shop.event_is(3, EventKind::Received, Cause::Timer);
    assert_eq!(shop.order().times.received_at, Some(shop.at(h(25))));
}

#[test]
fn the_deadline_counts_from_the_payment_and_not_from_its_report() {
    let mut shop = Shop::new(Terms::default()).placed();
    shop.changed(h(5), Command::Pay { at: Some(shop.at(h(1))) });
    shop.due_at(ClockKind::Receive, h(25));
}

#[test]
fn a_deadline_in_the_past_is_due_immediately() {
    let mut shop = Shop::new(Terms::default()).placed();
    shop.changed(h(30), Command::Pay { at: Some(shop.at(h(1))) });
    shop.changed(h(30), Command::Due).stands(Status::Received, Clock::None);
}

#[test]
fn a_given_time_can_be_at_most_five_seconds_ahead() {
    let mut shop = Shop::new(Terms::default()).placed();
    shop.rejected(0, Command::Pay { at: Some(shop.at(5_001)) }, Code::AtInFuture);
    shop.changed(0, Command::Pay { at: Some(shop.at(5_000)) });
    shop.due_at(ClockKind::Receive, h(24) + 5_000);
}

#[test]
fn an_order_can_have_its_own_receive_after() {
    let mut shop = Shop::new(Terms::default()).receiving_after("7d").placed();
    shop.changed(0, pay());
    shop.due_at(ClockKind::Receive, h(7 * 24));
}

#[test]
fn with_a_start_at_the_shipment_a_paid_order_waits_to_be_shipped() {
    let mut free = Shop::new(from_shipment()).placed();
    free.changed(0, pay()).stands(Status::Paid, Clock::None);
    let mut bounded =
        Shop::new(Terms { ship_within: Some(span("72h")), ..from_shipment() }).placed();
    bounded.changed(h(1), pay());
    bounded.due_at(ClockKind::Ship, h(73));
}

#[test]
fn a_second_payment_changes_nothing() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    shop.unchanged(h(3), pay());
    shop.due_at(ClockKind::Receive, h(24));
}

#[test]
fn a_payment_after_the_cancellation_makes_one_late_payment_event() {
    let mut shop = Shop::new(Terms { pay_within: Some(span("30m")), ..Terms::default() }).placed();
    shop.changed(min(30), Command::Due).stands(Status::Cancelled, Clock::None);
    shop.changed(min(31), pay()).stands(Status::Cancelled, Clock::None);
    shop.event_is(3, EventKind::LatePayment, Cause::Shop);
    shop.unchanged(min(32), pay());
    assert_eq!(shop.order().times.paid_at, None);
}

#[test]
fn a_paid_and_cancelled_order_makes_no_late_payment_event() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    shop.changed(h(1), cancel("out of stock"));
    shop.unchanged(h(2), pay());
}
