//! How fast webhooks are delivered, and what a receiver that is down costs the others. The short form only shows that it can
//! be measured; the figures come from
//! `AUTORECEIVE_TEST_EVENTS=50000 AUTORECEIVE_TEST_SECONDS=10 cargo test --release throughput -- --nocapture --test-threads 1`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::listener::Listener;
use crate::support::process::{Process, eventually};
use crate::support::receiver::webhook;
use crate::support::redis_server::RedisServer;

/// Where nobody listens.
const DOWN: &str = "http://127.0.0.1:1/";

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

fn config(directory: &Path, store: &str, actions: &[String]) -> PathBuf {
    let path = directory.join("shop.toml");
    std::fs::write(&path, format!("[store]\nurl = \"{store}\"\n[log]\nlevel = \"warn\"\n{}", actions.concat())).unwrap();
    path
}

/// Takes connections and never says a word.
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

async fn post_json(url: &str, path: &str, body: String, of_type: &str) -> String {
    let request = reqwest::Client::new().post(format!("{url}{path}")).header("content-type", of_type).body(body);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success());
    answer.text().await.unwrap()
}

async fn place(url: &str, range: std::ops::Range<usize>) {
    let line = |i| {
        let data = json!({"phone": "010-1234-5678", "cart": i});
        let order = json!({"order_id": format!("T-{i:07}"), "command": "place", "buyer_id": format!("b-{i}"), "amount": 59_000, "currency": "KRW", "data": data, "paid_at": "2026-01-01T00:00:00Z", "receive_after": "3000d"});
        format!("{order}\n")
    };
    let ids: Vec<usize> = range.collect();
    for part in ids.chunks(10_000) {
        let answer = post_json(url, "/v1/commands", part.iter().map(|&i| line(i)).collect(), "application/x-ndjson").await;
        assert_eq!(answer.matches("\"changed\"").count(), part.len());
    }
}

/// How many entries an action has.
async fn pending(url: &str, name: &str) -> u64 {
    let text = reqwest::get(format!("{url}/v1/actions")).await.unwrap().text().await.unwrap();
    let actions: Value = serde_json::from_str(&text).unwrap();
    let action = actions["actions"].as_array().unwrap().iter().find(|action| action["name"] == name).cloned();
    action.map_or(0, |action| action["pending"].as_u64().unwrap())
}

/// All orders fall due at once; returns how many of them a second were received and delivered to `shop`.
async fn herd(store: &str, directory: &Path, actions: &[String], events: usize) -> f64 {
    let service = Process::serve_with(&config(directory, store, actions), &["--test-clock"]).await;
    place(&service.url, 0..events).await;
    let began = Instant::now();
    for by in ["2000d", "1100d"] {
        post_json(&service.url, "/v1/test/clock", json!({ "advance": by }).to_string(), "application/json").await;
    }
    eventually("all of them are received and delivered", 600, async || {
        let text = reqwest::get(format!("{}/v1/stats", service.url)).await.unwrap().text().await.unwrap();
        let stats: Value = serde_json::from_str(&text).unwrap();
        stats["waiting"] == 0 && pending(&service.url, "shop").await == 0
    })
    .await;
    let seconds = began.elapsed().as_secs_f64();
    let metrics = reqwest::get(format!("{}/metrics", service.url)).await.unwrap().text().await.unwrap();
    let done = metrics.lines().find_map(|line| line.strip_prefix("autoreceive_attempts_total{action=\"shop\",result=\"done\"} "));
    assert_eq!(done, Some(&*events.to_string()));
    events as f64 / seconds
}

async fn webhooks_per_second(name: &str, store: impl Fn() -> String) {
    let events = number("AUTORECEIVE_TEST_EVENTS", 500);
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&["--json"]).await;
    let rate = herd(&store(), directory.path(), &[webhook("shop", &listener.url, "on = [\"order.received\"]")], events).await;
    println!("{name}: {events} orders received and delivered to `autoreceive listen`: {rate:.0} a second");
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
async fn a_receiver_that_hangs_or_is_down_does_not_slow_the_others_down() {
    let (events, rounds) = (number("AUTORECEIVE_TEST_EVENTS", 500), number("AUTORECEIVE_TEST_ROUNDS", 1));
    let neighbours = [("alone", None), ("beside one that hangs", Some(hanging().await)), ("beside one that is down", Some(DOWN.into()))];
    let mut rates = vec![Vec::new(); neighbours.len()];
    // In turn, so that what else the machine does falls on all of them.
    for _ in 0..rounds {
        for (rates, (_, bad)) in rates.iter_mut().zip(&neighbours) {
            let (redis, directory, listener) = (RedisServer::start(&[]), tempfile::tempdir().unwrap(), Listener::start(&["--json"]).await);
            let mut actions = vec![webhook("shop", &listener.url, "on = [\"order.received\"]")];
            actions.extend(bad.as_ref().map(|url: &String| webhook("bad", url, "on = [\"order.received\"]")));
            rates.push(herd(&redis.url(), directory.path(), &actions, events).await);
        }
    }
    for ((name, _), mut rates) in neighbours.into_iter().zip(rates) {
        rates.sort_unstable_by(f64::total_cmp);
        println!("{name}: {:.0} a second, median of {rounds} ({:.0} to {:.0})", rates[rounds / 2], rates[0], rates[rounds - 1]);
    }
}

/// When each order was told, after its event, in milliseconds.
#[derive(Clone, Default)]
struct Lags(Arc<Mutex<Vec<i64>>>);

#[expect(clippy::disallowed_methods, reason = "the lag is what a receiver's own clock says")]
async fn note(State(lags): State<Lags>, body: Bytes) -> StatusCode {
    let arrived = jiff::Timestamp::now().as_millisecond();
    let event: Value = serde_json::from_slice(&body).unwrap();
    let happened = event["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    lags.0.lock().unwrap().push(arrived - happened);
    StatusCode::NO_CONTENT
}

impl Lags {
    async fn receiver(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(note)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_adds_little_to_the_others_lag() {
    let ticks = number("AUTORECEIVE_TEST_SECONDS", 1) * 20;
    for (name, bad) in
        [("alone", None), ("beside one that is down", Some(DOWN.to_owned())), ("beside one that hangs", Some(hanging().await))]
    {
        let (lags, directory) = (Lags::default(), tempfile::tempdir().unwrap());
        let mut actions = vec![webhook("shop", &lags.receiver().await, "on = [\"order.placed\"]")];
        actions.extend(bad.map(|url| webhook("bad", &url, "on = [\"order.placed\"]")));
        let service = Process::serve(&config(directory.path(), "sqlite:shop.db", &actions)).await;
        // 20 orders every 50 ms: 400 a second.
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        for i in 0..ticks {
            tick.tick().await;
            place(&service.url, i * 20..(i + 1) * 20).await;
        }
        eventually("all are told", 60, async || lags.0.lock().unwrap().len() >= ticks * 20).await;
        let mut lags = lags.0.lock().unwrap().clone();
        lags.sort_unstable();
        let at = |q: f64| lags[((lags.len() - 1) as f64 * q) as usize];
        println!("{name}: {} told, lag ms: p50 {} p99 {} max {}", lags.len(), at(0.5), at(0.99), at(1.0));
        assert!(service.terminate().await.success());
    }
}
