//! The retry contract, with a test clock, a real engine, a real webhook and an endpoint that
//! answers as its path says. Every wait is the documented one, plus up to 10 %.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use autoreceive::action::outgoing::Limits;
use autoreceive::action::webhook::Webhook;
use autoreceive::action::{Endpoint, Subscription};
use autoreceive::domain::{EventKind, Place, Policy, Span, Terms, Time};
use autoreceive::engine::Engine;
use autoreceive::store::Store;
use autoreceive_store_sqlite::SqliteStore;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;

use crate::support::endpoint::SECRET;
use crate::support::process::eventually;

/// As docs/promises.md says: 5 s, 30 s, 2 min, 10 min, 1 h, 3 h, then every 6 h.
const DOCUMENTED: [i64; 7] = [5, 30, 120, 600, 3_600, 10_800, 21_600];
const HOUR: i64 = 3_600;
/// Different from every wait, so that a leased entry differs from a waiting one.
const LEASE_SECONDS: u64 = 50 * 60;
/// The engine's copy of the store's time may be this old: the latency of the store's answer.
const BEHIND_MS: i64 = 500;
/// The longest time on a busy machine from the arrival of an attempt until its entry is settled.
const BUSY_MS: i64 = 4_000;

/// When an attempt arrived, and when the next one is due, if there is one.
struct Attempt {
    at: Time,
    due: Option<Time>,
}

impl Attempt {
    fn waits(&self, least: i64, most: i64) {
        let waits = self.due.expect("another attempt").ms() - self.at.ms();
        assert!(
            (least * 1_000 - BEHIND_MS..=most * 1_000 + BUSY_MS).contains(&waits),
            "{waits} ms, not {least} to {most} s"
        );
    }
}

/// The endpoint's answer to attempt `number`, from 1.
fn answer(way: &str, number: usize) -> (StatusCode, HeaderMap) {
    let (status, headers): (u16, &[(&str, &str)]) = match (way, number) {
        ("down", _) => (500, &[]),
        ("elsewhere", _) => (302, &[("location", "/down")]),
        ("gone", _) => (410, &[]),
        ("busy", 1 | 2) => (429, &[("retry-after", "7200")]),
        ("hurried", 1) => (429, &[("retry-after", "1")]),
        ("closed", 1) => (
            503,
            &[
                ("date", "Mon, 23 Nov 2026 10:00:00 GMT"),
                ("retry-after", "Mon, 23 Nov 2026 14:30:00 GMT"),
            ],
        ),
        ("greedy", 1) => (429, &[("retry-after", "999999")]),
        ("odd", 1) => (429, &[("retry-after", "tomorrow")]),
        _ => (204, &[]),
    };
    let headers =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    (
        StatusCode::from_u16(status).unwrap(),
        headers
            .collect::<Vec<(axum::http::HeaderName, axum::http::HeaderValue)>>()
            .into_iter()
            .collect(),
    )
}

/// Runs the whole life of one event. Returns its attempts, and whether it is dead at the end.
async fn attempts(way: &'static str) -> (Vec<Attempt>, bool) {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(
        SqliteStore::open_with_test_clock(
            &directory.path().join("orders.db"),
            Duration::from_secs(30),
        )
        .unwrap(),
    );
    let arrivals = Arc::new(Mutex::new(Vec::<Time>::new()));
    let clock = store.clone();
    let log = arrivals.clone();
    let take = move |Path(way): Path<String>| async move {
        let now = clock.now().await.unwrap();
        let mut log = log.lock().unwrap();
        log.push(now);
        answer(&way, log.len())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{way}", listener.local_addr().unwrap());
    tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/{way}", post(take))).await },
    );

    let limits = Limits { allow_private: true, ..Limits::default() };
    let webhook = Webhook::new(&url, &[SECRET.parse().unwrap()], &limits).unwrap();
    let mut shop = Subscription::new("shop".parse().unwrap(), webhook).on(&[EventKind::Placed]);
    shop.lease = Duration::from_secs(LEASE_SECONDS);
    shop.endpoint = Some(Endpoint { disable_after: Some(Duration::from_secs(3 * 24 * 3_600)) });
    let policy = Policy::new("default", Terms::default()).unwrap();
    let engine = Engine::builder(store.clone())
        .policy(policy)
        .action(shop)
        .check_every(Duration::from_millis(20))
        .start();
    engine.submit("A-1".parse().unwrap(), Place::new().into()).await.unwrap();

    let mut attempts: Vec<Attempt> = Vec::new();
    let dead = loop {
        eventually("an attempt is made", 60, async || {
            arrivals.lock().unwrap().len() > attempts.len()
        })
        .await;
        let at = arrivals.lock().unwrap()[attempts.len()];
        if let Some(due) = attempts.last().and_then(|last| last.due) {
            assert!(
                (due.ms()..due.ms() + BUSY_MS).contains(&at.ms()),
                "{} ms after it was due",
                at.ms() - due.ms()
            );
        }
        let mut due = None;
        let leased =
            |due: Time| (due.ms() - at.ms() - LEASE_SECONDS as i64 * 1_000).abs() < 2 * BUSY_MS;
        eventually("the attempt is settled", 60, async || {
            due = engine.stats().await.unwrap().actions[0].next_at;
            due.is_none_or(|due| !leased(due))
        })
        .await;
        attempts.push(Attempt { at, due });
        let figures = engine.stats().await.unwrap();
        match due {
            None => break figures.actions[0].dead == 1,
            Some(due) => drop(engine.advance(due.since(figures.now)).await.unwrap()),
        }
        assert!(attempts.len() < 40, "it never ends");
    };
    let made = attempts.len();
    engine.advance(Span::from_hours(75)).await.unwrap();
    engine.advance(Span::from_hours(75)).await.unwrap();
    engine.stop(Duration::from_secs(10)).await;
    assert_eq!(arrivals.lock().unwrap().len(), made, "an attempt after the last one");
    (attempts, dead)
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_retried_at_the_documented_times_and_dead_after_72_hours() {
    for way in ["down", "elsewhere"] {
        let (attempts, dead) = attempts(way).await;
        assert!(dead && (16..=18).contains(&attempts.len()), "{way}: {} attempts", attempts.len());
        let first = attempts[0].at.ms();
        for (i, attempt) in attempts.iter().take(attempts.len() - 1).enumerate() {
            let wait = DOCUMENTED[i.min(DOCUMENTED.len() - 1)];
            let left = (first + 72 * HOUR * 1_000 - attempt.at.ms()) / 1_000;
            // Waits never pass 72 hours, so the last one may be shorter.
            attempt.waits(wait.min(left), (wait + wait / 10).min(left + 1));
        }
        let spent = attempts[attempts.len() - 1].at.ms() - first;
        // Another wait of 6 h would pass 72 hours.
        assert!(
            (66 * HOUR * 1_000..=72 * HOUR * 1_000 + BUSY_MS).contains(&spent),
            "{way}: the last attempt {} h after the first",
            spent / HOUR / 1_000
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_attempted_once_if_the_endpoint_is_gone() {
    let (attempts, dead) = attempts("gone").await;
    assert!(dead && attempts.len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_lengthens_a_wait_and_never_shortens_it() {
    // The schedule would be sooner: Retry-After counts, to the second.
    let (busy, dead) = attempts("busy").await;
    assert!(!dead && busy.len() == 3);
    busy[0].waits(7_200, 7_200);
    busy[1].waits(7_200, 7_200);
    // A date counts from the endpoint's own `Date`.
    let (closed, _) = attempts("closed").await;
    closed[0].waits(4 * HOUR + 1_800, 4 * HOUR + 1_800);
    // A day at most.
    let (greedy, _) = attempts("greedy").await;
    greedy[0].waits(24 * HOUR, 24 * HOUR);
    // If Retry-After is sooner than the schedule, or unreadable, the schedule counts.
    for way in ["hurried", "odd"] {
        let (attempts, dead) = attempts(way).await;
        assert!(!dead && attempts.len() == 2);
        attempts[0].waits(5, 6);
    }
}
