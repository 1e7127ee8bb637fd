use std::sync::Arc;

use autoreceive_domain::command::Verb;
use autoreceive_domain::decide::{Decision, decide, decide_absent};
use autoreceive_domain::{Cause, Command, Event, Order, Policy, Span, Terms, Time};
use serde_json::{Value, json};

use super::OrderView;
use crate::command::read_command;
use crate::{EventView, event_json};

const NOON: i64 = 1_795_435_200_000;

fn terms() -> Terms {
    Terms {
        remind_before: vec![Span::from_hours(6)],
        pay_within: Some(Span::from_hours(1)),
        ..Terms::default()
    }
}

fn changed(decision: Decision) -> Order {
    match decision {
        Decision::Changed(order) => Arc::unwrap_or_clone(order),
        other => panic!("{other:?}"),
    }
}

fn placed(fields: Value) -> Order {
    let policy = Policy::new("default", terms()).unwrap();
    let fields = fields.to_string();
    let command = read_command(Verb::Place, fields.as_bytes(), &[]).unwrap();
    let id = "A-1".parse().unwrap();
    changed(decide_absent(&id, &command, Time::from_ms(NOON), Some(&policy)))
}

fn then(order: &Order, command: &Command) -> Order {
    changed(decide(order, command, Time::from_ms(NOON), &terms()))
}

fn view(order: &Order) -> Value {
    serde_json::to_value(OrderView::from(order)).unwrap()
}

#[test]
fn a_placed_order_shows_the_fields_that_were_sent_and_no_others() {
    let order = placed(
        json!({"buyer_id": "B-7", "amount": 59000, "currency": "KRW", "receive_after": "36h",
            "data": {"b": [1, 2], "a": null}}),
    );
    let expected = json!({
        "order_id": "A-1", "status": "PENDING_PAYMENT", "version": 1,
        "policy": "default", "policy_revision": order.revision.as_str(),
        "buyer_id": "B-7", "amount": 59000, "currency": "KRW",
        "data": {"b": [1, 2], "a": null}, "receive_after": "36h",
        "placed_at": "2026-11-23T12:00:00.000Z", "updated_at": "2026-11-23T12:00:00.000Z",
        "last_event": {"type": "order.placed", "cause": "shop"}, "extensions": 0,
        "clock": {"kind": "pay", "state": "running", "deadline": "2026-11-23T13:00:00.000Z"},
        "holds": [],
    });
    assert_eq!(view(&order), expected);
}

#[test]
fn a_running_clock_shows_its_deadline_and_reminder_and_a_paused_one_its_remaining_time() {
    let paid = then(&placed(json!({"buyer_id": "B-7"})), &Command::Pay { at: None });
    let clock = json!({"kind": "receive", "state": "running",
        "deadline": "2026-11-24T12:00:00.000Z", "next_reminder_at": "2026-11-24T06:00:00.000Z"});
    assert_eq!(view(&paid)["clock"], clock);
    let held = view(&then(
        &paid,
        &Command::Hold { id: "d-1".parse().unwrap(), reason: "dispute".parse().unwrap() },
    ));
    assert_eq!(held["clock"], json!({"kind": "receive", "state": "paused", "remaining": "1d"}));
    assert_eq!(
        held["holds"],
        json!([{"id": "d-1", "reason": "dispute", "since": "2026-11-23T12:00:00.000Z"}])
    );
}

#[test]
fn an_order_without_a_clock_shows_null() {
    let paid = then(&placed(json!({"buyer_id": "B-7"})), &Command::Pay { at: None });
    let received = view(&then(&paid, &Command::Receive { by: Cause::Buyer }));
    assert_eq!(received["clock"], Value::Null);
    assert_eq!(received["received_at"], "2026-11-23T12:00:00.000Z");
    assert_eq!(received["last_event"], json!({"type": "order.received", "cause": "buyer"}));
}

#[test]
fn an_order_shows_its_terms_if_they_are_given() {
    let order = placed(json!({"buyer_id": "B-7"}));
    let shown = serde_json::to_value(OrderView::with_terms(&order, &terms())).unwrap();
    assert_eq!(
        shown["terms"],
        json!({"pay_within": "1h", "starts_at": "paid", "receive_after": "1d",
            "remind_before": ["6h"], "max_extensions": 0, "extend_by": "3d",
            "release_grace": "1d", "retain_for": "30d"})
    );
}

#[test]
fn an_event_carries_the_order_after_the_change() {
    let order = placed(json!({"buyer_id": "B-7", "data": "<script>"}));
    let shown: Value = serde_json::from_str(&event_json(&Event(Arc::new(order.clone())))).unwrap();
    let expected = json!({
        "id": "A-1:1", "type": "order.placed", "timestamp": "2026-11-23T12:00:00.000Z",
        "data": {"cause": "shop", "order": view(&order)},
    });
    assert_eq!(shown, expected);
}

#[test]
fn a_client_reads_a_response_and_writes_the_same_text() {
    let fields = json!({"buyer_id": "B-7", "amount": 1, "currency": "KRW", "receive_after": "36h",
        "data": {"z": 1.10, "a": [12_345_678_901_u64], "b": null}});
    let paid = then(&placed(fields), &Command::Pay { at: None });
    let hold = Command::Hold { id: "d-1".parse().unwrap(), reason: "dispute".parse().unwrap() };
    let held = then(&paid, &hold);
    let received = then(&paid, &Command::Receive { by: Cause::Buyer });
    for order in [paid, held, received] {
        let text = serde_json::to_string(&OrderView::with_terms(&order, &terms())).unwrap();
        let read: OrderView = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let text = event_json(&Event(Arc::new(order)));
        let read: EventView = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
