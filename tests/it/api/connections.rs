//! Slow, greedy or broken clients do not affect others.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::RawClient;

/// Longer than any limit that ends a connection in these tests.
const BOUND: Duration = Duration::from_secs(60);

async fn end_of(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let read = tokio::time::timeout(BOUND, stream.read_to_end(&mut received));
    let _ = read.await.expect("the connection stays open");
    received
}

#[tokio::test]
async fn idle_and_slow_connections_are_closed_while_others_are_served() {
    let client = RawClient::start().await;
    let open = async |text: &str| {
        let mut stream = TcpStream::connect(&client.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    };
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(open("POST /v1/orders HTTP/1.1\r\nhost: localhost\r\n").await);
    }
    let half = "POST /v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
        application/json\r\ncontent-length: 100\r\n\r\n{";
    let body = open(half).await;
    let unused = open("").await;
    let kept = open("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(
        client.post("/v1/orders", &json!({"order_id": "A-1", "buyer_id": "B-7"})).await.status,
        201
    );
    let (slow, ended, unused, kept) =
        tokio::join!(end_of(body), end_of(silent.remove(0)), end_of(unused), end_of(kept));
    assert_eq!(unused, b"");
    assert!(String::from_utf8_lossy(&kept).ends_with("ok\n"));
    let slow = String::from_utf8_lossy(&slow).into_owned();
    assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("\"too_slow\""), "{slow}");
    assert!(!String::from_utf8_lossy(&ended).contains(" 200 "));
}

#[tokio::test]
async fn an_endless_body_is_cut_off_at_its_limit() {
    let client = RawClient::start().await;
    let (mut reader, mut writer) = TcpStream::connect(&client.address).await.unwrap().into_split();
    let head = "POST /v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
        application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    writer.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let endless = async { while writer.write_all(&chunk).await.is_ok() {} };
    let mut received = Vec::new();
    let read = async {
        let _ = reader.read_to_end(&mut received).await;
    };
    tokio::time::timeout(BOUND, async { tokio::join!(endless, read) })
        .await
        .expect("the service reads on and on");
    let received = String::from_utf8_lossy(&received);
    assert!(received.is_empty() || received.starts_with("HTTP/1.1 413"), "{received}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let client = RawClient::start().await;
    let header = format!("x-long: {}", "x".repeat(100_000));
    let answer = client.request("GET", "/healthz", &header, b"").await;
    assert_eq!(answer.status, 431, "{answer:?}");
    let many = "x-many: 1\n".repeat(1_000);
    assert_eq!(client.request("GET", "/healthz", &many, b"").await.status, 431);
}

#[tokio::test]
async fn bytes_that_are_not_http_are_refused() {
    let client = RawClient::start().await;
    for bytes in [
        b"\x16\x03\x01\x02\x00".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ] {
        let answer = client.send(bytes).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}

#[tokio::test]
async fn answers_are_not_cached() {
    let client = RawClient::start().await;
    for path in ["/v1/stats", "/nowhere"] {
        let answer = client.get(path).await;
        assert!(answer.head.contains("\r\ncache-control: no-store"), "{}", answer.head);
    }
}

#[tokio::test]
async fn an_idle_api_stops_at_once() {
    let client = RawClient::start().await;
    let idle = TcpStream::connect(&client.address).await.unwrap();
    assert_eq!(client.get("/healthz").await.status, 200);
    client.service.stop_api.cancel();
    client.service.serving.await.unwrap().unwrap();
    assert_eq!(end_of(idle).await, b"");
    assert!(TcpStream::connect(&client.address).await.is_err());
}

#[tokio::test]
async fn hundreds_can_connect_before_the_first_one_is_accepted() {
    let listener = autoreceive::http::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let connected = (0..300).map(|i| {
        std::net::TcpStream::connect_timeout(&address, BOUND / 6)
            .unwrap_or_else(|error| panic!("{i}: {error}"))
    });
    assert_eq!(connected.collect::<Vec<_>>().len(), 300);
}
