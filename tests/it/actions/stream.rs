//! The `stream` action, against a real Redis.

use std::time::Duration;

use autoreceive::action::stream::{Stream, StreamSettings};
use autoreceive::action::{Action, Outcome};
use autoreceive::domain::Event;
use autoreceive::wire::event_json;

use super::{event, why};
use crate::support::process::free_port;
use crate::support::redis_server::RedisServer;
use crate::support::tls::Authority;

fn settings(max_len: u64) -> StreamSettings {
    StreamSettings {
        key: "orders".to_owned(),
        max_len,
        timeout: Duration::from_secs(10),
        authorities: None,
    }
}

fn stream(redis: &RedisServer, max_len: u64) -> Stream {
    Stream::new(&redis.url(), settings(max_len)).unwrap()
}

/// The fields of every entry.
fn entries(redis: &RedisServer) -> Vec<Vec<String>> {
    let range: Vec<(String, Vec<String>)> =
        redis::from_redis_value(redis.cli(&["XRANGE", "orders", "-", "+"]).unwrap()).unwrap();
    range.into_iter().map(|(_, fields)| fields).collect()
}

fn fields(event: &Event) -> Vec<String> {
    let order = event.0.id.to_string();
    let version = event.0.version.to_string();
    let pairs = [
        ("id", event.id()),
        ("type", event.kind().to_string()),
        ("order_id", order),
        ("version", version),
        ("body", event_json(event)),
    ];
    pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

#[tokio::test]
async fn each_event_is_an_entry_in_the_documented_format() {
    let redis = RedisServer::start(&[]);
    let events: Vec<Event> = (1..=200).map(|version| event("주문 1", version)).collect();
    assert_eq!(stream(&redis, 1_000_000).attempt(&events).await, vec![Outcome::Done; 200]);
    assert_eq!(entries(&redis), events.iter().map(fields).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_stream_keeps_about_as_many_entries_as_configured() {
    let redis = RedisServer::start(&[]);
    let stream = stream(&redis, 500);
    for batch in 0..20 {
        let events: Vec<Event> =
            (1..=200).map(|version| event(&format!("A-{batch}"), version)).collect();
        stream.attempt(&events).await;
    }
    // Redis trims whole nodes of 100 entries.
    let length: usize = redis::from_redis_value(redis.cli(&["XLEN", "orders"]).unwrap()).unwrap();
    assert!((500..=700).contains(&length), "{length}");
}

#[tokio::test]
async fn an_unavailable_or_refusing_redis_is_retried_until_it_works() {
    let mut redis = RedisServer::start(&[]);
    let stream = stream(&redis, 1_000);
    let event = [event("A-1", 5), event("A-2", 1)];
    assert_eq!(stream.attempt(&event).await, [Outcome::Done, Outcome::Done]);
    redis.kill();
    let outcomes = stream.attempt(&event).await;
    assert!(
        outcomes.len() == 2 && outcomes.iter().all(|outcome| !why(outcome).is_empty()),
        "{outcomes:?}"
    );
    redis.restart();
    assert_eq!(stream.attempt(&event).await, [Outcome::Done, Outcome::Done]);
    redis.cli(&["DEL", "orders"]).unwrap();
    redis.cli(&["SET", "orders", "no stream"]).unwrap();
    assert!(why(&stream.attempt(&event).await[1]).starts_with("WRONGTYPE"));
    redis.cli(&["DEL", "orders"]).unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    assert!(why(&stream.attempt(&event).await[0]).starts_with("OOM"));
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert_eq!(stream.attempt(&event).await, [Outcome::Done, Outcome::Done]);
}

#[tokio::test]
async fn a_redis_without_an_answer_times_out() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let stream =
        Stream::new(&url, StreamSettings { timeout: Duration::from_millis(300), ..settings(10) })
            .unwrap();
    assert_eq!(why(&stream.attempt(&[event("A-1", 5)]).await[0]), "Redis did not answer in time");
}

#[tokio::test]
async fn redis_over_tls_needs_a_trusted_authority() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let port = free_port().to_string();
    let (certificate, key) = authority.certificate("127.0.0.1", 2099).pem();
    let path = |name: &str| directory.path().join(name).display().to_string();
    for (name, text) in
        [("certificate.pem", certificate), ("key.pem", key), ("ca.pem", authority.pem())]
    {
        std::fs::write(path(name), text).unwrap();
    }
    let files = [
        "--tls-cert-file",
        &path("certificate.pem"),
        "--tls-key-file",
        &path("key.pem"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
    ];
    let more = ["--tls-port", &port, "--tls-auth-clients", "no"];
    let redis = RedisServer::start(&[&files[..], &more[..]].concat());
    let url = format!("rediss://127.0.0.1:{port}");
    let trusting = Stream::new(
        &url,
        StreamSettings { authorities: Some(authority.pem().into_bytes()), ..settings(10) },
    )
    .unwrap();
    assert_eq!(trusting.attempt(&[event("A-1", 5)]).await, [Outcome::Done]);
    assert_eq!(entries(&redis).len(), 1);
    let outcome =
        Stream::new(&url, settings(10)).unwrap().attempt(&[event("A-1", 5)]).await.remove(0);
    assert!(why(&outcome).contains("certificate"), "{outcome:?}");
}
