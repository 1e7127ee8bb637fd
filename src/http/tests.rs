use autoreceive_domain::{Policy, Terms};
use axum::body::Body;
use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::*;
use crate::engine::StoreError;
use crate::engine::SubmitError;
use crate::telemetry::Telemetry;
use autoreceive_store_sqlite::SqliteStore;

fn engine() -> Arc<OnceLock<Engine>> {
    let policies = [Policy::new("default", Terms::default()).unwrap()];
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    Arc::new(Engine::builder(store).policies(policies).start().into())
}

fn with_limit(limit: usize) -> ApiService {
    let api = Api {
        requests: Semaphore::new(limit),
        streams: Arc::new(Semaphore::new(limit)),
        ..Api::new(engine(), Telemetry::default(), CancellationToken::new())
    };
    ApiService::new(api, Tokens::default())
}

fn post(path: &str, content_type: &str, body: &'static str) -> Request {
    Request::post(path).header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap()
}

/// The status, whether there is a Retry-After header, and the problem.
async fn problem_of(response: Response) -> (StatusCode, bool, Value) {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let status = response.status();
    let again = response.headers().contains_key(header::RETRY_AFTER);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, again, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn at_the_request_limit_requests_get_503_at_once_and_health_is_still_answered() {
    let service = with_limit(0);
    for request in [
        post("/v1/orders", "application/json", r#"{"order_id":"A-1","buyer_id":"B-7"}"#),
        post("/v1/orders/A-1/pay", "application/json", "{}"),
        post("/v1/commands", "application/x-ndjson", ""),
        Request::get("/v1/orders/A-1").body(Body::empty()).unwrap(),
        Request::get("/v1/orders?view=held").body(Body::empty()).unwrap(),
        Request::get("/v1/stats").body(Body::empty()).unwrap(),
    ] {
        let (status, again, problem) = problem_of(service.clone().answer(request).await).await;
        assert_eq!(
            (status, again, &problem["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, true, &json!("overloaded"))
        );
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(service.clone().answer(request).await.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn an_unknown_policy_is_an_invalid_value_in_a_request_and_on_a_line() {
    let service = with_limit(1);
    let title = "policy \"Gold\" is not configured; expected one of default";
    let order = r#"{"order_id":"A-1","buyer_id":"B-7","policy":"Gold"}"#;
    let answer = service.clone().answer(post("/v1/orders", "application/json", order)).await;
    let (status, _, problem) = problem_of(answer).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["title"], title);
    assert_eq!((&problem["code"], &problem["field"]), (&json!("invalid"), &json!("policy")));
    let line = r#"{"order_id":"A-1","command":"place","buyer_id":"B-7","policy":"Gold"}"#;
    let answer = service.answer(post("/v1/commands", "application/x-ndjson", line)).await;
    let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
    let error = json!({"code": "invalid", "title": title, "field": "policy"});
    let expected = json!({"line": 1, "order_id": "A-1", "result": "invalid", "error": error});
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
}

#[tokio::test]
async fn a_finished_request_frees_its_permit() {
    let service = with_limit(1);
    for _ in 0..3 {
        let request = post(
            "/v1/commands",
            "application/x-ndjson",
            r#"{"order_id":"A-1","command":"place","buyer_id":"B-7"}"#,
        );
        let response = service.clone().answer(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let request = post("/v1/orders/A-1/pay", "application/json", "");
        assert_eq!(service.clone().answer(request).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn an_idle_stream_is_closed_when_another_one_waits() {
    let service = with_limit(1);
    let bulk = |body: Body| {
        Request::post("/v1/commands")
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(body)
            .unwrap()
    };
    let endless = futures_util::stream::pending::<Result<Bytes, Infallible>>();
    let slow = service.clone().answer(bulk(Body::from_stream(endless))).await;
    assert_eq!(slow.status(), StatusCode::OK);
    let (status, again, _) = problem_of(service.clone().answer(bulk(Body::empty())).await).await;
    assert_eq!((status, again), (StatusCode::SERVICE_UNAVAILABLE, true));
    let body = axum::body::to_bytes(slow.into_body(), 10_000).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["code"], "too_slow");
    assert_eq!(service.answer(bulk(Body::empty())).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_stream_whose_answers_are_not_read_is_cut_off_when_another_one_waits() {
    let service = with_limit(1);
    let lines = "{\"order_id\":\"A-1\",\"command\":\"pay\"}\n".repeat(10_000);
    let bulk = |body: Body| {
        Request::post("/v1/commands")
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(body)
            .unwrap()
    };
    let untaken = service.clone().answer(bulk(Body::from(lines))).await;
    let (status, again, _) = problem_of(service.clone().answer(bulk(Body::empty())).await).await;
    assert_eq!((status, again), (StatusCode::SERVICE_UNAVAILABLE, true));
    while service.clone().answer(bulk(Body::empty())).await.status() != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(axum::body::to_bytes(untaken.into_body(), usize::MAX).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_times_out() {
    for (is_read, body) in [(false, "Repeating it is safe"), (true, "Try again in a moment.")] {
        let (status, again, problem) =
            problem_of(in_time(std::future::pending(), is_read).await).await;
        assert_eq!(
            (status, again, &problem["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, true, &json!("timed_out"))
        );
        assert!(problem["detail"].as_str().unwrap().contains(body), "{problem}");
    }
}

#[tokio::test]
async fn a_panic_is_answered_without_its_message() {
    let response = in_time(async { panic!("secret") }, false).await;
    let (status, again, problem) = problem_of(response).await;
    assert_eq!(
        (status, again, &problem["code"]),
        (StatusCode::INTERNAL_SERVER_ERROR, false, &json!("internal"))
    );
    assert!(!problem.to_string().contains("secret"));
}

#[tokio::test]
async fn errors_of_the_store_are_answered_without_its_details() {
    let away = || "redis://user:secret@10.0.0.1".to_owned();
    for (problem, expected, code) in [
        (Problem::from(SubmitError::Overloaded), StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        (Problem::from(SubmitError::Stopping), StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (
            Problem::from(SubmitError::Store(away())),
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
        ),
        (
            Problem::from(SubmitError::Store(away())).of_read(),
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
        ),
        (
            Problem::from(StoreError::Unavailable(away())),
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
        ),
        (
            Problem::from(SubmitError::Unreadable("order A-1".to_owned())),
            StatusCode::INTERNAL_SERVER_ERROR,
            "unreadable",
        ),
    ] {
        let (status, again, problem) = problem_of(problem.into_response()).await;
        assert_eq!(
            (status, again, &problem["code"]),
            (expected, expected == StatusCode::SERVICE_UNAVAILABLE, &json!(code))
        );
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
}

fn with_token() -> (ApiService, String) {
    let token = crate::access::fresh_token();
    let tokens = [(crate::access::TokenHash::of(&token), Role::Write)].into_iter().collect();
    (
        ApiService::new(Api::new(engine(), Telemetry::default(), CancellationToken::new()), tokens),
        format!("Bearer {token}"),
    )
}

#[tokio::test]
async fn only_pages_of_the_service_itself_may_change_orders() {
    let (service, bearer) = with_token();
    for (origin, host, expected) in [
        ("http://localhost:8080", "localhost:8080", StatusCode::NOT_FOUND),
        ("https://Shop.Example", "shop.example", StatusCode::NOT_FOUND),
        ("http://evil.example", "localhost:8080", StatusCode::FORBIDDEN),
        ("http://localhost:8081", "localhost:8080", StatusCode::FORBIDDEN),
        ("null", "localhost:8080", StatusCode::FORBIDDEN),
        ("", "localhost:8080", StatusCode::FORBIDDEN),
    ] {
        let request = Request::post("/v1/orders/A-1/pay")
            .header(header::ORIGIN, origin)
            .header(header::HOST, host);
        let request = request.header(header::AUTHORIZATION, &bearer).body(Body::empty()).unwrap();
        assert_eq!(service.clone().answer(request).await.status(), expected, "{origin:?} → {host}");
    }
}

#[tokio::test]
async fn without_tokens_only_hosts_of_this_machine_are_answered() {
    let open = with_limit(1);
    let (guarded, bearer) = with_token();
    for (host, is_ours) in [
        ("localhost:8780", true),
        ("LocalHost", true),
        ("shop.localhost:1", true),
        ("127.0.0.1:8780", true),
        ("127.9.9.9", true),
        ("[::1]:8780", true),
        ("[::ffff:127.0.0.1]", true),
        // A page whose name resolves to a loopback address would have the same origin.
        ("evil.example:8780", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("evillocalhost", false),
        ("192.168.0.7:8780", false),
        ("0.0.0.0:8780", false),
        ("2130706433", false),
        ("user@127.0.0.1@evil.example", false),
        ("", false),
    ] {
        for (method, origin) in
            [("GET", None), ("POST", None), ("POST", Some(format!("http://{host}")))]
        {
            let path = if method == "GET" { "/v1/stats" } else { "/v1/orders/A-1/pay" };
            let request = |bearer: &str| {
                let mut request =
                    Request::builder().method(method).uri(path).header(header::HOST, host);
                if let Some(origin) = &origin {
                    request = request.header(header::ORIGIN, origin);
                }
                request.header(header::AUTHORIZATION, bearer).body(Body::empty()).unwrap()
            };
            let answered = if method == "GET" { StatusCode::OK } else { StatusCode::NOT_FOUND };
            let expected = if is_ours { answered } else { StatusCode::FORBIDDEN };
            assert_eq!(
                open.clone().answer(request("")).await.status(),
                expected,
                "{method} {host:?} {origin:?}"
            );
            assert_eq!(
                guarded.clone().answer(request(&bearer)).await.status(),
                answered,
                "{method} {host:?} with a token"
            );
        }
    }
    let unnamed = Request::get("/v1/stats").body(Body::empty()).unwrap();
    assert_eq!(open.answer(unnamed).await.status(), StatusCode::OK);
}
