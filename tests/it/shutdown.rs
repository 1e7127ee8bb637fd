//! Repeated SIGTERM under load, with single commands, lines, due orders and webhooks in flight. The
//! program stops within ten seconds, acknowledged orders exist after the next start, and no order
//! is received twice.
//!
//! Long form: `AUTORECEIVE_TEST_SHUTDOWNS=100 cargo test --release shutdown -- --nocapture`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::endpoint::{ShopEndpoint, webhook};
use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;

/// The longest allowed shutdown.
const BOUND: Duration = Duration::from_secs(10);
const CLIENTS: usize = 6;

fn shutdowns() -> usize {
    std::env::var("AUTORECEIVE_TEST_SHUTDOWNS").ok().map_or(3, |n| n.parse().unwrap())
}

fn write_config(directory: &Path, store: &str, hook: &str) -> PathBuf {
    let path = directory.join("shop.toml");
    let hook = webhook("shop", hook, "timeout = \"2s\"\nlease = \"5s\"\non = [\"order.received\"]");
    let config = format!("[store]\nurl = \"{store}\"\n[log]\nlevel = \"warn\"\n{hook}");
    std::fs::write(&path, config).unwrap();
    path
}

/// The acknowledged orders, and whether their payment was acknowledged.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<BTreeMap<String, bool>>>);

impl Acknowledged {
    /// Records an answer with an order's status.
    fn note(&self, order: &str, status: &str) {
        *self.0.lock().unwrap().entry(order.to_owned()).or_default() |= status != "PENDING_PAYMENT";
    }

    fn all(&self) -> BTreeMap<String, bool> {
        self.0.lock().unwrap().clone()
    }
}

fn place(order: &str) -> Value {
    json!({
        "order_id": order,
        "buyer_id": "B-7",
        "amount": 59_000,
        "currency": "KRW",
        "receive_after": "1s",
    })
}

/// Places and pays orders one after another until there is no answer.
async fn single(url: String, name: String, acknowledged: Acknowledged) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for i in 0.. {
        let order = format!("{name}-{i}");
        for (path, body) in [
            ("/v1/orders".to_owned(), place(&order).to_string()),
            (format!("/v1/orders/{order}/pay"), "{}".to_owned()),
        ] {
            let request = http
                .post(format!("{url}{path}"))
                .header("content-type", "application/json")
                .body(body);
            let Ok(answer) = request.send().await else { return };
            let status = answer.status();
            let Ok(text) = answer.text().await else { return };
            match status.as_u16() {
                200 | 201 => acknowledged.note(
                    &order,
                    serde_json::from_str::<Value>(&text).unwrap()["status"].as_str().unwrap(),
                ),
                // If the shutdown refused the placement, the payment finds no order.
                404 | 503 => return,
                _ => panic!("{path}: {status} {text}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends lines on one stream until it ends.
async fn lines(url: String, name: String, acknowledged: Acknowledged) {
    let Ok(stream) = TcpStream::connect(url.trim_start_matches("http://")).await else { return };
    let (reader, mut writer) = stream.into_split();
    let head = "POST /v1/commands HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
        application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let sending = tokio::spawn(async move {
        let mut sent = writer.write_all(head.as_bytes()).await;
        for i in 0.. {
            let two = |n: usize| {
                let order = format!("{name}-{}", i * 20 + n);
                let mut placed = place(&order);
                placed["command"] = json!("place");
                format!("{placed}\n{}\n", json!({"order_id": order, "command": "pay"}))
            };
            let text: String = (0..20).map(two).collect();
            if sent.is_err() {
                return;
            }
            sent = writer.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    });
    let mut answers = BufReader::new(reader).lines();
    while let Ok(Some(line)) = answers.next_line().await {
        // Skips the chunk sizes between the lines.
        let Ok(answer @ Value::Object(_)) = serde_json::from_str::<Value>(&line) else { continue };
        if ["changed", "unchanged"].contains(&answer["result"].as_str().unwrap()) {
            acknowledged
                .note(answer["order_id"].as_str().unwrap(), answer["status"].as_str().unwrap());
        }
    }
    sending.abort();
}

/// Stops a service under load. Returns the duration of the shutdown.
async fn round(config: &Path, number: usize, acknowledged: &Acknowledged) -> Duration {
    let service = Process::serve(config).await;
    let mut load = JoinSet::new();
    for client in 0..CLIENTS {
        load.spawn(single(
            service.url.clone(),
            format!("S-{number}-{client}"),
            acknowledged.clone(),
        ));
    }
    load.spawn(lines(service.url.clone(), format!("L-{number}"), acknowledged.clone()));
    let before = acknowledged.all().len();
    eventually("the load is acknowledged", 60, async || acknowledged.all().len() > before + 20)
        .await;
    // A different delay in each round, so that the shutdown hits every stage of an order's second.
    tokio::time::sleep(Duration::from_millis((number as u64 * 377) % 1_500)).await;
    let asked = Instant::now();
    let status = service.terminate().await;
    let took = asked.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < BOUND, "the end took {took:?}");
    while let Some(client) = load.join_next().await {
        client.unwrap();
    }
    took
}

async fn stats(url: &str) -> Value {
    serde_json::from_str(
        &reqwest::get(format!("{url}/v1/stats")).await.unwrap().text().await.unwrap(),
    )
    .unwrap()
}

/// Pays all orders whose placement was acknowledged but not their payment. Every one of these
/// orders must exist.
async fn pay_the_rest(url: &str, acknowledged: &BTreeMap<String, bool>) {
    let unpaid = acknowledged.iter().filter(|(_, paid)| !**paid).map(|(order, _)| order);
    let body: String =
        unpaid.map(|order| format!("{}\n", json!({"order_id": order, "command": "pay"}))).collect();
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/commands"))
        .header("content-type", "application/x-ndjson");
    let answers = request.body(body).send().await.unwrap().text().await.unwrap();
    for line in answers.lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert!(
            ["changed", "unchanged"].contains(&answer["result"].as_str().unwrap()),
            "an acknowledged order is not there: {line}"
        );
    }
}

async fn stops_in_time_and_loses_nothing(store: &str, directory: &Path) {
    let endpoint = ShopEndpoint::start().await;
    let acknowledged = Acknowledged::default();
    let config = write_config(directory, store, &endpoint.url);
    let mut took = Vec::new();
    for number in 0..shutdowns() {
        took.push(round(&config, number, &acknowledged).await);
    }
    let service = Process::serve(&config).await;
    let acknowledged = acknowledged.all();
    pay_the_rest(&service.url, &acknowledged).await;
    let url = service.url.clone();
    let done = |stats: &Value| {
        stats["orders"]["PAID"].as_u64().unwrap_or(0) == 0 && stats["actions"][0]["pending"] == 0
    };
    eventually("everything is received and delivered", 300, async || done(&stats(&url).await))
        .await;

    let delivered = endpoint.ids_by_order();
    let lost: Vec<_> =
        acknowledged.keys().filter(|order| !delivered.contains_key(*order)).collect();
    assert!(lost.is_empty(), "{} acknowledged orders were lost: {lost:?}", lost.len());
    let double: Vec<_> = delivered.iter().filter(|(_, ids)| ids.len() != 1).collect();
    assert!(double.is_empty(), "received twice: {double:?}");
    assert_eq!(endpoint.forged(), 0);
    let events = stats(&url).await["events"].clone();
    let of_receipt =
        events.as_array().unwrap().iter().filter(|event| event["type"] == "order.received");
    let received: u64 = of_receipt.map(|event| event["count"].as_u64().unwrap()).sum();
    assert_eq!(received, delivered.len() as u64, "events and orders are not one to one");
    took.sort();
    let count = took.len();
    let repeats =
        delivered.values().flat_map(|ids| ids.values()).filter(|&&times| times > 1).count();
    println!(
        "{store}: {count} shutdowns, end in median {:?}, at most {:?}; {} orders acknowledged, \
            {received} received, {repeats} delivered again",
        took[count / 2],
        took[count - 1],
        acknowledged.len()
    );
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_hanging_store_or_endpoint_does_not_delay_the_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&[]);
    // The kernel accepts connections, but no program does.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = write_config(
        directory.path(),
        &redis.url(),
        &format!("http://{}/", silent.local_addr().unwrap()),
    );
    let patient = std::fs::read_to_string(&config)
        .unwrap()
        .replace("\"2s\"", "\"60s\"")
        .replace("\"5s\"", "\"120s\"");
    let patient = patient.replace("[store]\n", "[store]\ntimeout = \"20s\"\n");
    std::fs::write(&config, patient.replace("order.received", "order.placed")).unwrap();
    let service = Process::serve(&config).await;
    let http = reqwest::Client::new();
    let order = |id: &str| {
        let request = http
            .post(format!("{}/v1/orders", service.url))
            .header("content-type", "application/json");
        request.body(place(id).to_string()).send()
    };
    assert_eq!(order("A-1").await.unwrap().status(), 201);
    silent.set_nonblocking(true).unwrap();
    let mut taken = Vec::new();
    eventually("the webhook is in flight", 30, async || {
        taken.extend(silent.accept());
        !taken.is_empty()
    })
    .await;
    assert!(
        Command::new("kill")
            .args(["-s", "STOP", &redis.pid().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let asked = Instant::now();
    assert!(service.terminate().await.success());
    assert!(asked.elapsed() < BOUND, "the end took {:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_shutdown_ends_in_time_and_no_acknowledged_order_is_lost_or_received_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", directory.path().join("shop.db").display());
    stops_in_time_and_loses_nothing(&store, directory.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_a_shutdown_ends_in_time_and_no_acknowledged_order_is_lost_or_received_twice() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&[]);
    stops_in_time_and_loses_nothing(&redis.url(), directory.path()).await;
}
