//! A failing endpoint is slowed down, disabled and enabled again. All workers share one circuit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use autoreceive::action::{Action, Endpoint, Outcome, Subscription};
use autoreceive::domain::{Event, EventKind, Place, Policy, Span, Terms};
use autoreceive::engine::Engine;
use autoreceive::store::{ActionStats, Store};
use autoreceive_store_redis::{RedisSettings, RedisStore};
use autoreceive_store_sqlite::SqliteStore;

use crate::support::process::eventually;
use crate::support::redis_server::RedisServer;

/// An endpoint that fails until `accept(true)`, and counts attempts.
#[derive(Clone, Default)]
struct FailingEndpoint {
    accepts: Arc<AtomicBool>,
    attempts: Arc<AtomicU64>,
    /// Event id → number of accepted attempts.
    accepted: Arc<Mutex<BTreeMap<String, u64>>>,
}

#[async_trait]
impl Action for FailingEndpoint {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        self.attempts.fetch_add(events.len() as u64, Ordering::SeqCst);
        if !self.accepts.load(Ordering::SeqCst) {
            return vec![Outcome::retry("503"); events.len()];
        }
        let mut accepted = self.accepted.lock().unwrap();
        for event in events {
            *accepted.entry(event.id()).or_default() += 1;
        }
        vec![Outcome::Done; events.len()]
    }
}

impl FailingEndpoint {
    fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::SeqCst)
    }

    fn accept(&self, accepts: bool) {
        self.accepts.store(accepts, Ordering::SeqCst);
    }
}

fn worker(store: &Arc<dyn Store>, endpoint: &FailingEndpoint) -> Engine {
    let mut subscription =
        Subscription::new("shop".parse().unwrap(), endpoint.clone()).on(&[EventKind::Placed]);
    subscription.batch = 10;
    subscription.endpoint =
        Some(Endpoint { disable_after: Some(Duration::from_secs(3 * 24 * 3_600)) });
    let policies = [Policy::new("default", Terms::default()).unwrap()];
    Engine::builder(store.clone())
        .policies(policies)
        .action(subscription)
        .check_every(Duration::from_millis(50))
        .start()
}

async fn place(engine: &Engine, ids: impl Iterator<Item = String>) {
    let placed = ids.map(|id| engine.submit(id.parse().unwrap(), Place::new().into()));
    for reply in futures_util::future::join_all(placed).await {
        reply.unwrap();
    }
}

async fn shop(engine: &Engine) -> ActionStats {
    engine
        .actions()
        .await
        .unwrap()
        .actions
        .into_iter()
        .find(|action| action.name.as_str() == "shop")
        .unwrap()
}

/// The states of an endpoint during an outage.
async fn an_outage(store: Arc<dyn Store>) {
    let endpoint = FailingEndpoint::default();
    let one = worker(&store, &endpoint);
    let two = worker(&store, &endpoint);
    place(&one, (0..600).map(|i| format!("A-{i}"))).await;
    eventually("it is known to fail", 30, async || {
        shop(&two).await.circuit.failing_since.is_some()
    })
    .await;
    // Each worker may have four attempts of ten events in flight at the start. After that it
    // attempts one event at a time, with backoff. Without the circuit there would be 600 attempts
    // every five seconds.
    place(&two, (600..1_000).map(|i| format!("A-{i}"))).await;
    assert!(
        endpoint.attempts() < 300,
        "{} attempts at an endpoint that is down",
        endpoint.attempts()
    );
    assert_eq!((shop(&one).await.pending > 0, shop(&one).await.dead), (true, 0));

    one.advance(Span::from_hours(73)).await.unwrap();
    eventually("it is disabled", 60, async || shop(&one).await.circuit.disabled_at.is_some()).await;
    for worker in [one, two] {
        worker.stop(Duration::from_secs(10)).await;
    }

    // A new worker knows the state and attempts neither old nor new events, even much later.
    let three = worker(&store, &endpoint);
    let before = endpoint.attempts();
    place(&three, (1_000..1_100).map(|i| format!("A-{i}"))).await;
    three.advance(Span::from_hours(30 * 24)).await.unwrap();
    let action: autoreceive::store::ActionName = "shop".parse().unwrap();
    eventually("all entries are due", 30, async || shop(&three).await.next_at.is_some()).await;
    let dead = shop(&three).await.dead;
    assert_eq!(endpoint.attempts(), before);
    // Only the few events that were attempted until the endpoint was disabled are dead.
    assert!(dead < 20, "{dead} dead letters");

    // After `enable` all events are sent, and an event with many attempts is not given up at its
    // next failure.
    assert!(three.enable(&action).await.unwrap());
    assert!(!three.enable(&action).await.unwrap());
    eventually("it is attempted again", 30, async || endpoint.attempts() > before).await;
    assert_eq!(shop(&three).await.dead, dead);
    endpoint.accept(true);
    three.advance(Span::from_hours(1)).await.unwrap();
    eventually("everything has arrived", 90, async || {
        // An event that failed again waits for its next attempt.
        three.advance(Span::from_hours(1)).await.unwrap();
        shop(&three).await.pending == 0
    })
    .await;
    assert_eq!(endpoint.accepted.lock().unwrap().len() as u64 + dead, 1_100);
    eventually("it no longer counts as failing", 30, async || {
        shop(&three).await.circuit.failing_since.is_none()
    })
    .await;
    three.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_an_endpoint_that_is_down_is_slowed_down_disabled_and_enabled_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_with_test_clock(
        &directory.path().join("orders.db"),
        Duration::from_secs(30),
    )
    .unwrap();
    an_outage(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_an_endpoint_that_is_down_is_slowed_down_disabled_and_enabled_again() {
    let server = RedisServer::start(&[]);
    let settings =
        RedisSettings { url: server.url(), test_clock: true, ..RedisSettings::default() };
    an_outage(Arc::new(RedisStore::open(settings).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_recovers_gets_everything_at_full_speed() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let endpoint = FailingEndpoint::default();
    let engine = worker(&store, &endpoint);
    place(&engine, (0..2_000).map(|i| format!("A-{i}"))).await;
    eventually("it is slowed down", 30, async || endpoint.attempts() >= 20).await;
    endpoint.accept(true);
    // One event per second would take more than half an hour. Failed events wait 5 s.
    eventually("everything has arrived", 60, async || {
        endpoint.accepted.lock().unwrap().len() == 2_000
    })
    .await;
    engine.stop(Duration::from_secs(10)).await;
}
