//! The shop's own statements.

use std::sync::Arc;

use autoreceive::action::{Action, Outcome};
use autoreceive::domain::Event;
use autoreceive::domain::words::Data;

use super::kit::{TestDb, TestOrder, done};

/// A shop's own table with the orders A-0, A-1, … as placed.
async fn shop(db: &TestDb, orders: usize) {
    let time = if db.is_postgres() { "timestamp with time zone" } else { "datetime(3)" };
    db.rows(&format!(
        "CREATE TABLE {{p}}shop (number varchar(40) PRIMARY KEY, state varchar(20), \
         seen int DEFAULT 0, total bigint, received {time}, extra text, \
         version bigint DEFAULT 0, CHECK (total <> 13))"
    ))
    .await;
    let rows: Vec<String> = (0..orders).map(|n| format!("('A-{n}')")).collect();
    db.rows(&format!("INSERT INTO {{p}}shop (number) VALUES {}", rows.join(", "))).await;
}

const UPDATE: &str = "
    -- ':order_id' in a comment is not a parameter
    UPDATE {p}shop SET state = :status, seen = seen + 1, total = :amount,
        received = :received_at, extra = :data
    WHERE number = :order_id AND ':x' <> 'a;b';
    UPDATE {p}shop SET state = state
    WHERE number = :event_id OR number = :event_type OR number = :buyer_id OR number = :currency";

pub async fn the_shops_own_statement_runs_once_for_each_event(db: TestDb) {
    shop(&db, 50).await;
    let database = Arc::new(db.with_statement(UPDATE));
    let mut lives: Vec<TestOrder> =
        (0..50).map(|n| TestOrder::new(&format!("A-{n}"), "u", 100 + n)).collect();
    lives[7].0.data = Some(Data::new(r#"{"a": "b"}"#).unwrap());
    lives[8].0.amount = None;
    let events: Vec<Event> = lives.iter().map(TestOrder::received).collect();
    let attempts: Vec<_> = (0..6)
        .map(|_| {
            let database = database.clone();
            let events = events.clone();
            tokio::spawn(async move { done(&database, &events).await })
        })
        .collect();
    for attempt in attempts {
        attempt.await.unwrap();
    }
    done(&database, &events).await;
    assert_eq!(
        db.one("SELECT COUNT(*) FROM {p}shop WHERE seen = 1 AND state = 'RECEIVED'").await,
        "50"
    );
    let zone = if db.is_postgres() {
        "received = '2026-11-25T00:00:00Z'"
    } else {
        "received = '2026-11-25 00:00:00'"
    };
    assert_eq!(db.one(&format!("SELECT COUNT(*) FROM {{p}}shop WHERE {zone}")).await, "50");
    assert_eq!(
        db.one("SELECT total, extra FROM {p}shop WHERE number = 'A-7'").await,
        r#"107|{"a": "b"}"#
    );
    assert_eq!(db.one("SELECT total, extra FROM {p}shop WHERE number = 'A-8'").await, "-|-");
    // The statement replaces the table of orders.
    assert_eq!(db.one("SELECT COUNT(*) FROM {p}orders").await, "0");
}

pub async fn a_statement_can_ignore_older_events(db: TestDb) {
    shop(&db, 1).await;
    let sql = "UPDATE {p}shop SET state = :status, version = :version WHERE number = :order_id \
        AND version < :version";
    let database = db.with_statement(sql);
    let life = TestOrder::new("A-0", "u", 1);
    for event in [life.received(), life.paid(), life.placed()] {
        done(&database, &[event]).await;
    }
    assert_eq!(db.one("SELECT state, version FROM {p}shop").await, "RECEIVED|3");
}

pub async fn only_the_event_that_the_statement_refuses_is_dead(db: TestDb) {
    shop(&db, 20).await;
    let database = db.with_statement(UPDATE);
    let events: Vec<Event> =
        (0..20).map(|n| TestOrder::new(&format!("A-{n}"), "u", n).received()).collect();
    let outcomes = database.attempt(&events).await;
    assert!(
        matches!(&outcomes[13], Outcome::Dead { why } if why.contains("SQLSTATE 23")),
        "{:?}",
        outcomes[13]
    );
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count(), 19);
    assert_eq!(db.one("SELECT COUNT(*) FROM {p}shop WHERE seen = 1").await, "19");
    // The event is not recorded. After the shop has fixed the constraint, a replay runs the
    // statement.
    assert_eq!(db.one("SELECT COUNT(*) FROM {p}events WHERE order_id = 'A-13'").await, "0");
}

pub async fn a_wrong_statement_is_retried(db: TestDb) {
    shop(&db, 1).await;
    let life = TestOrder::new("A-0", "u", 1);
    let outcome = db
        .with_statement("UPDATE {p}shop SET no_such_column = :status")
        .attempt(&[life.received()])
        .await
        .remove(0);
    assert!(
        matches!(&outcome, Outcome::Retry { why, .. } if why.contains("no_such_column")),
        "{outcome:?}"
    );
    done(&db.with_statement(UPDATE), &[life.received()]).await;
    assert_eq!(db.one("SELECT seen FROM {p}shop").await, "1");
}
