//! The end of an order: cancelled, refunded, or ended by the timer.

use autoreceive_domain::decide::Code;
use autoreceive_domain::{Cause, Clock, ClockKind, Command, EventKind, Status, Terms};

use crate::support::{
    Shop, cancel, deliver, from_delivery, h, hold, min, receive, refund, ship, span,
};

#[test]
fn an_order_is_cancelled_before_its_shipment_and_not_after() {
    let mut shop = Shop::new(Terms::default()).placed_and_paid_at(0);
    let mut shipped = shop.clone();
    shop.changed(h(1), hold("fraud check"));
    shop.changed(h(2), cancel("fraud")).stands(Status::Cancelled, Clock::None);
    assert_eq!(shop.order().reason.as_ref().map(|reason| reason.as_str()), Some("fraud"));
    assert!(!shop.order().is_held() && shop.order().is_resting());
    shop.unchanged(h(3), cancel("another reason"));
    shipped.changed(h(1), ship());
    shipped.rejected(h(2), cancel("fraud"), Code::NotCancellable);
}

#[test]
fn a_refund_ends_an_order_from_its_payment_onwards() {
    let steps =
        [vec![], vec![ship()], vec![deliver()], vec![hold("dispute")], vec![receive(Cause::Buyer)]];
    for steps in steps {
        let mut shop = Shop::new(Terms { settle_after: Some(span("7d")), ..Terms::default() })
            .placed_and_paid_at(0);
        for step in steps {
            shop.changed(h(1), step);
        }
        shop.changed(h(2), refund()).stands(Status::Refunded, Clock::None);
        assert!(!shop.order().is_held() && shop.order().is_resting());
        shop.unchanged(h(3), refund());
        shop.unchanged(h(9_000), Command::Due);
    }
    Shop::new(Terms::default()).placed().rejected(0, refund(), Code::NotRefundable);
}

#[test]
fn a_completed_order_can_still_be_refunded() {
    let mut shop = Shop::new(Terms { settle_after: Some(span("7d")), ..Terms::default() })
        .placed_and_paid_at(0);
    shop.changed(h(24), Command::Due);
    shop.changed(h(24 + 7 * 24), Command::Due);
    shop.changed(h(1_000), refund()).stands(Status::Refunded, Clock::None);
}

#[test]
fn an_order_that_is_not_paid_in_time_is_cancelled() {
    let mut shop = Shop::new(Terms { pay_within: Some(span("30m")), ..Terms::default() }).placed();
    shop.unchanged(min(30) - 1, Command::Due);
    shop.changed(min(30), Command::Due).stands(Status::Cancelled, Clock::None);
    shop.event_is(2, EventKind::Cancelled, Cause::Timer);
    assert_eq!(shop.order().reason.as_ref().map(|reason| reason.as_str()), Some("payment_timeout"));
}

#[test]
fn an_order_that_is_not_shipped_in_time_is_cancelled() {
    let mut shop = Shop::new(Terms { ship_within: Some(span("72h")), ..from_delivery() })
        .placed_and_paid_at(0);
    shop.changed(h(72), Command::Due).stands(Status::Cancelled, Clock::None);
    assert_eq!(shop.order().reason.as_ref().map(|reason| reason.as_str()), Some("ship_timeout"));
}

#[test]
fn a_received_order_is_completed_after_settle_after() {
    let mut shop = Shop::new(Terms { settle_after: Some(span("7d")), ..Terms::default() })
        .placed_and_paid_at(0);
    shop.changed(h(30), Command::Due).runs(Status::Received, ClockKind::Settle, h(30 + 7 * 24));
    shop.changed(h(30 + 7 * 24), Command::Due).stands(Status::Completed, Clock::None);
    shop.event_is(3, EventKind::Completed, Cause::Timer);
}
