//! A shop that sends the commands of the copied pattern over a raw connection, some orders
//! cancelled at random moments, to two worker processes of which one is killed.
//! `AUTORECEIVE_TEST_ORDERS=20000 cargo test --release --test it intake::load -- --nocapture` is
//! the long form.

use std::path::Path;
use std::time::{Duration, Instant};

use autoreceive::bench::shop::{Life, Play};
use autoreceive::bench::takeover::tally::{Done, Tally};
use tokio_util::sync::CancellationToken;

use super::kit::{Shop, get};
use crate::support::process::{Process, eventually};

const WINDOW: Duration = Duration::from_secs(3);

/// How the shop's Redis tells of changed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Off,
    On,
    /// The listeners are cut off again and again.
    Cut,
}

fn play() -> Play {
    let orders =
        std::env::var("AUTORECEIVE_TEST_ORDERS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    Play {
        orders,
        over: Duration::from_secs_f64(orders as f64 / 1_000.0).max(WINDOW),
        window: WINDOW,
        seed: rand::random(),
    }
}

/// A worker is killed in the middle of it all, and another one started a moment later.
async fn kill_one(config: &Path, victim: Process, over: Duration) -> Process {
    tokio::time::sleep(over.mul_f64(0.6) + WINDOW).await;
    victim.kill();
    tokio::time::sleep(WINDOW).await;
    Process::serve(config).await
}

async fn cut_listeners(shop: &Shop, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let _ = shop.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Plays, and returns what the shop saw.
async fn played(telling: Telling, scan_every: Duration) -> (Vec<Life>, Shop, Duration) {
    let flags = if telling == Telling::Off { "" } else { "K$" };
    let shop = Shop::open(&["--notify-keyspace-events", flags, "--appendonly", "no"]).await;
    let intake = format!("scan_every = \"{}ms\"", scan_every.as_millis());
    let config = shop.config(&shop.own_redis(), &format!("{}ms", WINDOW.as_millis()), &intake);
    let first = Process::serve(&config).await;
    let second = Process::serve(&config).await;
    for worker in [&first, &second] {
        let works = async || get(worker, "/v1/stats").await["intake"]["listening"] == true;
        eventually("it listens", 20, works).await;
    }
    let play = play();
    let stop = CancellationToken::new();
    println!("{telling:?}: {} orders, seed {}", play.orders, play.seed);
    let address = format!("127.0.0.1:{}", shop.redis.port);
    let killing = kill_one(&config, first, play.over);
    let ending = async {
        let third = killing.await;
        eventually("every order had its time", 300, async || {
            let stats = get(&second, "/v1/stats").await;
            let actions = stats["actions"].as_array().unwrap();
            stats["orders"]["PAID"] == 0 && actions.iter().all(|action| action["pending"] == 0)
        })
        .await;
        // Paid orders that nobody has seen yet would be seen within a period.
        tokio::time::sleep(scan_every.min(Duration::from_secs(2)) + WINDOW).await;
        stop.cancel();
        third
    };
    let start = Instant::now();
    let cutting = async {
        if telling == Telling::Cut {
            cut_listeners(&shop, &stop).await;
        }
    };
    let (lives, _third, ()) = tokio::join!(play.run(&address, &stop), ending, cutting);
    (lives.unwrap(), shop, start.elapsed())
}

/// Everything that must hold, whenever the shop's Redis told what.
fn check(lives: &[Life], shop: &Shop) -> Tally {
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
    let (lives, shop, took) = played(Telling::Off, Duration::from_millis(scan_ms)).await;
    let tally = check(&lives, &shop);
    println!("{took:?}, latest {:?} ms", tally.late_ms(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_notifications_no_order_waits_for_a_scan() {
    let (lives, shop, took) = played(Telling::On, Duration::from_secs(600)).await;
    let tally = check(&lives, &shop);
    println!("{took:?}, latest {:?} ms", tally.late_ms(1.0));
    assert!(
        tally.late_ms(1.0).unwrap() < 60_000,
        "later than any notification, but no scan would \
        have come for ten minutes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn repeatedly_closed_listeners_lose_nothing() {
    let (lives, shop, took) = played(Telling::Cut, Duration::from_secs(1)).await;
    let tally = check(&lives, &shop);
    println!("{took:?}, latest {:?} ms", tally.late_ms(1.0));
}
