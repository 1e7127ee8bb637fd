//! `autoreceive listen`: the real binary as an endpoint.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::listener::{Listener, message, now};
use crate::support::process::{Process, eventually};

fn received(order: &str) -> String {
    let order = json!({"order_id": order, "status": "RECEIVED", "version": 3});
    json!({"type": "order.received", "data": {"cause": "timer", "order": order}}).to_string()
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_message_is_one_line_a_repeat_is_marked_and_a_forged_one_is_refused() {
    let listener = Listener::start(&[]).await;
    let url = listener.url.clone();
    assert_eq!(status(message(&url, "A-1:3", &received("A-1"))).await, 204);
    assert_eq!(status(message(&url, "A-1:3", &received("A-1"))).await, 204);
    assert_eq!(status(message(&url, "A-2:3", &received("A-2")).body(received("A-9"))).await, 401);
    assert_eq!(
        status(message(&url, "A-3:3", &received("A-3")).header("webhook-id", "A-4:3")).await,
        204
    );
    assert_eq!(status(reqwest::Client::new().post(&url).body("{}")).await, 401);
    assert_eq!(status(reqwest::Client::new().get(&url)).await, 405);
    let expected = "\
order.received  A-1  RECEIVED  version 3  by timer  id A-1:3  answered 204
order.received  A-1  RECEIVED  version 3  by timer  id A-1:3  delivery 2  answered 204
order.received  A-3  RECEIVED  version 3  by timer  id A-3:3  answered 204
";
    assert_eq!(listener.printed(), expected);
    let (ended, said) = listener.interrupt();
    assert!(ended.success());
    assert!(said.contains("refused: signature invalid  id A-2:3  answered 401"), "{said}");
    assert!(said.contains("refused: missing header id  id –  answered 401"), "{said}");
    assert!(
        said.ends_with("5 deliveries: 2 new, 1 repeated, 2 refused; 0 answered with 500\n"),
        "{said}"
    );
}

#[tokio::test]
async fn with_json_standard_output_has_only_the_bodies() {
    let listener = Listener::start(&["--json"]).await;
    let body = "{\"type\":\"order.received\",\n \"amount\":9007199254740993}";
    assert_eq!(status(message(&listener.url, "A-1:3", body)).await, 204);
    assert_eq!(status(message(&listener.url, "A-2:3", body).body("{}")).await, 401);
    assert_eq!(listener.printed(), format!("{}\n", body.replace('\n', " ")));
}

#[tokio::test]
async fn the_configured_share_of_messages_fails() {
    let listener = Listener::start(&["--fail", "0.5"]).await;
    let mut seen = std::collections::BTreeSet::new();
    eventually("both answers were given", 30, async || {
        seen.insert(status(message(&listener.url, "A-1:3", &received("A-1"))).await);
        seen.len() > 1
    })
    .await;
    assert_eq!(seen, [204, 500].into());
    assert!(listener.printed().contains("answered 500"));
}

#[tokio::test]
async fn a_slow_endpoint_waits_as_configured() {
    let listener = Listener::start(&["--slow", "300ms"]).await;
    let start = Instant::now();
    assert_eq!(status(message(&listener.url, "A-1:3", &received("A-1"))).await, 204);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(listener.printed().ends_with("answered 204 after 300ms\n"));
}

#[tokio::test]
async fn a_message_that_is_too_long_too_old_or_absurd_is_refused_and_the_next_one_is_accepted() {
    let listener = Listener::start(&[]).await;
    let url = listener.url.clone();
    let signer = standardwebhooks::Webhook::new(crate::support::endpoint::SECRET).unwrap();
    for seconds in [now() - 301, now() + 400, i64::MIN, i64::MAX, 0, -1] {
        let signature = signer.sign("A-1:3", seconds, b"{}").unwrap();
        let request = reqwest::Client::new()
            .post(&url)
            .header("webhook-id", "A-1:3")
            .header("webhook-timestamp", seconds);
        assert_eq!(
            status(request.header("webhook-signature", signature).body("{}")).await,
            401,
            "{seconds}"
        );
    }
    let long = "x".repeat(300_000);
    assert_eq!(status(message(&url, "A-1:3", &long)).await, 413);
    assert_eq!(status(message(&url, "A-1:3", "no JSON")).await, 204);
    assert_eq!(listener.printed(), "signed, but not JSON  id A-1:3  answered 204\n");
}

#[tokio::test]
async fn without_a_secret_it_prints_a_fresh_one_in_a_configuration_that_works() {
    let listener = Listener::start_with(&[]).await;
    let said = listener.said();
    let snippet = &said[said.find("[actions.shop]").unwrap()..said.find("waiting for").unwrap()];
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("autoreceive.toml");
    std::fs::write(&config, format!("[policies.default]\nreceive_after = \"100ms\"\n{snippet}"))
        .unwrap();
    let service = Process::serve(&config).await;
    let order = json!({"order_id": "A-1", "command": "place", "buyer_id": "b"}).to_string();
    let pay = json!({"order_id": "A-1", "command": "pay"}).to_string();
    let lines = reqwest::Client::new()
        .post(format!("{}/v1/commands", service.url))
        .header("content-type", "application/x-ndjson");
    assert_eq!(status(lines.body(format!("{order}\n{pay}\n"))).await, 200);
    eventually("the receipt is delivered", 30, async || {
        listener.printed().contains("order.received  A-1  RECEIVED  version 3  by timer")
    })
    .await;
    assert!(service.terminate().await.success());
}

#[test]
fn foreign_addresses_and_wrong_values_are_refused_and_no_secret_is_repeated() {
    let run = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_autoreceive")).arg("listen").args(args).output().unwrap()
    };
    for (args, code, expected) in [
        (["--listen", "0.0.0.0:0"], 1, "is not a loopback address"),
        (["--secret", "whsec_canary"], 1, "is not a signing secret"),
        (["--fail", "1.5"], 2, "expected a number from 0 to 1"),
        (["--slow", "2"], 2, "is not a duration"),
        (["--slow", "11m"], 2, "expected at most 10m"),
    ] {
        let output = run(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(expected) && !said.contains("canary"), "{args:?}: {said}");
    }
}
