//! Orders written per second. The short form only checks that the benchmark runs. The long form:
//! `AUTORECEIVE_BENCH_ORDERS=100000 cargo test --release database::bench -- --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use autoreceive::domain::Event;

use super::kit::{TestDb, TestOrder, balanced, done};
use crate::support::mariadb::MariaDbProcess;
use crate::support::postgres::PostgresProcess;

/// The action's default concurrency and batch.
const CONCURRENCY: usize = 4;
const BATCH: usize = 200;

async fn measure(what: &str, db: TestDb) {
    let orders =
        std::env::var("AUTORECEIVE_BENCH_ORDERS").map_or(2_000, |text| text.parse().unwrap());
    let database = Arc::new(db.with_points("1/100"));
    let buyer = |n: usize| format!("u-{}", n.wrapping_mul(2_654_435_761) % (orders / 4));
    let events: Vec<Event> = (0..orders)
        .map(|n| TestOrder::new(&format!("2026-{n:08}"), &buyer(n), 59_000).received())
        .collect();
    done(&database, &[TestOrder::new("first", "u", 1).placed()]).await;
    let start = Instant::now();
    let workers: Vec<_> = events
        .chunks(orders.div_ceil(CONCURRENCY))
        .map(|part| {
            let database = database.clone();
            let part = part.to_vec();
            tokio::spawn(async move {
                for batch in part.chunks(BATCH) {
                    done(&database, batch).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {orders} orders with points in {seconds:.2} s, {:.0} orders/s",
        orders as f64 / seconds
    );
    assert_eq!(balanced(&database).await.ledger, orders as i128 * 590);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_with_points_into_postgres() {
    let server = PostgresProcess::start(&[]);
    measure("PostgreSQL", TestDb::at(server.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_with_points_into_mariadb() {
    let server = MariaDbProcess::start(&[]);
    measure("MariaDB", TestDb::at(server.url())).await;
}
