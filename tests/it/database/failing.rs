//! Events that cannot be written, temporarily or permanently.

use std::time::{Duration, Instant};

use autoreceive::action::database::{Database, DatabaseSettings};
use autoreceive::action::{Action, Outcome};
use autoreceive::domain::Event;

use super::kit::{TestDb, TestOrder, balanced, done};
use crate::support::process::free_port;

/// A batch of 200 orders; the database refuses those with the given numbers.
async fn batch_with_poison(db: &TestDb, poisonous: &[u64]) {
    let database = db.with_points("1/1");
    done(&database, &[TestOrder::new("first", "u", 1_000).placed()]).await;
    db.rows("ALTER TABLE {p}orders ADD CONSTRAINT {p}no_poison CHECK (amount <> 13)").await;
    let amount = |n| if poisonous.contains(&n) { 13 } else { 1 };
    let events: Vec<Event> =
        (0..200).map(|n| TestOrder::new(&format!("A-{n:03}"), "u", amount(n)).received()).collect();
    for (n, outcome) in (0..).zip(database.attempt(&events).await) {
        match outcome {
            Outcome::Dead { why } => {
                assert!(poisonous.contains(&n) && why.contains("no_poison"), "{n}: {why}")
            }
            outcome => {
                assert!(outcome == Outcome::Done && !poisonous.contains(&n), "{n}: {outcome:?}")
            }
        }
    }
    let written = 200 - poisonous.len();
    assert_eq!(
        db.one("SELECT COUNT(*) FROM {p}orders WHERE status = 'RECEIVED'").await,
        written.to_string()
    );
    // The refused events left no row.
    assert_eq!(
        db.one("SELECT COUNT(*) FROM {p}events WHERE type = 'order.received'").await,
        written.to_string()
    );
    assert_eq!(balanced(&database).await.ledger, written as i128);
}

pub async fn one_poison_event_does_not_block_its_batch(db: TestDb) {
    batch_with_poison(&db, &[117]).await;
}

pub async fn several_poison_events_are_found_by_splitting_the_batch(db: TestDb) {
    batch_with_poison(&db, &[0, 1, 99, 100, 199]).await;
}

pub async fn a_database_that_is_down_is_retried(db: TestDb) {
    let mut url: reqwest::Url = db.settings().url.parse().unwrap();
    url.set_port(Some(free_port())).unwrap();
    url.set_password(Some("canary")).unwrap();
    let settings =
        DatabaseSettings { url: url.into(), timeout: Duration::from_millis(500), ..db.settings() };
    let away = Database::new(&settings, Vec::new(), None).unwrap();
    let events: Vec<Event> =
        (0..20).map(|n| TestOrder::new(&format!("A-{n}"), "u", 1).placed()).collect();
    for outcome in away.attempt(&events).await {
        assert!(
            matches!(&outcome, Outcome::Retry { why, .. } if !why.contains("canary")),
            "{outcome:?}"
        );
    }
}

pub async fn a_missing_permission_is_retried(db: TestDb) {
    let database = db.plain();
    let life = TestOrder::new("A-1", "u", 1);
    done(&database, &[life.placed()]).await;
    db.rows("ALTER TABLE {p}orders RENAME TO {p}away").await;
    let outcome = database.attempt(&[life.paid()]).await.remove(0);
    assert!(
        matches!(&outcome, Outcome::Retry { why, .. } if why.contains("SQLSTATE 42")),
        "{outcome:?}"
    );
    db.rows("ALTER TABLE {p}away RENAME TO {p}orders").await;
    done(&database, &[life.paid()]).await;
}

pub async fn an_event_that_is_too_large_for_the_database_is_dead_and_others_are_written(
    db: TestDb,
) {
    let database = db.with_points("2/1");
    let amounts = [u64::MAX, i64::MAX as u64, 1];
    let events =
        amounts.map(|amount| TestOrder::new(&format!("A-{amount}"), "u", amount).received());
    let outcomes = database.attempt(&events).await;
    assert!(
        matches!(&outcomes[0], Outcome::Dead { why } if why.contains("amount")),
        "{outcomes:?}"
    );
    assert!(
        matches!(&outcomes[1], Outcome::Dead { why } if why.contains("points")),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[2], Outcome::Done);
    assert!(matches!(database.attempt(&events[..1]).await[..], [Outcome::Dead { .. }]));
    assert_eq!(balanced(&database).await.ledger, 2);
}

/// Two workers write while `crash` kills and restarts the server. Failed events are repeated until
/// they are written.
pub async fn a_crash_loses_and_doubles_nothing<S: Send + 'static>(
    db: TestDb,
    crash: impl FnOnce() -> S + Send + 'static,
) {
    const ORDERS: usize = 2_000;
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let database = db.with_points("1/1");
            let events: Vec<Event> = (0..ORDERS)
                .map(|n| {
                    TestOrder::new(&format!("A-{}", (n + worker * 700) % ORDERS), "u", 7).received()
                })
                .collect();
            tokio::spawn(async move { insist(&database, events).await })
        })
        .collect();
    let start = Instant::now();
    while db.rows("SELECT 1").await.is_empty() || written(&db).await < ORDERS / 4 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is written");
    }
    let _server = tokio::task::spawn_blocking(crash).await.unwrap();
    let mut failures = 0;
    for worker in workers {
        failures += worker.await.unwrap();
    }
    assert!(failures > 0, "the crash was not noticed");
    let report = balanced(&db.with_points("1/1")).await;
    assert_eq!((report.events, report.entries, report.ledger), (2_000, 2_000, 14_000));
    assert_eq!(db.one("SELECT COUNT(*) FROM {p}orders WHERE status = 'RECEIVED'").await, "2000");
}

async fn written(db: &TestDb) -> usize {
    let exists = if db.is_postgres() { "current_schema()" } else { "DATABASE()" };
    let tables = format!(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = \
        {exists} AND table_name = '{{p}}events'"
    );
    if db.one(&tables).await == "0" {
        0
    } else {
        db.one("SELECT COUNT(*) FROM {p}events").await.parse().unwrap()
    }
}

/// Attempts batches of ten until every event is done. Returns the number of failed attempts.
async fn insist(database: &Database, events: Vec<Event>) -> usize {
    let mut failures = 0;
    let start = Instant::now();
    for batch in events.chunks(10) {
        let mut left = batch.to_vec();
        while !left.is_empty() {
            let outcomes = database.attempt(&left).await;
            let failed: Vec<Event> = left
                .iter()
                .zip(&outcomes)
                .filter(|(_, outcome)| **outcome != Outcome::Done)
                .map(|(event, _)| event.clone())
                .collect();
            assert!(
                !outcomes.iter().any(|outcome| matches!(outcome, Outcome::Dead { .. })),
                "{outcomes:?}"
            );
            assert!(start.elapsed() < Duration::from_secs(120), "still failing: {outcomes:?}");
            failures += failed.len();
            left = failed;
        }
    }
    failures
}
