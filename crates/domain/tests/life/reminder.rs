//! Reminders before the receipt.

use autoreceive_domain::{Cause, Clock, Command, EventKind, Status, Terms};

use crate::support::{Shop, extend, h, hold, release, span};

fn reminding() -> Terms {
    Terms {
        receive_after: span("7d"),
        remind_before: vec![span("1h"), span("24h"), span("48h")],
        ..Terms::default()
    }
}

#[test]
fn one_reminder_is_sent_at_each_configured_time_before_the_deadline() {
    let mut shop = Shop::new(reminding()).placed_and_paid_at(0);
    for (version, remind_at) in [(2, h(120)), (3, h(144)), (4, h(167))] {
        shop.unchanged(remind_at - 1, Command::Due);
        shop.changed(remind_at, Command::Due);
        shop.event_is(version, EventKind::ReceiveReminder, Cause::Timer);
        assert_eq!(
            (shop.order().status, shop.order().clock.deadline()),
            (Status::Paid, Some(shop.at(h(168))))
        );
    }
    shop.changed(h(168), Command::Due).stands(Status::Received, Clock::None);
}

#[test]
fn several_missed_reminders_are_sent_as_one() {
    let mut shop = Shop::new(reminding()).placed_and_paid_at(0);
    shop.changed(h(150), Command::Due);
    shop.event_is(2, EventKind::ReceiveReminder, Cause::Timer);
    assert_eq!(shop.order().next_due_at(), Some(shop.at(h(167))));
}

#[test]
fn after_the_deadline_no_reminder_is_sent() {
    let mut shop = Shop::new(reminding()).placed_and_paid_at(0);
    shop.changed(h(168), Command::Due).stands(Status::Received, Clock::None);
    shop.event_is(2, EventKind::Received, Cause::Timer);
}

#[test]
fn a_reminder_due_before_the_report_of_the_payment_is_sent_immediately() {
    let mut shop = Shop::new(reminding()).placed();
    shop.changed(h(130), Command::Pay { at: Some(shop.at(0)) });
    assert_eq!(shop.order().next_due_at(), Some(shop.at(h(120))));
    shop.changed(h(130), Command::Due);
    shop.event_is(3, EventKind::ReceiveReminder, Cause::Timer);
    assert_eq!(shop.order().next_due_at(), Some(shop.at(h(144))));
}

#[test]
fn an_extended_or_released_order_is_reminded_before_its_new_deadline() {
    let mut shop = Shop::new(Terms { max_extensions: 1, extend_by: span("72h"), ..reminding() })
        .placed_and_paid_at(0);
    shop.changed(h(150), Command::Due);
    shop.changed(h(151), extend(1));
    assert_eq!(shop.order().next_due_at(), Some(shop.at(h(240 - 48))));
    shop.changed(h(200), hold("dispute"));
    shop.changed(h(300), release("dispute"));
    assert_eq!(shop.order().next_due_at(), Some(shop.at(h(340 - 24))));
}
