//! The example clients with the real service: they buy, receive the webhook, and credit points
//! once, despite repeated and forged deliveries.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::endpoint::{SECRET, webhook};
use crate::support::listener::message;
use crate::support::process::{Process, eventually, free_port};

/// A running client; it ends with the test.
struct ExampleClient {
    child: Child,
    log: PathBuf,
}

impl ExampleClient {
    /// Starts `program`, which buys `orders`. Its files stay in `directory` for a later start.
    async fn start(
        program: &[&str],
        orders: &[&str],
        directory: &Path,
        port: u16,
        service: &str,
    ) -> ExampleClient {
        let log = directory.join("client.log");
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(program[0])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(program[1]))
            .args(orders)
            .current_dir(directory)
            .env("AUTORECEIVE_URL", service)
            .env("AUTORECEIVE_WEBHOOK_SECRET", SECRET)
            .env("PORT", port.to_string())
            .env_remove("AUTORECEIVE_TOKEN")
            .env_remove("POINTS_FILE")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut client = ExampleClient { child, log };
        eventually("the client receives", 60, async || {
            assert!(client.child.try_wait().unwrap().is_none(), "{}", client.said());
            client.said().contains("receiving webhooks on")
        })
        .await;
        client
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for ExampleClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn a_client_credits_once(program: &[&str]) {
    let directory = TempDir::new().unwrap();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/");
    let config = directory.path().join("autoreceive.toml");
    let silence = "[policies.default]\nreceive_after = \"200ms\"\n";
    std::fs::write(&config, silence.to_owned() + &webhook("shop", &url, "")).unwrap();
    let service = Process::serve(&config).await;
    let order = "주문 A/1";
    let client =
        ExampleClient::start(program, &[order, "A-2"], directory.path(), port, &service.url).await;
    let credited = format!("{order}: 590 points\n");
    eventually("both orders are credited", 60, async || {
        client.said().matches(": 590 points\n").count() == 2
    })
    .await;
    assert!(
        client.said().contains(&credited) && client.said().contains("A-2 is PAID\n"),
        "{}",
        client.said()
    );

    let id = "%EC%A3%BC%EB%AC%B8%20A%2F1:3";
    let body =
        json!({"type": "order.received", "data": {"order": {"order_id": order, "amount": 59_000}}})
            .to_string();
    assert_eq!(status(message(&url, id, &body)).await, 204);
    assert!(client.said().ends_with(&format!("{id} again: nothing to do\n")), "{}", client.said());
    assert_eq!(
        status(message(&url, "A-2:9", &body).body(body.replace("59000", "99000"))).await,
        401
    );
    assert_eq!(status(reqwest::Client::new().post(&url).body(body.clone())).await, 401);
    assert_eq!(status(old(&url, "A-2:9", &body)).await, 401);
    let long = message(&url, "A-2:9", &"x".repeat(300_000)).send().await;
    assert!(
        long.is_err() || long.is_ok_and(|answer| answer.status() == 413),
        "a long body must be refused or cut off"
    );
    assert_eq!(client.said().matches(" points\n").count(), 2, "{}", client.said());
    drop(client);

    let client = ExampleClient::start(program, &[], directory.path(), port, &service.url).await;
    assert_eq!(status(message(&url, id, &body)).await, 204);
    assert!(client.said().ends_with(&format!("{id} again: nothing to do\n")), "{}", client.said());
    assert_eq!(status(message(&url, "A-3:3", &body.replace(order, "A-3"))).await, 204);
    assert!(client.said().ends_with("A-3: 590 points\n"), "{}", client.said());
}

/// A message that was signed six minutes ago.
fn old(url: &str, id: &str, body: &str) -> reqwest::RequestBuilder {
    let seconds = crate::support::listener::now() - 360;
    let signature =
        standardwebhooks::Webhook::new(SECRET).unwrap().sign(id, seconds, body.as_bytes()).unwrap();
    let request = reqwest::Client::new()
        .post(url)
        .header("webhook-id", id)
        .header("webhook-timestamp", seconds);
    request.header("webhook-signature", signature).body(body.to_owned())
}

#[tokio::test]
async fn the_shop_in_typescript_credits_each_order_once() {
    a_client_credits_once(&["node", "typescript/shop.mjs"]).await;
}

#[tokio::test]
async fn the_shop_in_python_credits_each_order_once() {
    a_client_credits_once(&["python3", "python/shop.py"]).await;
}
