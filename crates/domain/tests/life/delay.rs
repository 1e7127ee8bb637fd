//! Extensions and holds delay the receipt.

use autoreceive_domain::decide::Code;
use autoreceive_domain::{Cause, Clock, ClockKind, Command, Status, Terms};

use crate::support::{Shop, extend, from_shipment, h, hold, receive, release, span};

#[test]
fn a_repeated_extension_moves_the_deadline_once() {
    let mut shop =
        Shop::new(Terms { max_extensions: 2, extend_by: span("72h"), ..Terms::default() })
            .placed_and_paid_at(0);
    shop.changed(h(20), extend(1));
    shop.due_at(ClockKind::Receive, h(96));
    shop.unchanged(h(21), extend(1));
    shop.due_at(ClockKind::Receive, h(96));
    shop.rejected(h(21), extend(3), Code::ExtensionOutOfOrder);
    shop.changed(h(21), extend(2));
    shop.due_at(ClockKind::Receive, h(168));
    shop.rejected(h(22), extend(3), Code::ExtensionLimit);
}

#[test]
fn an_extension_past_the_deadline_counts_from_now() {
    let mut shop =
        Shop::new(Terms { max_extensions: 1, extend_by: span("72h"), ..Terms::default() })
            .placed_and_paid_at(0);
    shop.changed(h(30), extend(1));
    shop.due_at(ClockKind::Receive, h(102));
}

#[test]
fn without_a_running_receive_clock_nothing_is_extended() {
    let terms = Terms { max_extensions: 1, ..Terms::default() };
    let mut unpaid = Shop::new(terms.clone()).placed();
    unpaid.rejected(0, extend(1), Code::NotExtendable);
    let mut held = Shop::new(terms).placed_and_paid_at(0);
    held.changed(h(1), hold("dispute"));
    held.rejected(h(2), extend(1), Code::NotExtendable);
    Shop::new(Terms::default()).placed_and_paid_at(0).rejected(
        h(1),
        extend(1),
        Code::ExtensionLimit,
    );
}

#[test]
fn a_held_order_is_not_received_and_its_clock_continues_after_the_release() {
    let mut shop =
        Shop::new(Terms { release_grace: span("2h"), ..Terms::default() }).placed_and_paid_at(0);
    shop.changed(h(10), hold("dispute"))
        .stands(Status::Paid, Clock::Paused { kind: ClockKind::Receive, remaining: span("14h") });
    shop.unchanged(h(1_000), Command::Due);
    shop.changed(h(1_000), release("dispute"));
    shop.due_at(ClockKind::Receive, h(1_014));
}

#[test]
fn a_released_order_has_at_least_the_release_grace_left() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    shop.changed(h(25), hold("dispute"))
        .stands(Status::Paid, Clock::Paused { kind: ClockKind::Receive, remaining: span("0s") });
    shop.changed(h(30), release("dispute"));
    shop.due_at(ClockKind::Receive, h(54));
}

#[test]
fn the_clock_continues_when_the_last_hold_is_released() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    let paused = Clock::Paused { kind: ClockKind::Receive, remaining: span("23h") };
    shop.changed(h(1), hold("dispute"));
    shop.changed(h(2), hold("return")).stands(Status::Paid, paused);
    shop.changed(h(3), release("dispute")).stands(Status::Paid, paused);
    shop.changed(h(4), release("return"));
    shop.due_at(ClockKind::Receive, h(28));
}

#[test]
fn a_released_hold_cannot_be_placed_again() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    shop.changed(h(1), hold("dispute"));
    shop.unchanged(h(1), hold("dispute"));
    shop.changed(h(2), release("dispute"));
    shop.unchanged(h(3), release("dispute"));
    shop.unchanged(h(3), hold("dispute"));
    shop.rejected(h(3), release("another"), Code::NotHeld);
}

#[test]
fn an_order_is_held_at_most_ten_times_in_its_life() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    for i in 1..=10 {
        shop.changed(h(i), hold(&format!("dispute {i}")));
        shop.changed(h(i), release(&format!("dispute {i}")));
    }
    shop.rejected(h(11), hold("dispute 11"), Code::TooManyHolds);
    shop.changed(h(11), receive(Cause::Buyer));
    shop.rejected(h(11), hold("dispute 11"), Code::NotHoldable);
}

#[test]
fn a_clock_started_during_a_hold_is_paused_at_its_full_length() {
    let mut shop = Shop::new(from_shipment()).placed_and_paid_at(0);
    shop.changed(h(1), hold("dispute")).stands(Status::Paid, Clock::None);
    let at = Some(shop.at(h(2)));
    shop.changed(h(20), Command::Ship { at, carrier: None, tracking: None });
    shop.stands(
        Status::Shipped,
        Clock::Paused { kind: ClockKind::Receive, remaining: span("24h") },
    );
    shop.changed(h(30), release("dispute"));
    shop.due_at(ClockKind::Receive, h(54));
}

#[test]
fn a_hold_stops_the_settling_too() {
    let mut shop = Shop::new(Terms { settle_after: Some(span("7d")), ..Terms::default() })
        .placed_and_paid_at(0);
    shop.changed(h(24), Command::Due);
    shop.changed(h(48), hold("chargeback"));
    shop.stands(Status::Received, Clock::Paused { kind: ClockKind::Settle, remaining: span("6d") });
    assert!(!shop.order().is_resting());
    shop.unchanged(h(9_000), Command::Due);
    shop.changed(h(9_000), release("chargeback"));
    shop.due_at(ClockKind::Settle, h(9_000 + 6 * 24));
}

#[test]
fn an_order_that_is_not_open_cannot_be_held() {
    Shop::new(Terms::default()).placed().rejected(0, hold("dispute"), Code::NotHoldable);
    let mut received = Shop::new(Terms::default()).placed_and_paid_at(0);
    received.changed(h(24), Command::Due);
    received.rejected(h(25), hold("dispute"), Code::NotHoldable);
}
