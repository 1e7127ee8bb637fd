//! A shop sends the commands of the copied pattern over a raw connection and cancels some orders at
//! random moments. There are two worker processes; one is killed. The long form:
//! `AUTORECEIVE_TEST_ORDERS=20000 cargo test --release --test it intake::load -- --nocapture`.

use std::path::Path;
use std::time::{Duration, Instant};

use autoreceive::bench::shop::{ObservedOrder, Scenario};
use autoreceive::bench::takeover::tally::{Done, Tally};
use tokio_util::sync::CancellationToken;

use super::kit::{TestShop, get};
use crate::support::process::{Process, eventually};

const WINDOW: Duration = Duration::from_secs(3);

/// Notifications of the shop's Redis about changed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notifications {
    Off,
    On,
    /// The listeners are disconnected repeatedly.
    Interrupted,
}

fn scenario() -> Scenario {
    let orders =
        std::env::var("AUTORECEIVE_TEST_ORDERS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    Scenario {
        orders,
        over: Duration::from_secs_f64(orders as f64 / 1_000.0).max(WINDOW),
        window: WINDOW,
        seed: rand::random(),
    }
}

/// Kills a worker in the middle of the scenario, and starts another one a moment later.
async fn kill_one(config: &Path, victim: Process, over: Duration) -> Process {
    tokio::time::sleep(over.mul_f64(0.6) + WINDOW).await;
    victim.kill();
    tokio::time::sleep(WINDOW).await;
    Process::serve(config).await
}

async fn cut_listeners(shop: &TestShop, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let _ = shop.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Runs the scenario, and returns the orders as the shop saw them.
async fn run(
    notifications: Notifications,
    scan_every: Duration,
) -> (Vec<ObservedOrder>, TestShop, Duration) {
    let flags = if notifications == Notifications::Off { "" } else { "K$" };
    let shop = TestShop::open(&["--notify-keyspace-events", flags, "--appendonly", "no"]).await;
    let intake = format!("scan_every = \"{}ms\"", scan_every.as_millis());
    let config = shop.config(&shop.own_redis(), &format!("{}ms", WINDOW.as_millis()), &intake);
    let first = Process::serve(&config).await;
    let second = Process::serve(&config).await;
    for worker in [&first, &second] {
        let works = async || get(worker, "/v1/stats").await["intake"]["listening"] == true;
        eventually("it listens", 20, works).await;
    }
    let scenario = scenario();
    let stop = CancellationToken::new();
    println!("{notifications:?}: {} orders, seed {}", scenario.orders, scenario.seed);
    let address = format!("127.0.0.1:{}", shop.redis.port);
    let killing = kill_one(&config, first, scenario.over);
    let ending = async {
        let third = killing.await;
        eventually("every order had its time", 300, async || {
            let stats = get(&second, "/v1/stats").await;
            let actions = stats["actions"].as_array().unwrap();
            stats["orders"]["PAID"] == 0 && actions.iter().all(|action| action["pending"] == 0)
        })
        .await;
        // A paid order that was not seen yet would be seen within one period.
        tokio::time::sleep(scan_every.min(Duration::from_secs(2)) + WINDOW).await;
        stop.cancel();
        third
    };
    let start = Instant::now();
    let cutting = async {
        if notifications == Notifications::Interrupted {
            cut_listeners(&shop, &stop).await;
        }
    };
    let (lives, _third, ()) = tokio::join!(scenario.run(&address, &stop), ending, cutting);
    (lives.unwrap(), shop, start.elapsed())
}

/// Checks all promises.
fn check(lives: &[ObservedOrder], shop: &TestShop) -> Tally {
    let done = Done::default();
    let mut refunded = 0;
    for delivery in shop.endpoint.deliveries() {
        let order = delivery.body["data"]["order"]["order_id"].as_str().unwrap().to_owned();
        match delivery.body["type"].as_str().unwrap() {
            "order.received" => done.note(&order, &delivery.id),
            "order.refunded" => refunded += 1,
            _ => {}
        }
    }
    let tally = Tally::of(lives, &done, WINDOW);
    println!("{}", tally.figures());
    assert_eq!(shop.endpoint.forged(), 0);
    assert_eq!(
        (tally.early, tally.never, tally.doubled, tally.lost, tally.overwritten),
        (0, 0, 0, 0, 0),
        "{tally:?}"
    );
    let too_late =
        lives.iter().filter(|life| life.cancelled_from.as_deref() == Some("RECEIVED")).count();
    assert!(refunded >= too_late, "{refunded} refunds for {too_late} cancels after the receipt");
    assert!(tally.cancelled > 0 && tally.paid > lives.len() / 2, "too little happened: {tally:?}");
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn without_notifications_a_killed_scanner_loses_no_paid_order() {
    let scan_ms =
        std::env::var("AUTORECEIVE_TEST_SCAN_MS").ok().map_or(1_000, |ms| ms.parse().unwrap());
    let (lives, shop, took) = run(Notifications::Off, Duration::from_millis(scan_ms)).await;
    let tally = check(&lives, &shop);
    println!("{took:?}, latest {:?} ms", tally.late_ms(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_notifications_no_order_waits_for_a_scan() {
    let (lives, shop, took) = run(Notifications::On, Duration::from_secs(600)).await;
    let tally = check(&lives, &shop);
    println!("{took:?}, latest {:?} ms", tally.late_ms(1.0));
    assert!(
        tally.late_ms(1.0).unwrap() < 60_000,
        "later than any notification, but no scan would have come for ten minutes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn repeatedly_closed_listeners_lose_nothing() {
    let (lives, shop, took) = run(Notifications::Interrupted, Duration::from_secs(1)).await;
    let tally = check(&lives, &shop);
    println!("{took:?}, latest {:?} ms", tally.late_ms(1.0));
}
