//! Shipment, delivery, and the confirmation of the receipt.

use autoreceive_domain::command::Verb;
use autoreceive_domain::decide::Code;
use autoreceive_domain::{
    Cause, Clock, ClockKind, Command, Decision, EventKind, Place, Status, Terms,
};

use crate::support::{Shop, deliver, from_delivery, from_shipment, h, hold, receive, ship, span};

#[test]
fn with_a_start_at_the_payment_shipping_leaves_the_clock_alone() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    shop.changed(h(5), ship()).runs(Status::Shipped, ClockKind::Receive, h(24));
}

#[test]
fn with_a_start_at_the_shipment_an_order_is_received_24_hours_after_it() {
    let mut shop = Shop::new(Terms { ship_within: Some(span("72h")), ..from_shipment() })
        .placed_and_paid_at(0);
    shop.changed(h(70), ship());
    shop.due_at(ClockKind::Receive, h(94));
}

#[test]
fn with_a_start_at_the_delivery_a_shipped_order_waits_for_it_or_for_fallback_after() {
    let mut free = Shop::new(from_delivery()).placed_and_paid_at(0);
    free.changed(h(5), ship()).stands(Status::Shipped, Clock::None);
    let mut bounded = Shop::new(Terms { fallback_after: Some(span("14d")), ..from_delivery() })
        .placed_and_paid_at(0);
    bounded.changed(h(5), ship());
    bounded.due_at(ClockKind::Receive, h(5 + 14 * 24));
    bounded.changed(h(5 + 14 * 24), Command::Due).stands(Status::Received, Clock::None);
}

#[test]
fn a_shipment_reported_after_the_delivery_changes_nothing() {
    let mut shop = Shop::new(from_delivery()).placed_and_paid_at(0);
    shop.changed(h(9), deliver());
    shop.unchanged(h(10), ship());
    assert_eq!(shop.order().times.shipped_at, None);
}

#[test]
fn an_order_shipped_long_ago_is_placed_in_one_step_and_not_cancelled_as_unshipped() {
    let terms = Terms {
        ship_within: Some(span("72h")),
        fallback_after: Some(span("14d")),
        ..from_delivery()
    };
    let mut late = Shop::new(terms.clone()).placed_and_paid_at(h(-240));
    late.changed(0, Command::Due).stands(Status::Cancelled, Clock::None);
    let mut shipped = Shop::new(terms.clone());
    shipped.place.shipped_at = Some(shipped.at(h(-216)));
    let mut shipped = shipped.placed_and_paid_at(h(-240));
    shipped.event_is(1, EventKind::Placed, Cause::Shop);
    shipped.due_at(ClockKind::Receive, h(14 * 24 - 216));
    let (place, repeated) = (shipped.place(), shipped.place_fields());
    shipped.unchanged(1, place);
    shipped.rejected(
        1,
        Command::Place(Box::new(Place { shipped_at: Some(shipped.at(h(-215))), ..repeated })),
        Code::OrderExists,
    );
    let mut delivered = Shop::new(terms);
    delivered.place.delivered_at = Some(delivered.at(h(-23)));
    delivered.placed_and_paid_at(h(-240)).runs(Status::Delivered, ClockKind::Receive, h(1));
}

#[test]
fn an_unpaid_order_cannot_be_placed_as_shipped_or_delivered() {
    for (is_delivered, code) in [(false, Code::NotShippable), (true, Code::NotDeliverable)] {
        let mut shop = Shop::new(Terms::default());
        shop.place.shipped_at = Some(shop.at(h(-1)));
        shop.place.delivered_at = Some(shop.at(0)).filter(|_| is_delivered);
        let decision = shop.decide_absent(&shop.place());
        let Decision::Rejected(rejection) = decision else { panic!("placed") };
        assert_eq!((rejection.code, rejection.allowed.clone()), (code, vec![Verb::Place]));
        assert!(rejection.title.contains("paid_at"), "{rejection}");
    }
}

#[test]
fn an_unpaid_order_is_not_shipped() {
    Shop::new(Terms::default()).placed().rejected(0, ship(), Code::NotShippable);
}

#[test]
fn with_a_start_at_the_delivery_an_order_is_received_24_hours_after_it() {
    let mut shop = Shop::new(Terms { fallback_after: Some(span("14d")), ..from_delivery() })
        .placed_and_paid_at(0);
    shop.changed(h(5), ship());
    shop.changed(h(50), deliver()).runs(Status::Delivered, ClockKind::Receive, h(74));
}

#[test]
fn with_a_start_at_the_shipment_a_delivery_leaves_the_running_clock_alone() {
    let mut shop = Shop::new(from_shipment()).placed_and_paid_at(0);
    shop.changed(h(5), ship());
    shop.changed(h(20), deliver());
    shop.due_at(ClockKind::Receive, h(29));
}

#[test]
fn with_a_start_at_the_shipment_and_no_shipment_the_delivery_starts_the_clock() {
    let mut shop = Shop::new(Terms { ship_within: Some(span("72h")), ..from_shipment() })
        .placed_and_paid_at(0);
    shop.changed(h(20), deliver());
    shop.due_at(ClockKind::Receive, h(44));
}

#[test]
fn with_a_start_at_the_payment_a_delivery_leaves_the_clock_alone() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    shop.changed(h(20), deliver());
    shop.due_at(ClockKind::Receive, h(24));
}

#[test]
fn a_buyer_or_an_operator_can_confirm_immediately_even_during_a_hold() {
    for by in [Cause::Buyer, Cause::Operator] {
        let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
        shop.changed(h(1), hold("dispute"));
        shop.changed(h(2), receive(by)).stands(Status::Received, Clock::None);
        shop.event_is(3, EventKind::Received, by);
        assert!(!shop.order().is_held() && shop.order().is_resting());
        shop.unchanged(h(3), receive(Cause::Buyer));
    }
}

#[test]
fn a_confirmation_before_the_timer_wins_even_after_the_deadline() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    shop.changed(h(25), receive(Cause::Buyer));
    shop.unchanged(h(25), Command::Due);
    shop.event_is(2, EventKind::Received, Cause::Buyer);
}
