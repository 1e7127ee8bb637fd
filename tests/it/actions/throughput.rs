//! The speed of webhooks, and the effect of an endpoint that is down on others. The short form only
//! checks that the benchmark runs. The long form: `AUTORECEIVE_TEST_EVENTS=30000
//! AUTORECEIVE_TEST_SECONDS=10 AUTORECEIVE_TEST_ROUNDS=5 cargo test --release throughput --
//! --nocapture --test-threads 1`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::endpoint::webhook;
use crate::support::listener::Listener;
use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;

/// A port without a listener.
const DOWN: &str = "http://127.0.0.1:1/";

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

fn config(directory: &Path, store: &str, actions: &[String]) -> PathBuf {
    let path = directory.join("shop.toml");
    std::fs::write(
        &path,
        format!("[store]\nurl = \"{store}\"\n[log]\nlevel = \"warn\"\n{}", actions.concat()),
    )
    .unwrap();
    path
}

/// An endpoint that accepts connections and never answers.
async fn hanging() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    url
}

/// Shared by all tests, because creating a client takes longer than most measured calls.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);

async fn post_json(url: &str, path: &str, body: String, of_type: &str) -> String {
    let request = CLIENT.post(format!("{url}{path}")).header("content-type", of_type).body(body);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success());
    answer.text().await.unwrap()
}

async fn place(url: &str, range: std::ops::Range<usize>) {
    let line = |i| {
        let data = json!({"phone": "010-1234-5678", "cart": i});
        let order = json!({
            "order_id": format!("T-{i:07}"),
            "command": "place",
            "buyer_id": format!("b-{i}"),
            "amount": 59_000,
            "currency": "KRW",
            "data": data,
            "paid_at": "2026-01-01T00:00:00Z",
            "receive_after": "3000d",
        });
        format!("{order}\n")
    };
    let ids: Vec<usize> = range.collect();
    for part in ids.chunks(10_000) {
        let answer = post_json(
            url,
            "/v1/commands",
            part.iter().map(|&i| line(i)).collect(),
            "application/x-ndjson",
        )
        .await;
        assert_eq!(answer.matches("\"changed\"").count(), part.len());
    }
}

/// The number of pending entries of an action.
async fn pending(url: &str, name: &str) -> u64 {
    let text = reqwest::get(format!("{url}/v1/actions")).await.unwrap().text().await.unwrap();
    let actions: Value = serde_json::from_str(&text).unwrap();
    let action = actions["actions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|action| action["name"] == name)
        .cloned();
    action.map_or(0, |action| action["pending"].as_u64().unwrap())
}

/// All orders fall due at once. Returns the orders per second that were received and delivered to
/// `shop`.
async fn herd(store: &str, directory: &Path, actions: &[String], events: usize) -> f64 {
    let service = Process::serve_with(&config(directory, store, actions), &["--test-clock"]).await;
    place(&service.url, 0..events).await;
    let began = Instant::now();
    for by in ["2000d", "1100d"] {
        post_json(
            &service.url,
            "/v1/test/clock",
            json!({ "advance": by }).to_string(),
            "application/json",
        )
        .await;
    }
    eventually("all of them are received and delivered", 600, async || {
        let text =
            reqwest::get(format!("{}/v1/stats", service.url)).await.unwrap().text().await.unwrap();
        let stats: Value = serde_json::from_str(&text).unwrap();
        stats["waiting"] == 0 && pending(&service.url, "shop").await == 0
    })
    .await;
    let seconds = began.elapsed().as_secs_f64();
    let metrics =
        reqwest::get(format!("{}/metrics", service.url)).await.unwrap().text().await.unwrap();
    let done = metrics.lines().find_map(|line| {
        line.strip_prefix("autoreceive_attempts_total{action=\"shop\",result=\"done\"} ")
    });
    assert_eq!(done, Some(&*events.to_string()));
    events as f64 / seconds
}

async fn webhooks_per_second(name: &str, store: impl Fn() -> String) {
    let events = number("AUTORECEIVE_TEST_EVENTS", 500);
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&["--json"]).await;
    let rate = herd(
        &store(),
        directory.path(),
        &[webhook("shop", &listener.url, "on = [\"order.received\"]")],
        events,
    )
    .await;
    println!(
        "{name}: {events} orders received and delivered to `autoreceive listen`: {rate:.0} a \
        second"
    );
    assert_eq!(listener.printed().lines().count(), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_delivered_from_redis() {
    let redis = RedisServer::start(&[]);
    webhooks_per_second("Redis", || redis.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_delivered_from_sqlite() {
    webhooks_per_second("SQLite", || "sqlite:shop.db".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_or_is_down_does_not_slow_down_others() {
    let events = number("AUTORECEIVE_TEST_EVENTS", 500);
    let rounds = number("AUTORECEIVE_TEST_ROUNDS", 1);
    let neighbours = [
        ("alone", None),
        ("beside one that hangs", Some(hanging().await)),
        ("beside one that is down", Some(DOWN.into())),
    ];
    let mut rates = vec![Vec::new(); neighbours.len()];
    // In turn, so that other load on the machine affects all of them.
    for _ in 0..rounds {
        for (rates, (_, bad)) in rates.iter_mut().zip(&neighbours) {
            let redis = RedisServer::start(&[]);
            let directory = tempfile::tempdir().unwrap();
            let listener = Listener::start(&["--json"]).await;
            let mut actions = vec![webhook("shop", &listener.url, "on = [\"order.received\"]")];
            actions.extend(
                bad.as_ref().map(|url: &String| webhook("bad", url, "on = [\"order.received\"]")),
            );
            rates.push(herd(&redis.url(), directory.path(), &actions, events).await);
        }
    }
    for ((name, _), mut rates) in neighbours.into_iter().zip(rates) {
        rates.sort_unstable_by(f64::total_cmp);
        println!(
            "{name}: {:.0} a second, median of {rounds} ({:.0} to {:.0})",
            rates[rounds / 2],
            rates[0],
            rates[rounds - 1]
        );
    }
}

/// The number of orders that are placed together, and the interval.
const TOGETHER: usize = 20;
const TICK: Duration = Duration::from_millis(50);

/// The time of each command, and the delay until the webhook of each order arrived.
#[derive(Clone, Default)]
struct DeliveryLags(Arc<Mutex<(Vec<Instant>, Vec<Duration>)>>);

async fn note(State(lags): State<DeliveryLags>, body: Bytes) -> StatusCode {
    let arrived = Instant::now();
    let event: Value = serde_json::from_slice(&body).unwrap();
    let number: usize = event["data"]["order"]["order_id"].as_str().unwrap()[2..].parse().unwrap();
    let (sent, delays) = &mut *lags.0.lock().unwrap();
    delays.push(arrived - sent[number / TOGETHER]);
    StatusCode::NO_CONTENT
}

impl DeliveryLags {
    async fn endpoint(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(note)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

/// The sorted delays of webhooks of a steady stream, 400 orders a second, beside a `bad` endpoint.
async fn lags(store: &str, bad: Option<&String>, ticks: usize) -> Vec<Duration> {
    let lags = DeliveryLags::default();
    let directory = tempfile::tempdir().unwrap();
    let mut actions = vec![webhook("shop", &lags.endpoint().await, "on = [\"order.placed\"]")];
    actions.extend(bad.map(|url| webhook("bad", url, "on = [\"order.placed\"]")));
    let service = Process::serve(&config(directory.path(), store, &actions)).await;
    // Opens the connections.
    CLIENT.get(format!("{}/healthz", service.url)).send().await.unwrap();
    let mut tick = tokio::time::interval(TICK);
    for i in 0..ticks {
        tick.tick().await;
        lags.0.lock().unwrap().0.push(Instant::now());
        place(&service.url, i * TOGETHER..(i + 1) * TOGETHER).await;
    }
    eventually("all are delivered", 60, async || {
        lags.0.lock().unwrap().1.len() >= ticks * TOGETHER
    })
    .await;
    let mut delays = lags.0.lock().unwrap().1.clone();
    delays.sort_unstable();
    assert!(service.terminate().await.success());
    delays
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_down_adds_little_lag_to_others() {
    let ticks = number("AUTORECEIVE_TEST_SECONDS", 1) * 20;
    let rounds = number("AUTORECEIVE_TEST_ROUNDS", 1);
    let neighbours = [
        ("alone", None),
        ("beside one that is down", Some(DOWN.to_owned())),
        ("beside one that hangs", Some(hanging().await)),
    ];
    for name in ["SQLite", "Redis"] {
        let mut p99s = vec![Vec::new(); neighbours.len()];
        for _ in 0..rounds {
            for (p99s, (_, bad)) in p99s.iter_mut().zip(&neighbours) {
                let redis = (name == "Redis").then(|| RedisServer::start(&["--appendonly", "yes"]));
                let store = redis.as_ref().map_or("sqlite:shop.db".to_owned(), RedisServer::url);
                let delays = lags(&store, bad.as_ref(), ticks).await;
                p99s.push(delays[(delays.len() - 1) * 99 / 100]);
            }
        }
        for ((neighbour, _), mut p99s) in neighbours.iter().zip(p99s) {
            p99s.sort_unstable();
            println!(
                "{name}, {neighbour}: p99 {:?}, median of {rounds} ({:?} to {:?})",
                p99s[rounds / 2],
                p99s[0],
                p99s[rounds - 1]
            );
        }
    }
}
