use autoreceive_domain::{Policy, Terms};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::engine::{Settings, SubmitError};
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;
use crate::telemetry::Metrics;

fn engine() -> Arc<OnceLock<Engine>> {
    let policies = [Policy::new("default", Terms::default()).unwrap()];
    let (store, metrics) = (Arc::new(SqliteStore::in_memory().unwrap()), Arc::new(Metrics::default()));
    Arc::new(Engine::start(store, policies, Vec::new(), Settings::default(), metrics).into())
}

fn with_room(places: usize) -> Router {
    let (requests, streams) = (Semaphore::new(places), Arc::new(Semaphore::new(places)));
    let api = Api { requests, streams, ..Api::new(engine(), CancellationToken::new()) };
    assemble(api, &Gate::new(Tokens::default()))
}

fn post(path: &str, content_type: &str, body: &'static str) -> Request<Body> {
    Request::post(path).header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap()
}

/// Status, whether it says when to come again, and the problem.
async fn told(response: Response) -> (StatusCode, bool, Value) {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let (status, again) = (response.status(), response.headers().contains_key(header::RETRY_AFTER));
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, again, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn where_there_is_no_room_a_request_is_told_at_once_to_come_again_and_health_is_still_answered() {
    let router = with_room(0);
    for request in [
        post("/v1/orders", "application/json", r#"{"order_id":"A-1","buyer_id":"B-7"}"#),
        post("/v1/orders/A-1/pay", "application/json", "{}"),
        post("/v1/commands", "application/x-ndjson", ""),
        Request::get("/v1/orders/A-1").body(Body::empty()).unwrap(),
        Request::get("/v1/orders?view=held").body(Body::empty()).unwrap(),
        Request::get("/v1/stats").body(Body::empty()).unwrap(),
    ] {
        let (status, again, problem) = told(router.clone().oneshot(request).await.unwrap()).await;
        assert_eq!((status, again, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, true, &json!("overloaded")));
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_finished_request_makes_room_for_the_next() {
    let router = with_room(1);
    for _ in 0..3 {
        let request = post("/v1/commands", "application/x-ndjson", r#"{"order_id":"A-1","command":"place","buyer_id":"B-7"}"#);
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let request = post("/v1/orders/A-1/pay", "application/json", "");
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_given_up() {
    let router: Router = Router::new().route("/", get(std::future::pending::<()>)).layer(from_fn(guard::answer_in_time));
    let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let (status, again, problem) = told(response).await;
    assert_eq!((status, again, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, true, &json!("timed_out")));
}

#[tokio::test]
async fn a_panic_is_answered_and_says_nothing_about_itself() {
    async fn panics() -> &'static str {
        panic!("secret")
    }
    let router: Router = Router::new().route("/", get(panics)).layer(CatchPanicLayer::custom(problem::panicked));
    let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let (status, again, problem) = told(response).await;
    assert_eq!((status, again, &problem["code"]), (StatusCode::INTERNAL_SERVER_ERROR, false, &json!("internal")));
    assert!(!problem.to_string().contains("secret"));
}

#[tokio::test]
async fn what_the_engine_cannot_answer_is_told_without_the_store_s_details() {
    let away = || "redis://user:secret@10.0.0.1".to_owned();
    for (problem, expected, code) in [
        (Problem::from(SubmitError::Overloaded), StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        (Problem::from(SubmitError::Stopping), StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (Problem::from(SubmitError::Store(away())), StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
        (Problem::from(StoreError::Unavailable(away())), StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
        (Problem::from(SubmitError::Unreadable("order A-1".to_owned())), StatusCode::INTERNAL_SERVER_ERROR, "unreadable"),
    ] {
        let (status, again, problem) = told(problem.into_response()).await;
        assert_eq!((status, again, &problem["code"]), (expected, expected == StatusCode::SERVICE_UNAVAILABLE, &json!(code)));
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
}

#[tokio::test]
async fn a_page_of_the_service_itself_may_change_orders_and_no_other_page_may() {
    let router = router(engine(), Tokens::default(), CancellationToken::new());
    for (origin, host, expected) in [
        ("http://localhost:8080", "localhost:8080", StatusCode::NOT_FOUND),
        ("https://Shop.Example", "shop.example", StatusCode::NOT_FOUND),
        ("http://evil.example", "localhost:8080", StatusCode::FORBIDDEN),
        ("http://localhost:8081", "localhost:8080", StatusCode::FORBIDDEN),
        ("null", "localhost:8080", StatusCode::FORBIDDEN),
        ("", "localhost:8080", StatusCode::FORBIDDEN),
    ] {
        let request = Request::post("/v1/orders/A-1/pay").header(header::ORIGIN, origin).header(header::HOST, host);
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected, "{origin:?} → {host}");
    }
}
