//! Points: exactly once in effect, exact to the unit.

use std::collections::HashMap;
use std::sync::Arc;

use autoreceive::action::database::Database;
use autoreceive::action::{Action, Outcome};
use autoreceive::domain::Event;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::kit::{TestDb, TestOrder, balanced, done};

const LEDGER: &str = "SELECT order_id, kind, event_id, buyer_id, points FROM {p}ledger ORDER BY \
    order_id, kind";

pub async fn a_receipt_is_credited_exactly_once(db: TestDb) {
    let database = Arc::new(db.with_points("1/100"));
    let life = TestOrder::new("A-1", "u-7", 59_099);
    let attempts: Vec<_> = (0..12)
        .map(|_| {
            let database = database.clone();
            let event = life.received();
            tokio::spawn(async move { done(&database, &[event]).await })
        })
        .collect();
    for attempt in attempts {
        attempt.await.unwrap();
    }
    assert_eq!(db.rows(LEDGER).await, ["A-1|credit|A-1:3|u-7|590"]);
    assert_eq!(db.rows("SELECT buyer_id, points FROM {p}balances").await, ["u-7|590"]);
    balanced(&database).await;
}

pub async fn a_refund_takes_back_the_credited_points_after_a_change_of_the_rate_too(db: TestDb) {
    let life = TestOrder::new("A-1", "u-7", 59_000);
    done(&db.with_points("1/100"), &[life.received()]).await;
    let later = db.with_points("1/2");
    for _ in 0..3 {
        done(&later, &[life.refunded(), life.received()]).await;
    }
    assert_eq!(db.rows(LEDGER).await, ["A-1|credit|A-1:3|u-7|590", "A-1|debit|A-1:4|u-7|-590"]);
    assert_eq!(db.rows("SELECT points FROM {p}balances").await, ["0"]);
    balanced(&later).await;
}

pub async fn a_receipt_after_its_refund_does_nothing(db: TestDb) {
    let database = db.with_points("1/100");
    let life = TestOrder::new("A-1", "u-7", 59_000);
    done(&database, &[life.refunded()]).await;
    done(&database, &[life.received()]).await;
    assert_eq!(db.rows(LEDGER).await, ["A-1|credit|A-1:4|u-7|0", "A-1|debit|A-1:4|u-7|0"]);
    assert_eq!(db.rows("SELECT points FROM {p}balances").await, [""; 0]);
    balanced(&database).await;
}

pub async fn receipt_and_refund_of_one_batch_cancel_each_other(db: TestDb) {
    let database = db.with_points("1/100");
    let life = TestOrder::new("A-1", "u-7", 59_000);
    done(&database, &[life.refunded(), life.received()]).await;
    assert_eq!(db.rows(LEDGER).await, ["A-1|credit|A-1:3|u-7|590", "A-1|debit|A-1:4|u-7|-590"]);
    balanced(&database).await;
}

pub async fn racing_and_repeated_receipts_and_refunds_leave_no_points(db: TestDb) {
    let lives: Vec<TestOrder> = (0..40)
        .map(|n| TestOrder::new(&format!("A-{n}"), &format!("u-{}", n % 3), 1_000 + n))
        .collect();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let database = db.with_points("1/10");
            let mut random = StdRng::seed_from_u64(worker);
            let mut events: Vec<Event> = lives
                .iter()
                .flat_map(|life| [life.received(), life.refunded(), life.received()])
                .collect();
            events.shuffle(&mut random);
            tokio::spawn(async move {
                for batch in events.chunks(7) {
                    insist(&database, batch).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let report = balanced(&db.with_points("1/10")).await;
    assert_eq!((report.events, report.entries, report.ledger), (80, 80, 0));
    assert_eq!(db.one("SELECT COUNT(*) FROM {p}balances WHERE points <> 0").await, "0");
}

/// Repeats events that conflicted with another batch too often, as the relay does.
async fn insist(database: &Database, events: &[Event]) {
    let mut left = events.to_vec();
    for _ in 0..50 {
        let outcomes = database.attempt(&left).await;
        assert!(
            !outcomes.iter().any(|outcome| matches!(outcome, Outcome::Dead { .. })),
            "{outcomes:?}"
        );
        left = left
            .into_iter()
            .zip(outcomes)
            .filter(|(_, outcome)| *outcome != Outcome::Done)
            .map(|(event, _)| event)
            .collect();
        if left.is_empty() {
            return;
        }
    }
    panic!("{} events cannot be written", left.len());
}

pub async fn sums_are_exact_over_random_orders_written_by_two_workers_in_any_order(db: TestDb) {
    let orders =
        std::env::var("AUTORECEIVE_TEST_ORDERS").map_or(3_000, |text| text.parse().unwrap());
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut expected: HashMap<String, i128> = HashMap::new();
    let mut events = Vec::new();
    for n in 0..orders {
        let buyer = format!("u-{}", random.random_range(0..50));
        let amount = random.random_range(0..1_u64 << 53);
        let life = TestOrder::new(&format!("A-{n}"), &buyer, amount);
        let refunded = random.random_bool(0.2);
        // A refunded order has no points, whether its receipt or its refund is written first.
        let lived = [life.placed(), life.received()];
        events.extend(lived.into_iter().chain(refunded.then(|| life.refunded())));
        *expected.entry(buyer).or_default() +=
            if refunded { 0 } else { i128::from(amount) * 7 / 300 };
    }
    let shuffled: Vec<_> = (0..2)
        .map(|_| {
            events.shuffle(&mut random);
            (db.with_points("7/300"), events.clone())
        })
        .collect();
    let workers: Vec<_> = shuffled
        .into_iter()
        .map(|(database, events)| {
            tokio::spawn(async move {
                for batch in events.chunks(150) {
                    insist(&database, batch).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for line in db.rows("SELECT buyer_id, points FROM {p}balances").await {
        let (buyer, points) = line.split_once('|').unwrap();
        assert_eq!(
            expected.remove(buyer).map(|sum| sum.to_string()).as_deref(),
            Some(points),
            "{buyer}"
        );
    }
    assert!(expected.values().all(|sum| *sum == 0), "buyers without a balance: {expected:?}");
    let report = balanced(&db.with_points("7/300")).await;
    assert_eq!(report.events, events.len() as u64);
}

/// Receipts that were recorded before points were enabled are listed separately, and credited if
/// they are repeated.
pub async fn receipts_from_before_points_were_enabled_are_not_differences(db: TestDb) {
    let lives: Vec<TestOrder> =
        (0..3).map(|n| TestOrder::new(&format!("A-{n}"), "u-7", 59_000)).collect();
    done(&db.plain(), &[lives[0].received(), lives[1].received(), lives[1].refunded()]).await;
    let database = db.with_points("1/100");
    // Nothing was ever booked, and the report says so.
    assert_eq!(database.reconcile().await.unwrap().differences.len(), 3);
    db.rows("UPDATE {p}events SET recorded_at = '2026-01-01 00:00:00'").await;
    done(&database, &[lives[2].received()]).await;
    let report = balanced(&database).await;
    assert_eq!((report.earlier, report.entries, report.ledger), (2, 1, 590));
    done(&database, &[lives[0].received(), lives[1].refunded()]).await;
    let report = balanced(&database).await;
    assert_eq!((report.earlier, report.entries, report.ledger), (0, 4, 2 * 590));
}

/// The check must be able to fail: it finds each planted difference, and none after the repair.
pub async fn every_kind_of_difference_is_found(db: TestDb) {
    let database = db.with_points("1/1");
    let lives: Vec<TestOrder> =
        (0..4).map(|n| TestOrder::new(&format!("A-{n}"), &format!("u-{n}"), 100)).collect();
    let events: Vec<Event> =
        lives.iter().map(TestOrder::received).chain([lives[3].refunded()]).collect();
    done(&database, &events).await;
    balanced(&database).await;
    let insert = |what: &str| {
        format!(
            "INSERT INTO {{p}}ledger (order_id, kind, event_id, buyer_id, points) VALUES {what}"
        )
    };
    let cases = [
        ("UPDATE {p}balances SET points = 101 WHERE buyer_id = 'u-0'", "a balance", "u-0", 1),
        ("DELETE FROM {p}balances WHERE buyer_id = 'u-1'", "a balance", "u-1", 1),
        ("DELETE FROM {p}ledger WHERE order_id = 'A-2'", "a receipt has no credit", "A-2:3", 2),
        (
            "DELETE FROM {p}ledger WHERE order_id = 'A-3' AND kind = 'debit'",
            "a refund after the receipt has no debit",
            "A-3:4",
            2,
        ),
        ("UPDATE {p}ledger SET points = -99 WHERE kind = 'debit'", "a debit is not", "A-3:4", 2),
        (
            "DELETE FROM {p}events WHERE event_id = 'A-0:3'",
            "an entry of the ledger has no event",
            "A-0:3",
            1,
        ),
        (
            "UPDATE {p}ledger SET event_id = 'A-3:4' WHERE order_id = 'A-3'",
            "a credit that a refund made",
            "A-3:4",
            1,
        ),
        (
            &insert("('A-0', 'debit', 'A-0:3', 'u-0', -100)"),
            "an entry of the ledger has no event",
            "A-0:3",
            2,
        ),
    ];
    db.rows("CREATE TABLE {p}l AS SELECT * FROM {p}ledger").await;
    db.rows("CREATE TABLE {p}b AS SELECT * FROM {p}balances").await;
    db.rows("CREATE TABLE {p}e AS SELECT * FROM {p}events").await;
    for (plant, problem, subject, count) in cases {
        db.rows(plant).await;
        let found = database.reconcile().await.unwrap().differences;
        assert_eq!(found.len(), count, "{plant}: {found:?}");
        assert!(
            found
                .iter()
                .any(|found| found.problem.starts_with(problem) && found.subject == subject),
            "{plant}: {found:?}"
        );
        for (table, copy) in [("ledger", "l"), ("balances", "b"), ("events", "e")] {
            db.rows(&format!("DELETE FROM {{p}}{table}")).await;
            db.rows(&format!("INSERT INTO {{p}}{table} SELECT * FROM {{p}}{copy}")).await;
        }
        balanced(&database).await;
    }
}
