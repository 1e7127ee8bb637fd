//! Delivery to an endpoint that misbehaves on purpose: a real engine and its relay, and an endpoint
//! that fails the first attempt of each event in one of many ways.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autoreceive::action::outgoing::Limits;
use autoreceive::action::webhook::Webhook;
use autoreceive::action::{Action, Subscription};
use autoreceive::domain::{EventKind, Place, Policy, Terms};
use autoreceive::engine::Engine;
use autoreceive_store_sqlite::SqliteStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::endpoint::SECRET;
use crate::support::process::eventually;

/// The ways to misbehave, each with the number of attempts: one after a final status, two after a
/// failure.
const WAYS: [(&str, usize); 12] = [
    ("good", 1),
    ("500", 2),
    ("429", 2),
    ("redirect", 2),
    ("hang", 2),
    ("reset", 2),
    ("cut-after-body", 2),
    ("cut-in-answer", 2),
    ("drip-head", 2),
    ("drip-body", 1),
    ("gigabyte", 1),
    ("gone", 1),
];
const OF_EACH: usize = 8;

/// Order id → the ids of its attempts.
type SeenAttempts = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

async fn endpoint() -> (String, SeenAttempts) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seen = SeenAttempts::default();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(one(stream, log.clone()));
        }
    });
    (url, seen)
}

/// Handles one request on its own connection.
async fn one(mut stream: TcpStream, seen: SeenAttempts) {
    let Some((id, body)) = request(&mut stream).await else { return };
    let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let order = event["data"]["order"]["order_id"].as_str().unwrap().to_owned();
    assert_eq!(event["id"], id.as_str());
    let way = order.rsplit_once('.').unwrap().0.to_owned();
    let attempts = {
        let mut seen = seen.lock().unwrap();
        let ids = seen.entry(order).or_default();
        ids.push(id);
        ids.len()
    };
    let _ = if attempts == 1 {
        misbehave(&way, &mut stream).await
    } else {
        say(&mut stream, "204 No Content", "").await
    };
}

async fn misbehave(way: &str, stream: &mut TcpStream) -> std::io::Result<()> {
    match way {
        "good" => say(stream, "204 No Content", "").await,
        "500" => say(stream, "500 Oops", "").await,
        "429" => say(stream, "429 Slow down", "retry-after: 1\r\n").await,
        "redirect" => say(stream, "302 Elsewhere", "location: /elsewhere\r\n").await,
        "gone" => say(stream, "410 Gone", "").await,
        "hang" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
        "reset" => stream.set_zero_linger(),
        "cut-after-body" => stream.shutdown().await,
        "cut-in-answer" => stream.write_all(b"HTTP/1.1 20").await,
        "drip-head" => drip(stream, "HTTP/1.1 204 No Content\r\n", b"x").await,
        "drip-body" => drip(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"x").await,
        _ => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 64 * 1024]).await?;
            }
        }
    }
}

async fn say(stream: &mut TcpStream, status: &str, headers: &str) -> std::io::Result<()> {
    stream
        .write_all(
            format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        )
        .await?;
    stream.shutdown().await
}

/// Sends a byte at a time, forever.
async fn drip(stream: &mut TcpStream, first: &str, then: &[u8]) -> std::io::Result<()> {
    stream.write_all(first.as_bytes()).await?;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(then).await?;
    }
}

/// The `webhook-id` and the whole body of a request.
async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                head.lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(|value| value.trim().to_owned())
            };
            if body.len() >= header("content-length:")?.parse().unwrap() {
                return Some((header("webhook-id:")?, body.as_bytes().to_vec()));
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

fn engine(action: impl Action) -> Engine {
    let policies = [Policy::new("default", Terms::default()).unwrap()];
    let subscription = Subscription::new("shop".parse().unwrap(), action).on(&[EventKind::Placed]);
    Engine::builder(Arc::new(SqliteStore::in_memory().unwrap()))
        .policies(policies)
        .action(subscription)
        .start()
}

async fn place(engine: &Engine, id: &str) {
    engine.submit(id.parse().unwrap(), Place::new().into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misbehaving_endpoint_loses_no_event_and_every_attempt_has_the_same_id() {
    let (url, seen) = endpoint().await;
    let limits =
        Limits { timeout: Duration::from_secs(2), allow_private: true, ..Limits::default() };
    let webhook = Webhook::new(&url, &[SECRET.parse().unwrap()], &limits).unwrap();
    let engine = engine(webhook);
    for (way, _) in WAYS {
        for number in 0..OF_EACH {
            place(&engine, &format!("{way}.{number}")).await;
        }
    }
    eventually("nothing is left to deliver", 120, async || {
        let actions = engine.stats().await.unwrap().actions;
        actions.iter().all(|action| action.pending == 0)
            && seen.lock().unwrap().len() == WAYS.len() * OF_EACH
    })
    .await;
    for (way, expected) in WAYS {
        for number in 0..OF_EACH {
            let ids = seen.lock().unwrap()[&format!("{way}.{number}")].clone();
            assert_eq!(ids.len(), expected, "{way}: {ids:?}");
            assert!(ids.iter().all(|id| *id == ids[0]), "{way}: {ids:?}");
        }
    }
    // Only 410 is final.
    assert_eq!(engine.stats().await.unwrap().actions[0].dead, OF_EACH as u64);
    engine.stop(Duration::from_secs(5)).await;
}
