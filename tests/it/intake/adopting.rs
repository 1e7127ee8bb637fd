//! `autoreceive adopt`, which runs once.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::kit::{TestShop, get};
use crate::support::process::{Process, eventually};

async fn adopt(config: &Path, flags: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_autoreceive"));
    let output =
        command.arg("adopt").arg("--config").arg(config).args(flags).output().await.unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn shop_with_everything() -> TestShop {
    let shop = TestShop::open(&[]).await;
    shop.initiate("unpaid", 86_400);
    shop.initiate_and_pay("A:1");
    shop.initiate_and_pay("A 2");
    shop.set("old", "PAID");
    shop.set("gone", "CANCELLED");
    shop.set("small", "paid");
    shop.set("quoted", "\"PAID\"");
    shop.redis.cli(&["SETEX", "trade:auto-receive:stray", "100", "trigger"]).unwrap();
    shop.redis.cli(&["RPUSH", "trade:status:list", "PAID"]).unwrap();
    shop.redis.cli(&["SET", "trade:status:bad\tid", "PAID"]).unwrap();
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_orders_and_changes_nothing() {
    let shop = shop_with_everything().await;
    let config = shop.config(&shop.own_redis(), "1h", "");
    let output = adopt(&config, &["--dry-run", "--json"]).await;
    let lines = lines(&output);
    let expected = json!({
        "orders": 7,
        "statuses": {"PENDING_PAYMENT": 1, "PAID": 3, "CANCELLED": 1, "paid": 1, "\"PAID\"": 1},
        "paid": 3,
        "without_trigger": 1,
        "stray_triggers": 1,
        "odd": 4,
        "result": null,
        "nearly": [
            {"status": "\\\"PAID\\\"", "orders": 1, "nearly": "PAID"},
            {"status": "paid", "orders": 1, "nearly": "PAID"},
        ],
    });
    let mut figures = lines.last().unwrap().clone();
    let ends = figures.as_object_mut().unwrap().remove("triggers_end").unwrap();
    assert_eq!(figures, expected);
    assert!(ends["last_ms"].as_i64().unwrap() > 86_000_000, "{ends}");
    let skipped: Vec<&str> = lines.iter().filter_map(|line| line["skipped"].as_str()).collect();
    assert_eq!(skipped.len(), 3, "{skipped:?}");
    assert!(!shop.exists("ar:meta"), "no store was made");
    let text = String::from_utf8(adopt(&config, &["--dry-run"]).await.stdout).unwrap();
    assert!(
        text.contains(
            "skipped: 1 order says `paid`, which is not a word in [intake]; did you mean PAID?"
        ),
        "{text}"
    );
    for said in [
        "PENDING_PAYMENT",
        "in 1h, counted from",
        "trade:status:list",
        "trade:auto-receive:stray",
        "a dry run",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_paid_order_is_adopted_once_including_history() {
    for own_file in [false, true] {
        let shop = shop_with_everything().await;
        let store = if own_file { shop.own_file() } else { shop.own_redis() };
        let config = shop.config(&store, "1h", "scan_every = \"200ms\"\nnotifications = false");
        // A running or earlier service has marked the old order as history.
        let service = Process::serve(&config).await;
        eventually("the first scan is done", 20, async || {
            get(&service, "/v1/stats").await["intake"]["last_scan"]["history"] == 1
        })
        .await;
        assert_eq!(get(&service, "/v1/orders/old").await["code"], "order_not_found");
        let service = if own_file {
            assert!(service.terminate().await.success());
            None
        } else {
            Some(service)
        };
        let result = |output: &Output| lines(output).last().unwrap()["result"].clone();
        let first = result(&adopt(&config, &["--json"]).await);
        // The scans adopted the two orders with a trigger.
        assert_eq!(
            (&first["adopted"], &first["placed_by_command"]),
            (&json!(1), &json!(0)),
            "{first}"
        );
        let again = result(&adopt(&config, &["--json"]).await);
        assert_eq!((&again["adopted"], &again["followed"]), (&json!(0), &json!(0)), "{again}");
        let service = match service {
            Some(service) => service,
            None => Process::serve(&config).await,
        };
        let old = get(&service, "/v1/orders/old").await;
        assert_eq!(
            (&old["status"], &old["adopted"], &old["version"]),
            (&json!("PAID"), &json!(true), &json!(1)),
            "{old}"
        );
        assert_eq!(get(&service, "/v1/stats").await["orders"]["PAID"], 3);
        assert_eq!(shop.status("old").as_deref(), Some("PAID"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_placed_by_a_command_is_skipped_and_reported() {
    let shop = TestShop::open(&[]).await;
    let config = shop.config(&shop.own_redis(), "1h", "scan_every = \"1h\"\nnotifications = false");
    let service = Process::serve(&config).await;
    let request = reqwest::Client::new()
        .post(format!("{}/v1/orders", service.url))
        .header("content-type", "application/json");
    assert_eq!(
        request.body("{\"order_id\":\"A-1\",\"buyer_id\":\"b\"}").send().await.unwrap().status(),
        201
    );
    shop.initiate_and_pay("A-1");
    let output = adopt(&config, &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("skipped: trade:status:A-1: the order was placed by a command"),
        "{text}"
    );
    assert_eq!(get(&service, "/v1/orders/A-1").await["status"], "PENDING_PAYMENT");
}
