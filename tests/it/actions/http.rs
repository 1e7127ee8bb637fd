//! The `http` action, against a real gateway.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autoreceive::action::http::{ExpectedValue, Http, Request};
use autoreceive::action::outgoing::Limits;
use autoreceive::action::template::Secrets;
use autoreceive::action::{Action, Outcome};
use autoreceive::domain::words::Data;
use autoreceive::domain::{Event, Order};
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde_json::{Value, json};

use super::{event, why};

/// The requests: method, URL, headers, body.
pub type SeenRequests = Arc<Mutex<Vec<(String, String, axum::http::HeaderMap, String)>>>;

pub async fn gateway(answer: &'static str) -> (String, SeenRequests) {
    let seen = SeenRequests::default();
    let take = async move |State(seen): State<SeenRequests>, request: axum::extract::Request| {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let request = (
            parts.method.to_string(),
            parts.uri.to_string(),
            parts.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        );
        seen.lock().unwrap().push(request);
        answer.into_response()
    };
    let router = Router::new().fallback(take).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

fn request(url: String) -> Request {
    let secrets = Secrets(BTreeMap::from([("TOKEN".to_owned(), "canary-7".to_owned())]));
    Request { method: Method::POST, url, headers: Vec::new(), body: None, secrets, expected: None }
}

fn header(name: &'static str, value: &str) -> (HeaderName, String) {
    (HeaderName::from_static(name), value.to_owned())
}

/// The receipt of an order with `data`.
fn event_with(data: Value) -> Event {
    let order = Order {
        data: Some(Data::new(&data.to_string()).unwrap()),
        ..(*event("주문/1", 5).0).clone()
    };
    Event(Arc::new(order))
}

async fn send(request: Request, event: &Event) -> Outcome {
    let limits =
        Limits { timeout: Duration::from_secs(20), allow_private: true, ..Limits::default() };
    Http::new(request, &limits).unwrap().attempt(std::slice::from_ref(event)).await.remove(0)
}

fn dead(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Dead { why } => why,
        other => panic!("{other:?} is not final"),
    }
}

/// A value in an order that tries to leave its placeholder.
const HOSTILE: &str = "\", \"to\": \"x\"}&to=x#/../%2e%2e?\\ 가 {{ env.TOKEN }} <b>";

#[tokio::test]
async fn a_request_is_built_from_the_event_and_the_secrets() {
    let (url, seen) = gateway("").await;
    let body = r#"{"to": {{ data.order.data.phone }}, "text": {{ "주문 " ~ data.order.order_id }},
        "n": {{ data.order.version }}, "id": {{ id }}}"#;
    let headers =
        vec![header("authorization", "Bearer {{ env.TOKEN }}"), header("x-type", "{{ type }}")];
    let url = format!("{url}/send/{{{{ data.order.order_id }}}}?v={{{{ data.order.version }}}}");
    let request = Request { headers, body: Some(body.to_owned()), ..request(url) };
    assert_eq!(send(request, &event_with(json!({"phone": "010-1234-5678"}))).await, Outcome::Done);
    let (method, uri, headers, body) = seen.lock().unwrap().remove(0);
    assert_eq!((method.as_str(), uri.as_str()), ("POST", "/send/%EC%A3%BC%EB%AC%B8%2F1?v=5"));
    assert_eq!(
        (&headers["authorization"], &headers["x-type"]),
        (&"Bearer canary-7".parse().unwrap(), &"order.received".parse().unwrap())
    );
    assert_eq!(headers["content-type"], "application/json");
    let expected = json!({
        "to": "010-1234-5678",
        "text": "주문 주문/1",
        "n": 5,
        "id": "%EC%A3%BC%EB%AC%B8%2F1:5",
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
}

#[tokio::test]
async fn order_data_cannot_change_the_structure_of_a_request() {
    let (url, seen) = gateway("").await;
    let event = event_with(json!({"x": HOSTILE}));
    let of_type = |value| vec![header("content-type", value)];
    let cases = [
        (of_type("application/json"), r#"{"text": {{ data.order.data.x }}}"#),
        (
            of_type("application/x-www-form-urlencoded"),
            "key={{ env.TOKEN }}&text={{ data.order.data.x }}",
        ),
    ];
    for (headers, body) in cases {
        let url = format!("{url}/a/{{{{ data.order.data.x }}}}/b?c={{{{ data.order.data.x }}}}");
        assert_eq!(
            send(Request { headers, body: Some(body.to_owned()), ..request(url) }, &event).await,
            Outcome::Done
        );
    }
    let seen = seen.lock().unwrap();
    for (_, uri, _, _) in seen.iter() {
        let url: reqwest::Url = format!("http://h{uri}").parse().unwrap();
        assert_eq!(url.path_segments().unwrap().count(), 3, "{uri}");
        assert_eq!(url.query_pairs().collect::<Vec<_>>(), [("c".into(), HOSTILE.into())], "{uri}");
    }
    assert_eq!(serde_json::from_str::<Value>(&seen[0].3).unwrap(), json!({"text": HOSTILE}));
    let form: reqwest::Url = format!("http://h/?{}", seen[1].3).parse().unwrap();
    assert_eq!(
        form.query_pairs().collect::<Vec<_>>(),
        [("key".into(), "canary-7".into()), ("text".into(), HOSTILE.into())]
    );
}

#[tokio::test]
async fn an_unsendable_event_is_final_with_a_reason_without_secrets() {
    let (url, seen) = gateway("").await;
    let event = event_with(json!({"x": "a\r\nx-admin: 1", "dots": "..", "n": [1]}));
    let with = |rest: &str| format!("{url}/{rest}");
    let headers = vec![header("x-text", "{{ data.order.data.x }}")];
    let cases = [
        (
            Request { headers, ..request(with("")) },
            "headers.x-text: a control character cannot be sent in a header",
        ),
        (
            request(with("{{ data.order.data.dots }}/admin")),
            "url: line 1: invalid operation: the values \".\" and \"..\" are not allowed in a URL",
        ),
        (
            request(with("{{ data.order.data.missing }}")),
            "url: line 1: a value that the order does not have",
        ),
        (
            request(with("{{ data.order.data.n }}")),
            "url: line 1: a value that the order does not have",
        ),
        (
            Request {
                body: Some("{\"a\":\n {{ data.order.data.missing }} }".to_owned()),
                ..request(with(""))
            },
            "body: line 2: a value that the order does not have",
        ),
        (
            Request {
                body: Some("{\"a\": \"{{ data.order.data.x }}\"}".to_owned()),
                ..request(with(""))
            },
            "body: the filled-in template is not JSON; {{ … }} writes the quotes of a text by \
             itself",
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(dead(&send(request, &event).await), expected);
    }
    let endless = Request {
        body: Some(
            "{% for i in range(100000) %}{% for j in range(100000) %}1{% endfor %}{% endfor %}"
                .to_owned(),
        ),
        ..request(with(""))
    };
    assert!(dead(&send(endless, &event).await).contains("fuel"));
    let failing = Request { body: Some("{{ env.TOKEN | int }}".to_owned()), ..request(with("")) };
    assert!(!dead(&send(failing, &event).await).contains("canary"));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn success_can_depend_on_a_value_in_the_answer() {
    let expected = |value: &str| {
        Some(ExpectedValue { pointer: "/result/code".to_owned(), value: value.to_owned() })
    };
    let cases = [
        (r#"{"result": {"code": 1}}"#, "1", None),
        (r#"{"result": {"code": "1"}}"#, "1", None),
        (r#"{"result": {"code": true}}"#, "true", None),
        (
            r#"{"result": {"code": -101}}"#,
            "1",
            Some("the answer's /result/code is \"-101\", not \"1\""),
        ),
        (
            r#"{"result": {"code": "bad key canary-7"}}"#,
            "1",
            Some("the answer's /result/code is \"bad key ***\", not \"1\""),
        ),
        (r#"{"code": 1}"#, "1", Some("the answer has no /result/code")),
        ("<html>", "1", Some("the answer is not JSON of at most 64 KiB")),
    ];
    for (answer, value, reason) in cases {
        let (url, _) = gateway(answer).await;
        let outcome = send(
            Request { expected: expected(value), ..request(format!("{url}/")) },
            &event("A-1", 5),
        )
        .await;
        match reason {
            None => assert_eq!(outcome, Outcome::Done, "{answer}"),
            Some(reason) => assert_eq!(why(&outcome), reason),
        }
    }
}

#[tokio::test]
async fn failures_do_not_reveal_secrets() {
    let request = request("http://127.0.0.1:1/{{ env.TOKEN }}".to_owned());
    assert_eq!(why(&send(request, &event("A-1", 5)).await), "connection refused");
}
