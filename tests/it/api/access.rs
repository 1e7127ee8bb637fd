//! Every route with every role, and the answers without a token.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use autoreceive::access::{Role, TokenHash, fresh_token};
use autoreceive::http::Access;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::client::{Answer, RawClient, parse};
use crate::support::service::Service;

/// A service with one token for each role.
struct ProtectedService {
    client: RawClient,
    tokens: [String; 3],
    /// Each request comes from its own address, so that tests do not share the limit of failures.
    addresses: AtomicU8,
}

impl ProtectedService {
    async fn start() -> ProtectedService {
        let tokens = Role::ALL.map(|_| fresh_token());
        let accepted = tokens
            .iter()
            .zip(Role::ALL)
            .map(|(token, role)| (TokenHash::of(token), role))
            .collect();
        let service = Service::start_for(Access { tokens: accepted, tls: None }).await;
        ProtectedService { client: RawClient::of(service), tokens, addresses: AtomicU8::new(1) }
    }

    fn token(&self, role: Role) -> &str {
        &self.tokens[role as usize]
    }

    /// Sends a request with this `Authorization`, from its own address.
    async fn ask(&self, method: &str, path: &str, authorization: &str, body: &str) -> Answer {
        self.ask_from(
            self.addresses.fetch_add(1, Ordering::Relaxed),
            method,
            path,
            authorization,
            body,
        )
        .await
    }

    async fn ask_from(
        &self,
        host: u8,
        method: &str,
        path: &str,
        authorization: &str,
        body: &str,
    ) -> Answer {
        let media =
            if path == "/v1/commands" { "application/x-ndjson" } else { "application/json" };
        let authorization = if authorization.is_empty() {
            String::new()
        } else {
            format!("authorization: {authorization}\r\n")
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: \
            close\r\ncontent-type: {media}\r\n{authorization}"
        );
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 1, host], 0))).unwrap();
        let mut stream = socket.connect(self.client.address.parse().unwrap()).await.unwrap();
        stream
            .write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .await
            .unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        parse(&received)
    }
}

/// The specified role of a route, independent of the program's own table.
fn expected_role(method: &str, path: &str) -> Option<Role> {
    let public = ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{file}"];
    match method {
        _ if public.contains(&path) => None,
        "get" => Some(Role::Read),
        _ if path.starts_with("/v1/actions") || path.starts_with("/v1/test") => Some(Role::Operate),
        _ => Some(Role::Write),
    }
}

/// A body with which the route would change something.
fn body(path: &str) -> String {
    match path.rsplit('/').next().unwrap() {
        "orders" => json!({"order_id": "N-1", "buyer_id": "B-7"}).to_string(),
        "commands" => json!({"order_id": "N-2", "command": "place", "buyer_id": "B-7"}).to_string(),
        "place" => json!({"buyer_id": "B-7"}).to_string(),
        "release" => json!({"id": "dispute"}).to_string(),
        "hold" | "cancel" => json!({"reason": "dispute"}).to_string(),
        "replay" | "discard" => json!({"all": true}).to_string(),
        "clock" => json!({"advance": "1s"}).to_string(),
        _ => "{}".to_owned(),
    }
}

#[tokio::test]
async fn every_route_accepts_only_its_roles() {
    let guarded = ProtectedService::start().await;
    let operate = format!("Bearer {}", guarded.token(Role::Operate));
    let order = json!({"order_id": "A-1", "buyer_id": "B-7"}).to_string();
    assert_eq!(guarded.ask("POST", "/v1/orders", &operate, &order).await.status, 201);
    let document = guarded.ask("GET", "/openapi.json", "", "").await.json();
    let mut routes = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let role = expected_role(method, path);
            let said = operation["security"]
                .as_array()
                .unwrap()
                .first()
                .map(|demand| demand["token"][0].as_str().unwrap());
            assert_eq!(said, role.map(Role::as_str), "{method} {path}");
            let method = method.to_uppercase();
            let place = path
                .replace("{order_id}", "A-1")
                .replace("{file}", "index.html")
                .replace("{name}", "shop")
                .replace("{event_id}", "A-1:1");
            every_token(&guarded, &method, &place, &body(path), role).await;
            routes += 1;
        }
    }
    assert!(routes >= 27, "only {routes} routes");
}

async fn every_token(
    guarded: &ProtectedService,
    method: &str,
    path: &str,
    body: &str,
    role: Option<Role>,
) {
    let events = async || {
        guarded
            .ask("GET", "/v1/stats", &format!("Bearer {}", guarded.token(Role::Read)), "")
            .await
            .json()["events"]
            .clone()
    };
    let before = events().await;
    let hash = TokenHash::of(guarded.token(Role::Operate)).to_string();
    let token = guarded.token(Role::Operate);
    let strangers = [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Basic {token}"),
        format!("Bearer {hash}"),
        format!("Bearer {}", &token[1..]),
    ];
    for authorization in &strangers {
        let answer = guarded.ask(method, path, authorization, body).await;
        match role {
            None => assert!(answer.status < 400, "{method} {path}: {answer:?}"),
            Some(_) => {
                assert_eq!(
                    (answer.status, answer.json()["code"].as_str()),
                    (401, Some("unauthorized")),
                    "{method} {path} {authorization:?}"
                );
                assert!(answer.head.contains("\r\nwww-authenticate: bearer"), "{answer:?}");
            }
        }
    }
    let small = Role::ALL.into_iter().filter(|has| role.is_some_and(|role| *has < role));
    for has in small {
        let answer =
            guarded.ask(method, path, &format!("Bearer {}", guarded.token(has)), body).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (403, Some("role_too_small")),
            "{method} {path} as {has:?}"
        );
    }
    assert_eq!(events().await, before, "{method} {path} changed something without the role");
    for has in Role::ALL.into_iter().filter(|has| role.is_none_or(|role| *has >= role)) {
        let answer =
            guarded.ask(method, path, &format!("bearer {}", guarded.token(has)), body).await;
        assert!(
            ![401, 403, 405, 429, 500].contains(&answer.status),
            "{method} {path} as {has:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn without_a_token_existing_and_missing_orders_get_the_same_answer() {
    let guarded = ProtectedService::start().await;
    let write = format!("Bearer {}", guarded.token(Role::Write));
    let order = json!({"order_id": "A-1", "buyer_id": "B-7"}).to_string();
    assert_eq!(guarded.ask("POST", "/v1/orders", &write, &order).await.status, 201);
    let mut said: Vec<(u16, Value)> = Vec::new();
    for (method, path, body) in [
        ("GET", "/v1/orders/A-1", ""),
        ("GET", "/v1/orders/A-2", ""),
        ("GET", "/v1/orders/%FF", ""),
        ("POST", "/v1/orders/A-1/pay", "{}"),
        ("POST", "/v1/orders/A-2/pay", "{"),
        ("POST", "/v1/orders/A-1/ship", "{}"),
        ("POST", "/v1/orders", &order),
        ("HEAD", "/v1/orders/A-1", ""),
    ] {
        let answer = guarded.ask(method, path, "Bearer ar_guessed", body).await;
        if method == "HEAD" {
            assert_eq!((answer.status, answer.body.len()), (401, 0));
            continue;
        }
        said.push((answer.status, answer.json()));
    }
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
}

#[tokio::test]
async fn a_client_that_guesses_tokens_must_wait_and_one_with_a_valid_token_must_not() {
    let guarded = ProtectedService::start().await;
    let guess =
        async |host| guarded.ask_from(host, "GET", "/v1/stats", "Bearer ar_guessed", "").await;
    let mut refused = None;
    for _ in 0..200 {
        let answer = guess(200).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 401);
    }
    let refused = refused.expect("guessing has no end");
    assert_eq!(refused.json()["code"], "too_many_failures");
    assert!(refused.head.contains("\r\nretry-after: 10"), "{refused:?}");
    assert_eq!(guess(201).await.status, 401, "another address");
    let read = format!("Bearer {}", guarded.token(Role::Read));
    assert_eq!(
        guarded.ask_from(200, "GET", "/v1/stats", &read, "").await.status,
        200,
        "the same address, with a token"
    );
}
