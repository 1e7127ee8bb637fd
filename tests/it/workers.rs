//! Workers share the shards, and take over those of a dead worker.

use std::sync::Arc;
use std::time::Duration;

use autoreceive::bench::bench_store::{BenchStore, Filling};
use autoreceive::bench::worker::Workers;
use autoreceive::domain::Span;
use autoreceive::store::Store;
use indicatif::ProgressBar;

use crate::support::process::eventually;

/// Half a second, doubled for a busy machine.
const BOUND_MS: u64 = 1_000;

async fn max_lag_beside_dead_workers(target: BenchStore) -> u64 {
    let store: Arc<dyn Store> = target.store.clone();
    for ghost in ["ghost-1", "ghost-2", "ghost-3"] {
        store.heartbeat(ghost, Span::FIVE_SECONDS).await.unwrap();
    }
    let deadline = store.now().await.unwrap().after(Span::from_secs(1));
    let progress = ProgressBar::hidden();
    target
        .fill(Filling { deadline: &|_| deadline, ..Filling::of(1_000) }, &progress)
        .await
        .unwrap();
    let workers = Workers::start(&target, 1, 200).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), workers.drain(&target, 1_000, &progress))
        .await
        .unwrap()
        .unwrap();
    let lag = workers.noop.lag_ms();
    workers.stop().await;
    println!("{lag}");
    assert_eq!(lag["early"], 0);
    lag["max"].as_u64().unwrap()
}

#[tokio::test]
async fn a_worker_that_stops_leaves_the_list_of_the_living_at_once() {
    let target = BenchStore::open(None).await.unwrap();
    let living = async || target.store.heartbeat("observer", Span::FIVE_SECONDS).await.unwrap();
    let workers = Workers::start(&target, 2, 200).await.unwrap();
    eventually("both are known", 10, async || living().await.len() == 3).await;
    workers.stop().await;
    assert_eq!(living().await, ["observer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orders_of_a_dead_worker_are_received_within_half_a_second() {
    let lag_ms = max_lag_beside_dead_workers(BenchStore::open(None).await.unwrap()).await;
    assert!(lag_ms < BOUND_MS, "{lag_ms} ms");
}
