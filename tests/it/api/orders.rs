//! The life of an order through the API.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::RawClient;

#[tokio::test]
async fn an_order_is_placed_once_and_a_different_one_with_its_id_is_refused() {
    let client = RawClient::start().await;
    let order = json!({
        "order_id": "A-1",
        "buyer_id": "B-7",
        "amount": 59000,
        "currency": "KRW",
        "data": {"cart": [1, "주문"]},
    });
    let first = client.post("/v1/orders", &order).await;
    assert_eq!(first.status, 201, "{first:?}");
    let shown = first.json();
    assert_eq!(
        (&shown["status"], &shown["version"], &shown["data"]),
        (&json!("PENDING_PAYMENT"), &json!(1), &order["data"])
    );
    let again = client.post("/v1/orders", &order).await;
    assert_eq!((again.status, again.json()), (200, shown));
    let other = client.post("/v1/orders", &json!({"order_id": "A-1", "buyer_id": "B-8"})).await;
    assert_eq!((other.status, other.json()["code"].as_str()), (409, Some("order_exists")));
    assert_eq!(client.get("/v1/orders/A-1").await.json()["version"], 1);
}

#[tokio::test]
async fn an_order_goes_through_its_life_and_repeats_change_nothing() {
    let client = RawClient::start().await;
    client
        .post("/v1/orders", &json!({"order_id": "A-1", "buyer_id": "B-7", "policy": "parcel"}))
        .await;
    let steps = [
        ("pay", json!({}), "PAID"),
        ("ship", json!({"carrier": "CJ", "tracking": "123"}), "SHIPPED"),
        ("deliver", json!({}), "DELIVERED"),
        ("extend", json!({"number": 1}), "DELIVERED"),
        ("hold", json!({"reason": "dispute"}), "DELIVERED"),
        ("release", json!({"id": "dispute"}), "DELIVERED"),
        ("receive", json!({"by": "operator"}), "RECEIVED"),
        ("refund", json!({"reason": "goodwill"}), "REFUNDED"),
    ];
    for (version, (command, fields, status)) in (2..).zip(steps) {
        let path = format!("/v1/orders/A-1/{command}");
        let first = client.post(&path, &fields).await;
        assert_eq!(
            (first.status, &first.json()["status"], &first.json()["version"]),
            (200, &json!(status), &json!(version)),
            "{command}"
        );
        let again = client.post(&path, &fields).await;
        assert_eq!((again.status, again.json()), (200, first.json()), "{command} again");
    }
    let shown = client.get("/v1/orders/A-1").await.json();
    assert_eq!(shown["last_event"], json!({"type": "order.refunded", "cause": "shop"}));
    assert_eq!(
        (&shown["carrier"], &shown["reason"], &shown["clock"]),
        (&json!("CJ"), &json!("goodwill"), &Value::Null)
    );
    assert_eq!(
        (&shown["terms"]["receive_after"], &shown["terms"]["starts_at"]),
        (&json!("7d"), &json!("delivered"))
    );
}

#[tokio::test]
async fn a_command_without_fields_needs_no_body() {
    let client = RawClient::start().await;
    client.post("/v1/orders", &json!({"order_id": "A-1", "buyer_id": "B-7"})).await;
    let answer = client.request("POST", "/v1/orders/A-1/pay", "", b"").await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("PAID")));
}

#[tokio::test]
async fn a_refused_command_gets_the_list_of_permitted_commands() {
    let client = RawClient::start().await;
    let missing = client.post("/v1/orders/A-1/pay", &json!({})).await;
    assert_eq!((missing.status, missing.json()["code"].as_str()), (404, Some("order_not_found")));
    client.post("/v1/orders", &json!({"order_id": "A-1", "buyer_id": "B-7"})).await;
    let early = client.post("/v1/orders/A-1/ship", &json!({})).await;
    let problem = json!({
        "type": "about:blank", "code": "not_shippable", "title": "order A-1 is PENDING_PAYMENT \
            and cannot be shipped", "status": 409,
        "order_status": "PENDING_PAYMENT", "allowed": ["pay", "cancel"],
    });
    assert_eq!((early.status, early.json()), (409, problem));
    let ahead = client.post("/v1/orders/A-1/pay", &json!({"at": "9999-01-01T00:00:00Z"})).await;
    assert_eq!((ahead.status, ahead.json()["code"].as_str()), (422, Some("at_in_future")));
    assert_eq!(client.get("/v1/orders/A-1").await.json()["version"], 1);
}

/// The error that `docs/errors.md` shows in full.
fn shown_error() -> Value {
    let document = include_str!("../../../docs/errors.md");
    let block: Vec<&str> = document
        .lines()
        .skip_while(|line| !line.starts_with("    {"))
        .take_while(|line| !line.is_empty())
        .collect();
    serde_json::from_str(&block.concat()).unwrap()
}

#[tokio::test]
async fn a_cancelled_order_answers_as_in_the_errors_document() {
    let client = RawClient::start().await;
    let refused = async |id: &str, paid: bool| {
        client.post("/v1/orders", &json!({"order_id": id, "buyer_id": "B-7"})).await;
        for command in ["pay", "cancel", "ship"].into_iter().skip(usize::from(!paid)) {
            let fields =
                if command == "cancel" { json!({"reason": "out of stock"}) } else { json!({}) };
            let answer = client.post(&format!("/v1/orders/{id}/{command}"), &fields).await;
            if command == "ship" {
                return answer.json();
            }
        }
        unreachable!("the last command is to ship")
    };
    assert_eq!(refused("A-1", false).await, shown_error());
    // An order that was paid and then cancelled permits no command: the shop refunds the buyer.
    assert_eq!(refused("A-2", true).await.get("allowed"), None);
}

#[tokio::test]
async fn an_id_may_have_any_character_that_a_path_can_encode() {
    let client = RawClient::start().await;
    let ids = [
        ("a/b", "a%2Fb"),
        ("주문 1", "%EC%A3%BC%EB%AC%B8%201"),
        ("50%|{x}:?#", "50%25%7C%7Bx%7D%3A%3F%23"),
        ("pay", "pay"),
        ("..", "%2E%2E"),
    ];
    for (id, encoded) in ids {
        let placed = client
            .post("/v1/orders", &json!({"order_id": id, "buyer_id": "B-7", "policy": "parcel"}))
            .await;
        assert_eq!(placed.status, 201, "{placed:?}");
        let paid = client.request("POST", &format!("/v1/orders/{encoded}/pay"), "", b"").await;
        assert_eq!((paid.status, paid.json()["order_id"].as_str()), (200, Some(id)));
        assert_eq!(client.get(&format!("/v1/orders/{encoded}")).await.json()["policy"], "parcel");
    }
}

#[tokio::test]
async fn pages_list_every_order_once() {
    let client = RawClient::start().await;
    for i in 0..7 {
        let at = format!("2026-01-01T00:00:0{i}Z");
        let placed = client
            .post(
                "/v1/orders",
                &json!({
                    "order_id": format!("A-{i}"),
                    "buyer_id": "B-7",
                    "receive_after": "3650d",
                    "paid_at": at,
                }),
            )
            .await;
        assert_eq!(placed.status, 201, "{placed:?}");
    }
    client.post("/v1/orders/A-3/hold", &json!({"reason": "dispute"})).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("/v1/orders?view=upcoming&limit=4{cursor}")).await.json();
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["order_id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["cursor"].as_str() else { break };
        let encoded: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
        cursor = format!("&cursor={encoded}");
        assert!(seen.len() < 20, "the pages do not end: {seen:?}");
    }
    assert_eq!(seen, ["A-0", "A-1", "A-2", "A-4", "A-5", "A-6"]);
    let held = client.get("/v1/orders?view=held").await.json();
    assert_eq!(
        (&held["items"][0]["order_id"], &held["items"][0]["order"]["clock"]["state"]),
        (&json!("A-3"), &json!("paused"))
    );
    assert_eq!(client.get("/v1/orders?view=overdue").await.json()["items"], json!([]));
}

#[tokio::test]
async fn figures_and_health_are_answered() {
    let client = RawClient::start().await;
    client.post("/v1/orders", &json!({"order_id": "A-1", "buyer_id": "B-7"})).await;
    client.post("/v1/orders/A-1/pay", &json!({})).await;
    let stats = client.get("/v1/stats").await.json();
    assert_eq!(
        (&stats["orders"]["PAID"], &stats["orders"]["PENDING_PAYMENT"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&stats["waiting"], &stats["overdue"], &stats["held"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let count = |kind| json!({"type": kind, "cause": "shop", "count": 1});
    let mut events = stats["events"].as_array().unwrap().clone();
    events.sort_by_key(Value::to_string);
    assert_eq!(events, [count("order.paid"), count("order.placed")]);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(client.get(path).await.body, b"ok\n");
    }
    let metrics = client.get("/metrics").await;
    assert!(
        metrics.head.contains("content-type: application/openmetrics-text"),
        "{}",
        metrics.head
    );
    assert!(metrics.body.ends_with(b"# EOF\n"));
}

#[tokio::test]
async fn a_service_that_is_shutting_down_says_so_and_asks_for_a_retry() {
    let client = RawClient::start().await;
    client.service.engine.stop(Duration::from_secs(10)).await;
    let answer = client.post("/v1/orders", &json!({"order_id": "A-1", "buyer_id": "B-7"})).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("stopping")));
    assert!(answer.head.contains("\r\nretry-after: 1"), "{}", answer.head);
    assert_eq!(
        client.bulk(r#"{"order_id":"A-1","command":"pay"}"#).await[0]["result"],
        "unavailable"
    );
    assert_eq!(client.get("/v1/orders/A-1").await.json()["code"], "order_not_found");
}
