//! A store with a test clock: an advance takes effect on every worker, and a shop's store has no
//! such clock.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoreceive::domain::{Command as Asked, EventKind, OrderId, Policy, Span, Status, Terms};
use autoreceive::engine::Engine;
use autoreceive::store::{CommitResult, OpenError, Queue, StoreError, View, Which, Why};
use autoreceive_store_redis::{RedisSettings, RedisStore};
use autoreceive_store_sqlite::SqliteStore;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::endpoint::{ShopEndpoint, webhook};
use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;
use autoreceive_store::conformance::kit::*;

/// A place for stores, opened one after another or several at a time.
enum Ground {
    Sqlite(TempDir),
    Redis(RedisServer),
}

impl Ground {
    fn all() -> [Ground; 2] {
        [Ground::Sqlite(tempdir().unwrap()), Ground::Redis(RedisServer::start(&[]))]
    }

    /// Opens the store. A file that was just closed can stay locked for a moment: a child process
    /// that another test has just forked has it open until its exec.
    async fn open(&self, test_clock: bool) -> Result<SharedStore, OpenError> {
        let begun = Instant::now();
        loop {
            match self.try_open(test_clock).await {
                Err(error)
                    if error.to_string().contains("another process")
                        && begun.elapsed() < Duration::from_secs(30) =>
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                result => return result,
            }
        }
    }

    async fn try_open(&self, test_clock: bool) -> Result<SharedStore, OpenError> {
        Ok(match self {
            Ground::Sqlite(directory) => {
                let path = directory.path().join("orders.db");
                let timeout = Duration::from_secs(30);
                let open =
                    if test_clock { SqliteStore::open_with_test_clock } else { SqliteStore::open };
                Arc::new(open(&path, timeout)?)
            }
            Ground::Redis(server) => {
                let settings =
                    RedisSettings { url: server.url(), test_clock, ..RedisSettings::default() };
                Arc::new(RedisStore::open(settings).await?)
            }
        })
    }

    async fn refusal(&self, test_clock: bool) -> String {
        self.open(test_clock).await.err().expect("it is refused").to_string()
    }
}

#[tokio::test]
async fn a_store_keeps_the_kind_of_clock_it_was_created_with() {
    for ground in Ground::all() {
        assert!(ground.open(true).await.unwrap().about().test_clock);
        assert!(ground.refusal(false).await.contains("it was created with --test-clock"));
        assert!(ground.open(true).await.is_ok());
    }
    for ground in Ground::all() {
        let store = ground.open(false).await.unwrap();
        assert!(!store.about().test_clock);
        assert!(matches!(store.advance(hours(1)).await, Err(StoreError::Clock(_))));
        drop(store);
        assert!(ground.refusal(true).await.contains("it was created without --test-clock"));
        assert!(ground.open(false).await.is_ok());
    }
}

#[tokio::test]
async fn an_advance_is_permanent_and_has_an_upper_limit() {
    for ground in Ground::all() {
        let store = ground.open(true).await.unwrap();
        let before = now(&store).await;
        let clock = store.advance(hours(25)).await.unwrap();
        assert_eq!(clock.ahead, hours(25));
        assert!(clock.now >= before.after(hours(25)) && clock.now < before.after(hours(26)));
        drop(store);
        let store = ground.open(true).await.unwrap();
        assert!(now(&store).await >= clock.now);
        assert_eq!(store.advance(Span::ZERO).await.unwrap().ahead, hours(25));
        let left = Span::from_ms(Span::LONGEST.ms() - hours(25).ms());
        let too_far = store.advance(Span::from_ms(left.ms() + 1)).await;
        assert!(matches!(too_far, Err(StoreError::Clock(why)) if why.contains("3653d")));
        assert_eq!(store.advance(left).await.unwrap().ahead, Span::LONGEST);
        let all =
            futures_util::future::join_all((0..4).map(|_| store.advance(Span::from_ms(1)))).await;
        assert!(all.iter().all(Result::is_err));
    }
}

#[tokio::test]
async fn every_answer_of_the_store_has_the_new_time() {
    for ground in Ground::all() {
        let store = ground.open(true).await.unwrap();
        let start = now(&store).await;
        keep(&store, vec![paid(&id("A-1"), start, start)]).await;
        keep_entry(&store, "e1", start.after(hours(20))).await;
        assert!(
            due_ids(&store).await.is_empty() && claim(&store, hours(1)).await.entries.is_empty()
        );

        let later = store.advance(hours(25)).await.unwrap().now;
        assert_eq!(due_ids(&store).await, ["A-1"]);
        let claimed = claim(&store, hours(1)).await;
        assert_eq!(
            (entry_ids(&claimed.entries), claimed.now >= later),
            (vec!["e1".to_owned()], true)
        );
        let page = store.list(View::Overdue, None, 10).await.unwrap();
        assert!(page.items.len() == 1 && page.now >= later);
        let stats = store.stats().await.unwrap();
        assert!(stats.overdue == 1 && stats.now >= later);
        let loaded = store.load(&[id("A-1")]).await.remove(0).unwrap();
        let dead = Queue::dead(&sync());
        let dead = store.entries(&dead, Which::Page { cursor: None, limit: 1 }).await.unwrap();
        assert!(loaded.now >= later && dead.now >= later);
        assert!(store.list(View::Resting, None, 1).await.unwrap().now >= later);

        // The test clock also applies to leases, new and renewed ones.
        store.renew(&sync(), &[claimed.entries[0].entry.clone()], hours(3)).await.unwrap();
        store.advance(hours(2)).await.unwrap();
        assert!(claim(&store, hours(1)).await.entries.is_empty());
        store.advance(hours(2)).await.unwrap();
        assert_eq!(entry_ids(&claim(&store, hours(1)).await.entries), ["e1"]);
    }
}

#[tokio::test]
async fn a_decision_from_before_an_advance_cannot_be_committed_after_it() {
    for ground in Ground::all() {
        let store = ground.open(true).await.unwrap();
        // On Redis the other worker has its own connections, and gets no message.
        let other = if let Ground::Redis(_) = ground {
            ground.open(true).await.unwrap()
        } else {
            store.clone()
        };
        let decided = now(&store).await;
        other.advance(hours(25)).await.unwrap();
        let change = placed(&id("A-1"), decided);
        let commit = commit(&store, decided, vec![change]).await;
        let stale = CommitResult::Conflict { losers: Vec::new(), why: Why::Stale };
        assert_eq!(result(&store, commit).await, stale);
        assert!(loaded(&store, &id("A-1")).await.is_none());
        let again = now(&store).await;
        keep(&store, vec![placed(&id("A-1"), again)]).await;
    }
}

fn engine(store: &SharedStore, check_every: Duration) -> Engine {
    let policy = Policy::new("default", Terms::default()).unwrap();
    Engine::builder(store.clone()).policy(policy).check_every(check_every).start()
}

async fn place_and_pay(engine: &Engine, id: &OrderId) {
    for command in [Asked::Place(Box::new(place())), Asked::Pay { at: None }] {
        engine.submit(id.clone(), command).await.unwrap();
    }
}

async fn status(engine: &Engine, id: &OrderId) -> Status {
    engine.show(id).await.unwrap().unwrap().0.status
}

#[tokio::test]
async fn an_advance_takes_effect_at_once_on_its_worker_and_nothing_is_received_early() {
    for ground in Ground::all() {
        let store = ground.open(true).await.unwrap();
        // It checks for due orders only once, so that only the advance can wake it.
        let engine = engine(&store, Duration::from_secs(3_600));
        let order = id("A-1");
        place_and_pay(&engine, &order).await;
        let deadline = engine.show(&order).await.unwrap().unwrap().0.clock.deadline().unwrap();
        engine.advance(Span::from_ms(hours(24).ms() - 60_000)).await.unwrap();
        assert_eq!((due_ids(&store).await.len(), status(&engine, &order).await), (0, Status::Paid));
        engine.advance(Span::from_secs(120)).await.unwrap();
        eventually("the order is received", 30, async || {
            status(&engine, &order).await == Status::Received
        })
        .await;
        let received = engine.show(&order).await.unwrap().unwrap().0;
        assert!(received.kind == EventKind::Received && received.changed_at >= deadline);
        engine.stop(Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn an_advance_by_one_worker_takes_effect_on_the_other() {
    let ground = Ground::Redis(RedisServer::start(&[]));
    let store = ground.open(true).await.unwrap();
    let other_store = ground.open(true).await.unwrap();
    let asked = engine(&store, Duration::from_secs(1));
    let other = engine(&other_store, Duration::from_millis(100));
    let orders: Vec<OrderId> = (0..200).map(|i| id(&format!("A-{i}"))).collect();
    for order in &orders {
        place_and_pay(&other, order).await;
    }
    // Only the other worker still runs, and it gets no message about the advance.
    asked.stop(Duration::from_secs(10)).await;
    asked.advance(hours(25)).await.unwrap();
    let all = async || {
        store
            .stats()
            .await
            .unwrap()
            .totals
            .iter()
            .any(|(kind, _, n)| *kind == EventKind::Received && *n == 200)
    };
    eventually("all are received", 30, all).await;
    for order in &orders {
        let received = store
            .load(std::slice::from_ref(order))
            .await
            .remove(0)
            .unwrap()
            .value
            .unwrap()
            .unwrap();
        assert_eq!((received.status, received.version), (Status::Received, 3));
    }
    // Its commands are decided with the new time at once.
    let late = id("late");
    place_and_pay(&other, &late).await;
    let deadline = other.show(&late).await.unwrap().unwrap().0.clock.deadline().unwrap();
    assert!(deadline > now(&store).await.after(hours(23)));
    other.stop(Duration::from_secs(10)).await;
}

async fn autoreceive(directory: &Path, url: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoreceive"));
    command
        .args(args)
        .env("AUTORECEIVE_URL", url)
        .env("TZ", "UTC")
        .current_dir(directory)
        .stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn post(url: &str, path: &str, body: Value) -> (u16, Value) {
    let request = reqwest::Client::new()
        .post(format!("{url}{path}"))
        .header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn an_order_with_a_window_of_24_h_is_received_and_delivered_after_clock_advance_25h() {
    let directory = tempdir().unwrap();
    let endpoint = ShopEndpoint::start().await;
    let config = directory.path().join("shop.toml");
    let action = webhook("shop", &endpoint.url, "");
    std::fs::write(&config, format!("[store]\nurl = \"sqlite:staging.db\"\n{action}")).unwrap();
    let service = Process::serve_with(&config, &["--test-clock"]).await;
    let ready =
        reqwest::get(format!("{}/readyz", service.url)).await.unwrap().text().await.unwrap();
    assert_eq!(ready, "ok (test clock)\n");
    assert!(std::fs::read_to_string(config.with_extension("log")).unwrap().contains("TEST CLOCK"));

    post(&service.url, "/v1/orders", json!({"order_id": "A-1", "buyer_id": "u-7"})).await;
    post(&service.url, "/v1/orders/A-1/pay", json!({})).await;
    for (wrong, status, field) in [
        (json!({"advance": "-1h"}), 422, "advance"),
        (json!({"advance": "soon"}), 422, "advance"),
        (json!({"advance": 5}), 400, "advance"),
        (json!({}), 400, "advance"),
        (json!({"back": "1h"}), 400, "back"),
    ] {
        let (found, problem) = post(&service.url, "/v1/test/clock", wrong.clone()).await;
        assert_eq!((found, problem["field"].as_str()), (status, Some(field)), "{wrong}: {problem}");
    }
    let shown = autoreceive(directory.path(), &service.url, &["clock", "advance", "25h"]).await;
    assert!(
        shown.status.success() && String::from_utf8_lossy(&shown.stdout).ends_with("1d 1h ahead\n"),
        "{shown:?}"
    );
    eventually("the shop gets the webhook", 30, async || endpoint.orders() == 1).await;
    let body = &endpoint.deliveries()[0].body;
    assert_eq!(
        (body["type"].as_str(), body["data"]["order"]["status"].as_str()),
        (Some("order.received"), Some("RECEIVED"))
    );
    let too_far = autoreceive(directory.path(), &service.url, &["clock", "advance", "3653d"]).await;
    assert!(
        too_far.status.code() == Some(3)
            && String::from_utf8_lossy(&too_far.stderr).contains("3653d in all"),
        "{too_far:?}"
    );
    assert!(service.terminate().await.success());

    let args = ["serve", "--config", "shop.toml", "--listen", "127.0.0.1:0"];
    let refused = autoreceive(directory.path(), "http://127.0.0.1:1", &args).await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(1) && why.contains("created with --test-clock"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_service_without_a_test_clock_has_no_such_route_and_its_store_refuses_the_flag() {
    let directory = tempdir().unwrap();
    let config = directory.path().join("shop.toml");
    std::fs::write(&config, "[store]\nurl = \"sqlite:shop.db\"\n").unwrap();
    let service = Process::serve(&config).await;
    for body in [json!({"advance": "25h"}), json!({}), json!([])] {
        let (status, problem) = post(&service.url, "/v1/test/clock", body).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("not_found")));
    }
    let refused = autoreceive(directory.path(), &service.url, &["clock", "advance", "25h"]).await;
    assert!(
        refused.status.code() == Some(3)
            && String::from_utf8_lossy(&refused.stderr).contains("--test-clock"),
        "{refused:?}"
    );
    let ready =
        reqwest::get(format!("{}/readyz", service.url)).await.unwrap().text().await.unwrap();
    assert_eq!(ready, "ok\n");
    assert!(service.terminate().await.success());
    let args = ["serve", "--config", "shop.toml", "--listen", "127.0.0.1:0", "--test-clock"];
    let refused = autoreceive(directory.path(), "http://127.0.0.1:1", &args).await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(1) && why.contains("created without --test-clock"),
        "{refused:?}"
    );
}
