//! The `webhook` action, with a real endpoint that checks signatures and misbehaves.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autoreceive::action::outgoing::Limits;
use autoreceive::action::webhook::{SigningSecret, Webhook};
use autoreceive::action::{Action, Outcome};
use autoreceive::domain::Event;
use autoreceive::wire::event_json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use futures_util::stream;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use super::{event, why};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A running endpoint.
struct TestEndpoint {
    secret: String,
    url: String,
    seen: Arc<EndpointState>,
}

struct EndpointState {
    signer: standardwebhooks::Webhook,
    messages: Mutex<Vec<(String, String)>>,
    forged: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    sixteen: Barrier,
    bytes_sent: AtomicUsize,
}

impl TestEndpoint {
    async fn start() -> TestEndpoint {
        let secret = SigningSecret::fresh();
        let seen = Arc::new(EndpointState {
            signer: standardwebhooks::Webhook::new(&secret).unwrap(),
            messages: Mutex::default(),
            forged: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            sixteen: Barrier::new(16),
            bytes_sent: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/ok", post(ok))
            .route("/status/{code}", post(status))
            .route("/by-id", post(by_id))
            .route("/busy", post(async || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "77")])))
            .route(
                "/redirect",
                post(async || (StatusCode::TEMPORARY_REDIRECT, [("location", "/ok")])),
            )
            .route("/hang", post(async || std::future::pending::<()>().await))
            .route("/endless", post(endless))
            .route("/together", post(together))
            .route("/slowly", post(slowly))
            .with_state(seen.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        TestEndpoint { secret, url, seen }
    }

    fn webhook(&self, path: &str) -> Webhook {
        webhook(&format!("{}{path}", self.url), &self.secret, TIMEOUT)
    }

    async fn outcome(&self, path: &str) -> Outcome {
        only(&self.webhook(path), &event("A-1", 5)).await
    }
}

fn webhook(url: &str, secret: &str, timeout: Duration) -> Webhook {
    let limits = Limits { timeout, allow_private: true, ..Limits::default() };
    Webhook::new(url, &[secret.parse().unwrap()], &limits).unwrap()
}

async fn only(webhook: &Webhook, event: &Event) -> Outcome {
    let mut outcomes = webhook.attempt(std::slice::from_ref(event)).await;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

async fn ok(State(seen): State<Arc<EndpointState>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if seen.signer.verify(&body, &headers).is_err() || headers["content-type"] != "application/json"
    {
        seen.forged.fetch_add(1, Ordering::SeqCst);
        return StatusCode::UNAUTHORIZED;
    }
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    seen.messages.lock().unwrap().push((id, String::from_utf8(body.to_vec()).unwrap()));
    StatusCode::NO_CONTENT
}

async fn status(axum::extract::Path(code): axum::extract::Path<u16>) -> StatusCode {
    StatusCode::from_u16(code).unwrap()
}

async fn by_id(headers: HeaderMap) -> StatusCode {
    match headers["webhook-id"].to_str().unwrap().rsplit(':').next().unwrap() {
        "1" => StatusCode::OK,
        "2" => StatusCode::GONE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn endless(State(seen): State<Arc<EndpointState>>) -> impl IntoResponse {
    let chunk = Bytes::from_static(&[b'x'; 16 * 1024]);
    Body::from_stream(stream::unfold((seen, chunk), |(seen, chunk)| async {
        seen.bytes_sent.fetch_add(chunk.len(), Ordering::SeqCst);
        Some((Ok::<_, Infallible>(chunk.clone()), (seen, chunk)))
    }))
}

/// Answers only when sixteen requests are in flight.
async fn together(State(seen): State<Arc<EndpointState>>) -> StatusCode {
    let now = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most_in_flight.fetch_max(now, Ordering::SeqCst);
    seen.sixteen.wait().await;
    seen.in_flight.fetch_sub(1, Ordering::SeqCst);
    StatusCode::OK
}

/// Answers after a short wait, so that requests overlap.
async fn slowly(State(seen): State<Arc<EndpointState>>) -> StatusCode {
    let now = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most_in_flight.fetch_max(now, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(5)).await;
    seen.in_flight.fetch_sub(1, Ordering::SeqCst);
    StatusCode::OK
}

/// An endpoint that reads a few bytes, calls `then` with the connection, and drops it.
async fn rude(then: fn(&tokio::net::TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 64]).await;
            then(&stream);
        }
    });
    url
}

#[tokio::test]
async fn an_event_is_signed_and_posted_under_its_own_id() {
    let endpoint = TestEndpoint::start().await;
    let event = event("주문 1.a", 5);
    assert_eq!(only(&endpoint.webhook("/ok"), &event).await, Outcome::Done);
    assert_eq!(*endpoint.seen.messages.lock().unwrap(), [(event.id(), event_json(&event))]);
}

#[tokio::test]
async fn a_repeat_carries_the_same_id_and_body() {
    let endpoint = TestEndpoint::start().await;
    let webhook = endpoint.webhook("/ok");
    let event = event("A-1", 5);
    only(&webhook, &event).await;
    only(&webhook, &event).await;
    let messages = endpoint.seen.messages.lock().unwrap();
    assert!(messages.len() == 2 && messages[0] == messages[1], "{messages:?}");
}

#[tokio::test]
async fn an_endpoint_with_another_secret_refuses_the_signature() {
    let endpoint = TestEndpoint::start().await;
    let webhook = webhook(&format!("{}/ok", endpoint.url), &SigningSecret::fresh(), TIMEOUT);
    assert_eq!(why(&only(&webhook, &event("A-1", 5)).await), "status 401");
    assert_eq!(endpoint.seen.forged.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn each_event_of_a_batch_has_its_own_outcome_in_order() {
    let endpoint = TestEndpoint::start().await;
    let events = [event("A", 3), event("B", 1), event("C", 2), event("D", 1)];
    let outcomes = endpoint.webhook("/by-id").attempt(&events).await;
    assert!(
        matches!(
            outcomes[..],
            [Outcome::Retry { .. }, Outcome::Done, Outcome::Dead { .. }, Outcome::Done]
        ),
        "{outcomes:?}"
    );
    assert_eq!(why(&outcomes[0]), "status 500");
}

#[tokio::test]
async fn at_most_sixteen_events_of_a_batch_are_posted_at_a_time() {
    let endpoint = TestEndpoint::start().await;
    let events: Vec<Event> = (1..=48).map(|version| event("A-1", version)).collect();
    let outcomes = endpoint.webhook("/together").attempt(&events).await;
    assert_eq!(outcomes, vec![Outcome::Done; 48]);
    assert_eq!(endpoint.seen.most_in_flight.load(Ordering::SeqCst), 16);
}

#[tokio::test]
async fn concurrent_attempts_share_the_limit_of_requests_to_an_endpoint() {
    let endpoint = TestEndpoint::start().await;
    let limits =
        Limits { timeout: TIMEOUT, concurrency: 3, allow_private: true, ..Limits::default() };
    let url = format!("{}/slowly", endpoint.url);
    let webhook = Webhook::new(&url, &[endpoint.secret.parse().unwrap()], &limits).unwrap();
    let events: Vec<Event> = (1..=20).map(|version| event("A-1", version)).collect();
    let attempts = (0..4).map(|_| webhook.attempt(&events));
    assert!(
        futures_util::future::join_all(attempts)
            .await
            .into_iter()
            .flatten()
            .all(|outcome| outcome == Outcome::Done)
    );
    assert_eq!(endpoint.seen.most_in_flight.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn every_status_except_2xx_and_410_is_retried() {
    let endpoint = TestEndpoint::start().await;
    for code in [400, 401, 404, 422, 500, 502, 503] {
        assert_eq!(
            endpoint.outcome(&format!("/status/{code}")).await,
            Outcome::retry(format!("status {code}"))
        );
    }
    for code in [200, 201, 202, 204] {
        assert_eq!(endpoint.outcome(&format!("/status/{code}")).await, Outcome::Done);
    }
    assert!(matches!(endpoint.outcome("/status/410").await, Outcome::Dead { .. }));
}

#[tokio::test]
async fn a_busy_endpoint_sets_the_wait() {
    let endpoint = TestEndpoint::start().await;
    let after = Some(Duration::from_secs(77));
    assert_eq!(
        endpoint.outcome("/busy").await,
        Outcome::Retry { why: "status 429".to_owned(), after }
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let endpoint = TestEndpoint::start().await;
    assert_eq!(
        why(&endpoint.outcome("/redirect").await),
        "status 307: a redirect, which is not followed"
    );
    assert!(endpoint.seen.messages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_hanging_endpoint_times_out() {
    let endpoint = TestEndpoint::start().await;
    let webhook =
        webhook(&format!("{}/hang", endpoint.url), &endpoint.secret, Duration::from_millis(300));
    assert_eq!(why(&only(&webhook, &event("A-1", 5)).await), "timed out after 300ms");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endpoint = TestEndpoint::start().await;
    assert_eq!(endpoint.outcome("/endless").await, Outcome::Done);
    // The action reads 64 KiB; socket buffers hold more bytes.
    let sent = endpoint.seen.bytes_sent.load(Ordering::SeqCst);
    assert!((64 * 1024..32 * 1024 * 1024).contains(&sent), "{sent} bytes");
}

#[tokio::test]
async fn a_broken_connection_is_retried_with_the_reason() {
    let secret = SigningSecret::fresh();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cases = [
        (format!("http://{closed}/"), "connection refused"),
        (rude(|stream| stream.set_zero_linger().unwrap()).await, "connection reset"),
        (rude(|_| {}).await, "connection"),
    ];
    for (url, expected) in cases {
        let outcome = only(&webhook(&url, &secret, TIMEOUT), &event("A-1", 5)).await;
        assert!(why(&outcome).starts_with(expected), "{url}: {outcome:?}");
    }
}

#[tokio::test]
async fn reasons_do_not_contain_the_url() {
    let secret = SigningSecret::fresh();
    for url in ["http://127.0.0.1:1/canary", "http://me:canary@127.0.0.1:1/?key=canary"] {
        let outcome = only(&webhook(url, &secret, TIMEOUT), &event("A-1", 5)).await;
        assert!(!why(&outcome).contains("canary"), "{outcome:?}");
    }
}

#[tokio::test]
async fn during_a_rotation_messages_are_signed_with_both_secrets() {
    let endpoint = TestEndpoint::start().await;
    let next = SigningSecret::fresh();
    let limits = Limits { timeout: TIMEOUT, allow_private: true, ..Limits::default() };
    let url = format!("{}/ok", endpoint.url);
    for secrets in [[&next, &endpoint.secret], [&endpoint.secret, &next]] {
        let secrets = secrets.map(|secret| secret.parse().unwrap());
        let webhook = Webhook::new(&url, &secrets, &limits).unwrap();
        assert_eq!(only(&webhook, &event("A-1", 5)).await, Outcome::Done);
    }
    assert_eq!(endpoint.seen.forged.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_private_address_is_refused_with_the_key_that_allows_it() {
    let refused = Webhook::new(
        "http://127.0.0.1:1/",
        &[SigningSecret::fresh().parse().unwrap()],
        &Limits::default(),
    );
    let why = refused.err().unwrap().to_string();
    assert!(why.starts_with("127.0.0.1 is a private address; set allow_private = true"), "{why}");
}

#[test]
fn each_new_secret_is_valid_and_different() {
    let a = SigningSecret::fresh();
    let b = SigningSecret::fresh();
    assert_ne!(a, b);
    assert_eq!(a.parse::<SigningSecret>().unwrap().expose().len(), 32);
    for wrong in [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7o!",
    ] {
        let error = wrong.parse::<SigningSecret>().unwrap_err().to_string();
        assert!(
            error.contains("autoreceive secret new")
                && (wrong.is_empty() || !error.contains("C2FV")),
            "{error}"
        );
    }
}
