//! If its store is down at the start, the service waits, says so, and continues by itself. A
//! problem that only a person can solve ends it at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;

fn write_config(directory: &Path, store: &str) -> PathBuf {
    let path = directory.join("shop.toml");
    std::fs::write(&path, format!("[store]\nurl = \"{store}\"\n[log]\nlevel = \"info\"\n"))
        .unwrap();
    path
}

fn log(config: &Path) -> String {
    std::fs::read_to_string(config.with_extension("log")).unwrap()
}

async fn place(url: &str) -> reqwest::Response {
    let order = json!({"order_id": "A-1", "buyer_id": "B-7"}).to_string();
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/orders"))
        .header("content-type", "application/json");
    request.body(order).send().await.unwrap()
}

/// Checks that it is alive, answers 503 to requests that need the store, and has logged why.
async fn waits(service: &Process, config: &Path) {
    let get = async |path: &str| reqwest::get(format!("{}{path}", service.url)).await;
    eventually("it answers", 30, async || {
        get("/healthz").await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    eventually("it says that it waits", 30, async || {
        log(config).contains("the store is unavailable; the service waits for it")
    })
    .await;
    assert_eq!(get("/docs/index.html").await.unwrap().status(), 200);
    for path in [
        "/readyz",
        "/metrics",
        "/v1/stats",
        "/v1/actions",
        "/v1/orders/A-1",
        "/v1/orders?view=held",
    ] {
        told_to_wait(get(path).await.unwrap()).await;
    }
    told_to_wait(place(&service.url).await).await;
    let lines = reqwest::Client::new()
        .post(format!("{}/v1/commands", service.url))
        .header("content-type", "application/x-ndjson");
    told_to_wait(lines.body("{\"order_id\":\"A-1\",\"command\":\"pay\"}\n").send().await.unwrap())
        .await;
}

async fn told_to_wait(answer: reqwest::Response) {
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(problem["code"], "store_unavailable");
}

#[tokio::test]
async fn a_service_waits_for_an_unavailable_store_and_then_works() {
    let directory = tempfile::tempdir().unwrap();
    let mut redis = RedisServer::start(&[]);
    let config = write_config(directory.path(), &redis.url());
    redis.kill();
    let mut service = Process::spawn(&config, &[]);
    waits(&service, &config).await;
    redis.restart();
    service.wait_until_ready().await;
    assert_eq!(place(&service.url).await.status(), 201);
    assert!(log(&config).contains("the store is available"), "{}", log(&config));
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_service_waits_for_a_server_that_loads_its_data() {
    let directory = tempfile::tempdir().unwrap();
    // Redis needs a millisecond for each key, and answers after every 1,024 keys.
    let mut redis = RedisServer::start(&["--key-load-delay", "1000"]);
    redis
        .cli(&["EVAL", "for i = 1, 6000 do redis.call('SET', 'other:' .. i, 'x') end", "0"])
        .unwrap();
    let config = write_config(directory.path(), &redis.url());
    redis.begin_restart();
    let mut service = Process::spawn(&config, &[]);
    waits(&service, &config).await;
    eventually("it says that the server is loading", 30, async || {
        log(&config).contains("still loading its data")
    })
    .await;
    service.wait_until_ready().await;
    assert_eq!(place(&service.url).await.status(), 201);
    assert!(service.terminate().await.success());
}

#[tokio::test]
async fn a_waiting_service_stops_at_once_on_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(directory.path(), "redis://127.0.0.1:1");
    let service = Process::spawn(&config, &[]);
    waits(&service, &config).await;
    let asked = std::time::Instant::now();
    assert!(service.terminate().await.success());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(log(&config).ends_with("stopped\n"), "{}", log(&config));
}

#[tokio::test]
async fn an_error_that_needs_a_person_ends_the_program_at_once() {
    let redis =
        RedisServer::start(&["--requirepass", "right", "--maxmemory-policy", "allkeys-lru"]);
    let right = format!("redis://:right@127.0.0.1:{}", redis.port);
    for (store, said) in [
        (format!("redis://:wrong@127.0.0.1:{}", redis.port), "authentication failed"),
        (format!("redis://127.0.0.1:{}", redis.port), "NOAUTH"),
        (format!("{right}/9999"), "database"),
        (right, "noeviction"),
        ("sqlite:/nowhere/at/all.db".to_owned(), "directory must exist"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = write_config(directory.path(), &store);
        let ended = Process::spawn(&config, &[]).end().await;
        let log = log(&config);
        assert_eq!(ended.code(), Some(1), "{store}: {log}");
        assert!(
            log.contains(said) && !log.contains("waits for") && !log.contains("API on"),
            "{store}: {log}"
        );
    }
}
