//! Every kind of action in one running service.

use serde_json::{Value, json};

use super::http::gateway;
use crate::support::endpoint::{SECRET, ShopEndpoint};
use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;
use crate::support::smtp_server::SmtpServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_runs_every_configured_action() {
    let directory = tempfile::tempdir().unwrap();
    let (redis, mut smtp, endpoint, (gateway, seen)) = (
        RedisServer::start(&[]),
        SmtpServer::start("none", false),
        ShopEndpoint::start().await,
        gateway(r#"{"ok": true}"#).await,
    );
    let config = format!(
        r#"
        [actions.hook]
        type = "webhook"
        url = "{}"
        secret = ["{SECRET}"]
        allow_private = true
        on = ["order.placed"]
        [actions.gateway]
        type = "http"
        url = "{gateway}/send"
        allow_private = true
        body = '{{"to": {{{{ data.order.data.phone }}}}}}'
        ok_pointer = "/ok"
        ok_value = "true"
        on = ["order.placed"]
        [actions.emails]
        type = "email"
        server = "127.0.0.1:{}"
        tls = "none"
        from = "shop@shop.example"
        to_pointer = "/email"
        on = ["order.cancelled"]
        [actions.events]
        type = "stream"
        url = "{}"
        stream = "orders"
        on = ["order.placed", "order.cancelled"]
        "#,
        endpoint.url,
        smtp.port,
        redis.url()
    );
    let path = directory.path().join("shop.toml");
    std::fs::write(&path, config).unwrap();
    let service = Process::serve(&path).await;
    let place = json!({
        "order_id": "A-1",
        "command": "place",
        "buyer_id": "kim",
        "amount": 59_000,
        "currency": "KRW",
        "data": {"email": "kim@buyer.example", "phone": "010"},
    });
    let body = format!(
        "{place}\n{}\n",
        json!({"order_id": "A-1", "command": "cancel", "reason": "changed my mind"})
    );
    let request = reqwest::Client::new()
        .post(format!("{}/v1/commands", service.url))
        .header("content-type", "application/x-ndjson");
    let answer = request.body(body).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer.matches("\"changed\"").count(), 2, "{answer}");
    eventually("everything is delivered", 30, async || {
        let stats =
            reqwest::get(format!("{}/v1/stats", service.url)).await.unwrap().bytes().await.unwrap();
        let stats: Value = serde_json::from_slice(&stats).unwrap();
        stats["actions"].as_array().is_some_and(|actions| {
            actions.len() == 4 && actions.iter().all(|action| action["pending"] == 0)
        })
    })
    .await;
    assert_eq!(endpoint.orders(), 1);
    assert_eq!(seen.lock().unwrap()[0].3, r#"{"to": "010"}"#);
    assert_eq!(smtp.next_email()["to"], json!(["kim@buyer.example"]));
    let length: usize = redis::from_redis_value(redis.cli(&["XLEN", "orders"]).unwrap()).unwrap();
    assert_eq!(length, 2);
    assert!(service.terminate().await.success());
}
