//! Added, failing and removed actions from an operator's side: the real program and its command
//! line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::endpoint::{ShopEndpoint, webhook};
use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;

/// More than one step and more than one page of a backfill.
const ORDERS: usize = 1_200;

fn config(directory: &Path, store: &str, actions: &[(&str, &str, &str)]) -> PathBuf {
    let section = |(name, url, on): &(&str, &str, &str)| webhook(name, url, &format!("on = {on}"));
    let actions: String = actions.iter().map(section).collect();
    let path = directory.join("shop.toml");
    std::fs::write(
        &path,
        format!("[store]\nurl = \"{store}\"\n[policies.settled]\nsettle_after = \"1h\"\n{actions}"),
    )
    .unwrap();
    path
}

async fn autoreceive(service: &Process, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoreceive"));
    command.args(args).env("AUTORECEIVE_URL", &service.url).env("TZ", "UTC").stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn said(service: &Process, args: &[&str]) -> String {
    let output = autoreceive(service, args).await;
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(service: &Process, args: &[&str]) -> String {
    let output = autoreceive(service, args).await;
    assert_eq!(output.status.code(), Some(3), "{args:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn commands(service: &Process, lines: impl Iterator<Item = Value>) {
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    let request = reqwest::Client::new()
        .post(format!("{}/v1/commands", service.url))
        .header("content-type", "application/x-ndjson");
    let answer = request.body(lines).send().await.unwrap().text().await.unwrap();
    assert!(answer.lines().all(|line| line.contains("\"changed\"")), "{answer}");
}

async fn action(service: &Process, name: &str) -> Option<Value> {
    let text =
        reqwest::get(format!("{}/v1/actions", service.url)).await.unwrap().text().await.unwrap();
    let actions: Value = serde_json::from_str(&text).unwrap();
    actions["actions"].as_array().unwrap().iter().find(|action| action["name"] == name).cloned()
}

async fn pending(service: &Process, name: &str) -> u64 {
    action(service, name).await.map_or(0, |action| action["pending"].as_u64().unwrap())
}

/// Places orders: some are paid, some received, some completed, some refunded.
async fn a_shops_orders(service: &Process) {
    let policy = |i: usize| if i % 10 == 1 { "settled" } else { "default" };
    let place = |i| {
        json!({
            "order_id": format!("A-{i}"),
            "command": "place",
            "buyer_id": "b",
            "paid_at": "2026-01-01T00:00:00Z",
            "policy": policy(i),
            "receive_after": "3650d",
        })
    };
    commands(service, (0..ORDERS).map(place)).await;
    let receive =
        |i: usize| json!({"order_id": format!("A-{i}"), "command": "receive", "by": "buyer"});
    commands(service, (0..ORDERS).filter(|i| i % 10 != 0).map(receive)).await;
    let refund = |i: usize| json!({"order_id": format!("A-{i}"), "command": "refund"});
    commands(service, (0..ORDERS).filter(|i| i % 10 == 2).map(refund)).await;
    said(service, &["clock", "advance", "2h"]).await;
    let completed = async || {
        let stats =
            reqwest::get(format!("{}/v1/stats", service.url)).await.unwrap().text().await.unwrap();
        let stats: Value = serde_json::from_str(&stats).unwrap();
        let count = stats["events"]
            .as_array()
            .unwrap()
            .iter()
            .find(|event| event["type"] == "order.completed");
        count.is_some_and(|count| count["count"] == ORDERS / 10)
    };
    eventually("some are completed", 60, completed).await;
}

async fn a_year(store: &str, directory: &Path) {
    let (endpoint, gone) = (ShopEndpoint::start().await, "http://127.0.0.1:1/");
    let serve = async |actions: &[(&str, &str, &str)]| {
        Process::serve_with(&config(directory, store, actions), &["--test-clock"]).await
    };

    // The shop starts without a webhook.
    let service = serve(&[("early", gone, r#"["order.cancelled"]"#)]).await;
    a_shops_orders(&service).await;
    assert!(
        refused(&service, &["actions", "backfill", "shop"])
            .await
            .contains("there is no action shop")
    );
    assert!(service.terminate().await.success());

    // A webhook with a wrong URL is added and backfilled.
    let service = serve(&[("shop", gone, r#"["order.received"]"#)]).await;
    let done = said(&service, &["actions", "backfill", "shop"]).await;
    let received = ORDERS / 10 * 7;
    for line in [
        format!("orders   {ORDERS}"),
        format!("added    {received}"),
        format!("skipped  {0} order.completed, {0} order.paid, {0} order.refunded", ORDERS / 10)
            .replace("order.paid", "order.placed"),
    ] {
        assert!(done.contains(&line), "{line}: {done}");
    }
    let again: Value =
        serde_json::from_str(&said(&service, &["actions", "backfill", "shop", "--json"]).await)
            .unwrap();
    assert_eq!(
        (&again["added"], &again["there"]),
        (&json!(0), &json!(received)),
        "repeated, nothing is added"
    );
    assert!(
        refused(&service, &["actions", "backfill", "shop", "--cursor", "nonsense"])
            .await
            .contains("cursor")
    );

    // It fails for more than three days.
    eventually("it is known to fail", 60, async || {
        !action(&service, "shop").await.unwrap()["failing_since"].is_null()
    })
    .await;
    assert!(said(&service, &["actions", "list"]).await.contains("failing since"));
    said(&service, &["clock", "advance", "80h"]).await;
    eventually("it is disabled", 60, async || {
        !action(&service, "shop").await.unwrap()["disabled_at"].is_null()
    })
    .await;
    assert!(said(&service, &["actions", "list"]).await.contains("DISABLED"));
    let metrics =
        reqwest::get(format!("{}/metrics", service.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("autoreceive_endpoint_disabled{action=\"shop\"} 1"), "{metrics}");
    let waiting = pending(&service, "shop").await;
    let dead = action(&service, "shop").await.unwrap()["dead"].as_u64().unwrap();
    assert_eq!(waiting + dead, received as u64);
    for word in ["move", "drop"] {
        let args = if word == "move" {
            &["actions", "move", "shop", "shop"][..]
        } else {
            &["actions", "drop", "shop"]
        };
        assert!(refused(&service, args).await.contains("is configured"), "{word}");
    }
    assert!(service.terminate().await.success());

    // It gets another name and the right URL. The old entries are listed and moved.
    let service = serve(&[("hook", &endpoint.url, r#"["order.received"]"#)]).await;
    assert_eq!(action(&service, "shop").await.unwrap()["configured"], false);
    assert!(
        refused(&service, &["actions", "move", "shop", "hok"])
            .await
            .contains("there is no action hok")
    );
    assert!(
        refused(&service, &["actions", "move", "hook", "hook"]).await.contains("is configured")
    );
    let moved = said(&service, &["actions", "move", "shop", "hook"]).await;
    assert_eq!(
        moved,
        format!("{waiting} entries and {dead} dead letters moved from shop to hook\n")
    );
    assert_eq!(action(&service, "shop").await, None, "nothing of it is left");
    said(&service, &["dead-letters", "replay", "hook", "--all"]).await;
    said(&service, &["clock", "advance", "7h"]).await;
    eventually("all of it is delivered", 60, async || pending(&service, "hook").await == 0).await;
    let expected: BTreeSet<String> =
        (0..ORDERS).filter(|i| i % 10 > 2).map(|i| format!("A-{i}:2")).collect();
    let seen =
        || endpoint.deliveries().into_iter().map(|delivery| delivery.id).collect::<BTreeSet<_>>();
    assert_eq!(seen(), expected);
    assert_eq!(said(&service, &["actions", "enable", "hook"]).await, "hook was not disabled\n");

    // A third one is backfilled with every event, and dropped with its entries.
    assert!(service.terminate().await.success());
    let all = r#"["order.placed", "order.received", "order.completed", "order.refunded"]"#;
    let service =
        serve(&[("hook", &endpoint.url, r#"["order.received"]"#), ("third", gone, all)]).await;
    let fed: Value =
        serde_json::from_str(&said(&service, &["actions", "backfill", "third", "--json"]).await)
            .unwrap();
    assert_eq!((&fed["added"], &fed["passed_over"]), (&json!(ORDERS), &json!({})));
    assert!(service.terminate().await.success());
    let service = serve(&[("hook", &endpoint.url, r#"["order.received"]"#)]).await;
    assert_eq!(
        said(&service, &["actions", "drop", "third"]).await,
        format!("{ORDERS} entries and 0 dead letters of third dropped\n")
    );
    assert_eq!(action(&service, "third").await, None);
    assert_eq!(seen(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_actions_are_added_backfilled_disabled_renamed_and_dropped() {
    let directory = tempfile::tempdir().unwrap();
    a_year("sqlite:shop.db", directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_actions_are_added_backfilled_disabled_renamed_and_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&[]);
    a_year(&redis.url(), directory.path()).await;
}
