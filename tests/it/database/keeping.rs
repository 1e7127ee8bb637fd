//! The tables of orders and events.

use std::sync::Arc;

use autoreceive::action::{Action, Outcome};
use autoreceive::domain::words::Data;
use autoreceive::domain::{Clock, ClockKind, Event, Time};
use autoreceive::wire::event_json;

use super::kit::{START_MS, TestDb, TestOrder, done};

pub async fn an_order_has_the_state_after_its_newest_event(db: TestDb) {
    let mut life = TestOrder::new("주문-1", "u-7", 59_000);
    life.0.data = Some(Data::new(r#"{"sku":"가-1"}"#).unwrap());
    life.0.clock = Clock::Running {
        kind: ClockKind::Receive,
        deadline: Time::from_ms(START_MS + 250),
        remind_at: None,
    };
    let events = [life.placed(), life.paid()];
    done(&db.plain(), &events).await;
    let at = |ms: i64, column: &str| match db.is_postgres() {
        true => format!("extract(epoch FROM {column}) * 1000 = {}", START_MS + ms),
        false => format!("{column} = FROM_UNIXTIME({}.{:03})", (START_MS + ms) / 1_000, ms % 1_000),
    };
    let columns = "order_id, status, version, policy, buyer_id, amount, currency, data, \
        received_at";
    assert_eq!(
        db.one(&format!("SELECT {columns} FROM {{p}}orders")).await,
        r#"주문-1|PAID|2|default|u-7|59000|KRW|{"sku":"가-1"}|-"#
    );
    let times = [
        at(250, "deadline"),
        at(0, "placed_at"),
        at(86_400_000, "paid_at"),
        at(86_400_000, "updated_at"),
    ]
    .join(" AND ");
    let zone = if db.is_postgres() { "" } else { "SET time_zone = '+00:00'; " };
    assert_eq!(
        db.rows(&format!("{zone}SELECT order_id FROM {{p}}orders WHERE {times}")).await,
        ["주문-1"]
    );
    let recorded = db
        .rows(
            "SELECT event_id, order_id, version, type, cause, buyer_id, body FROM \
        {p}events ORDER BY version",
        )
        .await;
    let expected = |event: &Event, version: u64, kind: &str| {
        format!(
            "{}|주문-1|{version}|{kind}|{}|u-7|{}",
            event.id(),
            event.cause(),
            event_json(event)
        )
    };
    assert_eq!(
        recorded,
        [expected(&events[0], 1, "order.placed"), expected(&events[1], 2, "order.paid")]
    );
}

pub async fn a_repeat_changes_nothing(db: TestDb) {
    let events: Vec<Event> = (0..50)
        .flat_map(|n| {
            let life = TestOrder::new(&format!("A-{n}"), "u", n);
            [life.placed(), life.paid()]
        })
        .collect();
    let database = Arc::new(db.plain());
    done(&database, &events).await;
    let everything =
        ["SELECT * FROM {p}orders ORDER BY order_id", "SELECT * FROM {p}events ORDER BY event_id"];
    let before = [db.rows(everything[0]).await, db.rows(everything[1]).await];
    assert_eq!((before[0].len(), before[1].len()), (50, 100));
    let twice: Vec<Event> = events.iter().rev().chain(&events).cloned().collect();
    let repeats = (0..6).map(|_| {
        let database = database.clone();
        let twice = twice.clone();
        tokio::spawn(async move { done(&database, &twice).await })
    });
    for repeat in repeats.collect::<Vec<_>>() {
        repeat.await.unwrap();
    }
    assert_eq!([db.rows(everything[0]).await, db.rows(everything[1]).await], before);
}

pub async fn an_older_event_is_recorded_but_does_not_change_the_order(db: TestDb) {
    let database = db.plain();
    let life = TestOrder::new("A-1", "u", 1);
    for event in [life.received(), life.paid(), life.placed()] {
        done(&database, &[event]).await;
    }
    assert_eq!(db.one("SELECT status, version FROM {p}orders").await, "RECEIVED|3");
    assert_eq!(db.rows("SELECT version FROM {p}events ORDER BY version").await, ["1", "2", "3"]);
    let other = TestOrder::new("B-1", "u", 1);
    done(&database, &[other.paid(), other.placed()]).await;
    assert_eq!(db.one("SELECT status FROM {p}orders WHERE order_id = 'B-1'").await, "PAID");
}

pub async fn ids_that_differ_in_case_or_by_a_space_are_two_orders(db: TestDb) {
    let ids = ["a", "A", "a ", "á", "ａ"];
    let events: Vec<Event> = ids.iter().map(|id| TestOrder::new(id, "u", 1).placed()).collect();
    done(&db.plain(), &events).await;
    assert_eq!(db.rows("SELECT order_id FROM {p}orders").await.len(), ids.len());
    assert_eq!(db.rows("SELECT order_id FROM {p}events").await.len(), ids.len());
}

pub async fn every_valid_json_is_stored(db: TestDb) {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let large = format!("\"{}\"", "가".repeat(1_364));
    let texts = [
        r#""\u0000""#,
        r#""\ud83d\ude00 😀""#,
        "1e400",
        "123456789012345678901234567890",
        r#"{"a":1,"a":2}"#,
        "null",
        &deep,
        &large,
    ];
    for (n, text) in texts.iter().enumerate() {
        let mut life = TestOrder::new(&format!("A-{n}"), "u", 1);
        life.0.data = Some(Data::new(text).unwrap());
        done(&db.plain(), &[life.placed()]).await;
    }
    assert_eq!(db.rows("SELECT data FROM {p}orders ORDER BY order_id").await, texts);
}

pub async fn workers_that_start_together_create_the_tables_once(db: TestDb) {
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let database = db.plain();
            tokio::spawn(async move {
                done(&database, &[TestOrder::new(&format!("A-{n}"), "u", 1).placed()]).await
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(db.rows("SELECT version FROM {p}schema").await, ["1"]);
    assert_eq!(db.rows("SELECT order_id FROM {p}orders").await.len(), 8);
}

pub async fn tables_of_a_newer_version_are_not_changed(db: TestDb) {
    let life = TestOrder::new("A-1", "u", 1);
    done(&db.plain(), &[life.placed()]).await;
    db.rows("INSERT INTO {p}schema (version) VALUES (99)").await;
    let outcome = db.plain().attempt(&[life.paid()]).await.remove(0);
    assert!(
        matches!(&outcome, Outcome::Retry { why, .. } if why.contains("version 99")),
        "{outcome:?}"
    );
    assert_eq!(db.one("SELECT status FROM {p}orders").await, "PENDING_PAYMENT");
}
