//! A client that sends its bytes unchanged: no library normalises a path or a header.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::service::Service;

/// The longest wait for an answer.
const BOUND: Duration = Duration::from_secs(60);

/// A client and its service.
pub struct RawClient {
    /// The service.
    pub service: Service,
    /// The host and port of its API.
    pub address: String,
}

/// An unchanged answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as lines of JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.body
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

impl RawClient {
    /// A client of a new service.
    pub async fn start() -> RawClient {
        RawClient::of(Service::start_sqlite().await)
    }

    /// A client of `service`.
    pub fn of(service: Service) -> RawClient {
        let address = service.url.trim_start_matches("http://").to_owned();
        RawClient { service, address }
    }

    /// Sends these bytes and reads the answer until the connection ends.
    pub async fn send(&self, bytes: &[u8]) -> Answer {
        let (mut reader, mut writer) =
            TcpStream::connect(&self.address).await.unwrap().into_split();
        let mut received = Vec::new();
        let write = async {
            // The service may close the connection before everything is written.
            let _ = writer.write_all(bytes).await;
        };
        let read = async {
            // It may also reset the connection after its answer.
            let _ = reader.read_to_end(&mut received).await;
        };
        tokio::time::timeout(BOUND, async { tokio::join!(write, read) }).await.expect("no answer");
        parse(&received)
    }

    /// Sends a request with these headers, one per line.
    pub async fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        let headers: String = headers.lines().map(|header| format!("{header}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}{length}\r\n",
            self.address
        );
        self.send(&[head.as_bytes(), body].concat()).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, "content-type: application/json", body.to_string().as_bytes())
            .await
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "", b"").await
    }

    /// Posts lines.
    pub async fn bulk(&self, lines: impl AsRef<[u8]>) -> Vec<Value> {
        let answer = self
            .request("POST", "/v1/commands", "content-type: application/x-ndjson", lines.as_ref())
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.lines()
    }
}

/// Reads an answer.
pub fn parse(received: &[u8]) -> Answer {
    let end = received
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {received:?}"));
    let head = String::from_utf8(received[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &received[end + 4..];
    let body =
        if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_vec() };
    Answer { status, head, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..][..length]);
        rest = &rest[end + 2 + length + 2..];
    }
    panic!("the answer broke off after {} bytes", body.len());
}
