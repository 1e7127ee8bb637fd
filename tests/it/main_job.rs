//! The main job from a shop's side: orders placed and paid through the bulk route, silence,
//! receipt, webhook, while workers are killed. The long form:
//! `AUTORECEIVE_TEST_ORDERS=20000 cargo test --release main_job -- --nocapture`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::endpoint::{ShopEndpoint, webhook};
use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;

fn orders() -> usize {
    std::env::var("AUTORECEIVE_TEST_ORDERS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000)
}

fn write_config(directory: &Path, store: &str, hook: &str) -> PathBuf {
    let path = directory.join("shop.toml");
    let hook = webhook("shop", hook, "timeout = \"2s\"\nlease = \"5s\"\non = [\"order.received\"]");
    let config = format!("[store]\nurl = \"{store}\"\n[log]\nlevel = \"warn\"\n{hook}");
    std::fs::write(&path, config).unwrap();
    path
}

const SILENCE_MS: i64 = 5_000;

/// The lines that place and pay the orders numbered `range`, and cancel a tenth of them.
fn lines(range: std::ops::Range<usize>) -> Vec<Value> {
    let of = |i: usize| {
        let id = order_id(i);
        let place = json!({
            "order_id": id,
            "command": "place",
            "buyer_id": format!("b-{i}"),
            "amount": 59_000,
            "currency": "KRW",
            "receive_after": "5s",
        });
        let mut lines = vec![place, json!({"order_id": id, "command": "pay"})];
        if is_cancelled(i) {
            lines.push(json!({"order_id": id, "command": "cancel", "reason": "changed my mind"}));
        }
        lines
    };
    range.flat_map(of).collect()
}

fn order_id(i: usize) -> String {
    format!("20261123-{i:06}")
}

fn is_cancelled(i: usize) -> bool {
    i % 10 == 3
}

/// Sends lines to the workers in turn. Repeats unanswered lines until all are answered.
async fn send_all(urls: &[String], mut lines: Vec<Value>) {
    for round in 0.. {
        assert!(round < 200, "{} lines were never answered", lines.len());
        if lines.is_empty() {
            return;
        }
        lines = send(&urls[round % urls.len()], lines).await;
        if !lines.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// Sends lines once. Returns the lines from the first one without an answer or with `unavailable`.
async fn send(url: &str, lines: Vec<Value>) -> Vec<Value> {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/commands"))
        .header("content-type", "application/x-ndjson")
        .body(body);
    let Ok(mut answer) = request.send().await else { return lines };
    assert_eq!(answer.status(), 200);
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.extend_from_slice(&chunk);
    }
    let mut answered = 0;
    for line in String::from_utf8_lossy(&text).lines() {
        let Ok(answer) = serde_json::from_str::<Value>(line) else { break };
        match answer["result"].as_str().unwrap() {
            "changed" | "unchanged" => answered += 1,
            "unavailable" => break,
            other => panic!("{other}: {line}"),
        }
    }
    lines[answered..].to_vec()
}

/// Checks that each order that was not cancelled was delivered, always under one id and after its
/// deadline. Prints the lags.
fn check(endpoint: &ShopEndpoint, count: usize) {
    let by_order = endpoint.ids_by_order();
    let expected: HashSet<String> =
        (0..count).filter(|&i| !is_cancelled(i)).map(order_id).collect();
    assert_eq!(by_order.keys().cloned().collect::<HashSet<_>>(), expected);
    assert!(by_order.values().all(|ids| ids.len() == 1), "an order was delivered under two ids");
    assert_eq!(endpoint.forged(), 0);
    let mut lags: Vec<i64> =
        endpoint.deliveries().iter().map(|delivery| lag_ms(&delivery.body)).collect();
    lags.sort_unstable();
    assert!(lags[0] >= 0, "an order was received {} ms early", -lags[0]);
    let at = |q: f64| lags[((lags.len() - 1) as f64 * q) as usize];
    println!(
        "{} orders, {} deliveries, lag ms: p50 {} p99 {} max {}",
        expected.len(),
        lags.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// The time between the order's deadline and its receipt.
fn lag_ms(body: &Value) -> i64 {
    let ms = |field: &str| {
        body["data"]["order"][field]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_millisecond()
    };
    assert_eq!(body["type"], "order.received");
    assert_eq!(body["data"]["order"]["status"], "RECEIVED");
    ms("received_at") - ms("paid_at") - SILENCE_MS
}

async fn stats(url: &str) -> Value {
    serde_json::from_slice(
        &reqwest::get(format!("{url}/v1/stats")).await.unwrap().bytes().await.unwrap(),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_every_paid_order_is_received_and_delivered_after_a_worker_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&[]);
    let endpoint = ShopEndpoint::start().await;
    let count = orders();
    let config = write_config(directory.path(), &redis.url(), &endpoint.url);
    let first = Process::serve(&config).await;
    let second = Process::serve(&config).await;
    let urls = [first.url.clone(), second.url.clone()];
    let half = count / 2;
    send_all(&urls, lines(0..half)).await;
    let rest = tokio::spawn({
        let urls = [urls[0].clone(), urls[1].clone()];
        async move { send_all(&urls, lines(half..count)).await }
    });
    eventually("a third is delivered", 60, async || endpoint.orders() > count / 3).await;
    first.kill();
    rest.await.unwrap();
    let first = Process::serve(&config).await;
    eventually("everything is delivered", 120, async || endpoint.orders() >= count - count / 10)
        .await;
    let url = second.url.clone();
    eventually("nothing is left to do", 60, async || is_idle(&stats(&url).await)).await;
    check(&endpoint, count);
    assert!(first.terminate().await.success());
    assert!(second.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_every_paid_order_is_received_and_delivered_after_the_process_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = ShopEndpoint::start().await;
    let count = orders();
    let store = format!("sqlite:{}", directory.path().join("shop.db").display());
    let config = write_config(directory.path(), &store, &endpoint.url);
    let first = Process::serve(&config).await;
    send_all(std::slice::from_ref(&first.url), lines(0..count)).await;
    eventually("a third is delivered", 60, async || endpoint.orders() > count / 3).await;
    first.kill();
    let second = Process::serve(&config).await;
    eventually("everything is delivered", 120, async || endpoint.orders() >= count - count / 10)
        .await;
    let url = second.url.clone();
    eventually("nothing is left to do", 60, async || is_idle(&stats(&url).await)).await;
    check(&endpoint, count);
    assert!(second.terminate().await.success());
}

fn is_idle(stats: &Value) -> bool {
    stats["waiting"] == 0
        && stats["actions"].as_array().unwrap().iter().all(|action| action["pending"] == 0)
}
