//! One order at a time: the shop's writes and their effects.

use serde_json::json;

use super::kit::{TestShop, get, path_of, text};
use crate::support::process::{Process, eventually};

const BY_SCAN: &str = "scan_every = \"200ms\"\nnotifications = false";

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_adopts_a_paid_order_and_its_receipt_reaches_the_shops_key() {
    for own_store in [false, true] {
        let shop = TestShop::open(&[]).await;
        let store = if own_store { shop.own_file() } else { shop.own_redis() };
        let service = Process::serve(&shop.config(&store, "1s", BY_SCAN)).await;
        shop.initiate_and_pay("A-1");
        shop.initiate("A-2", 86_400);
        eventually("A-1 is RECEIVED", 20, async || {
            shop.status("A-1").as_deref() == Some("RECEIVED")
        })
        .await;
        eventually("the shop gets the webhook", 20, async || {
            shop.webhooks("A-1") == ["order.received"]
        })
        .await;
        let order = get(&service, "/v1/orders/A-1").await;
        assert_eq!(
            (&order["status"], &order["adopted"], &order["buyer_id"]),
            (&json!("RECEIVED"), &json!(true), &json!(null))
        );
        let ms = |field: &str| {
            order[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
        };
        assert!(ms("received_at") - ms("paid_at") >= 1_000, "early: {order}");
        eventually("its trigger is gone", 10, async || !shop.exists("trade:auto-receive:A-1"))
            .await;
        assert_eq!(shop.status("A-2").as_deref(), Some("PENDING_PAYMENT"));
        assert!(
            shop.exists("trade:auto-receive:A-2")
                && get(&service, "/v1/orders/A-2").await["code"] == "order_not_found"
        );
        let stats = get(&service, "/v1/stats").await;
        assert_eq!(
            (&stats["intake"]["scans_here"], &stats["intake"]["last_scan"]["orders"]),
            (&json!(true), &json!(2)),
            "{stats}"
        );
        assert!(service.terminate().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_find_an_order_at_once_and_other_flags_stay() {
    let shop = TestShop::open(&["--notify-keyspace-events", "Ex"]).await;
    let config = shop.config(&shop.own_redis(), "500ms", "scan_every = \"1h\"");
    let first = Process::serve(&config).await;
    eventually("missing flags are reported", 10, async || {
        let notifications =
            get(&first, "/v1/stats").await["intake"]["notifications"].as_str().unwrap().to_owned();
        notifications.contains("CONFIG SET notify-keyspace-events") && notifications.contains("K$")
    })
    .await;
    assert_eq!(flags(&shop), "xE");
    assert!(first.terminate().await.success());
    let config =
        shop.config(&shop.own_redis(), "500ms", "scan_every = \"1h\"\nset_notifications = true");
    let service = Process::serve(&config).await;
    eventually("it listens", 10, async || {
        get(&service, "/v1/stats").await["intake"]["listening"] == true
    })
    .await;
    let mut set: Vec<char> = flags(&shop).chars().collect();
    set.sort_unstable();
    assert_eq!(set, ['$', 'E', 'K', 'x']);
    eventually("the first scan is done", 10, async || {
        !get(&service, "/v1/stats").await["intake"]["last_scan"].is_null()
    })
    .await;
    shop.initiate_and_pay("A-1");
    eventually("A-1 is RECEIVED", 10, async || shop.status("A-1").as_deref() == Some("RECEIVED"))
        .await;
    eventually("the shop gets the webhook", 10, async || {
        shop.webhooks("A-1") == ["order.received"]
    })
    .await;
}

fn flags(shop: &TestShop) -> String {
    let answer: Vec<String> = redis::from_redis_value(
        shop.redis.cli(&["CONFIG", "GET", "notify-keyspace-events"]).unwrap(),
    )
    .unwrap();
    answer[1].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shops_status_wins_and_commands_are_refused() {
    let shop = TestShop::open(&[]).await;
    let service = Process::serve(&shop.config(&shop.own_redis(), "2s", BY_SCAN)).await;
    for id in ["cancelled", "refunded", "by-hand", "shipped", "kept"] {
        shop.initiate_and_pay(id);
    }
    eventually("all are adopted", 20, async || {
        get(&service, "/v1/stats").await["orders"]["PAID"] == 5
    })
    .await;
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/orders/kept/extend", service.url))
        .body("{\"number\":1}");
    let answer = answer.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 409);
    let problem = answer.text().await.unwrap();
    assert!(problem.contains("\"adopted\"") && problem.contains("status key"), "{problem}");
    shop.set("cancelled", "CANCELED");
    shop.set("refunded", "REFUNDED");
    shop.set("by-hand", "RECEIVED");
    shop.set("shipped", "SHIPPED");
    eventually("kept is RECEIVED", 20, async || shop.status("kept").as_deref() == Some("RECEIVED"))
        .await;
    let expected = [
        ("cancelled", "CANCELLED", "shop", vec!["order.cancelled"]),
        ("refunded", "REFUNDED", "shop", vec!["order.refunded"]),
        ("by-hand", "RECEIVED", "shop", vec!["order.received"]),
        ("kept", "RECEIVED", "timer", vec!["order.received"]),
        ("shipped", "PAID", "shop", vec![]),
    ];
    for (id, status, cause, webhooks) in expected {
        eventually(id, 20, async || {
            let order = get(&service, &path_of(id)).await;
            order["status"] == status
                && order["last_event"]["cause"] == cause
                && shop.webhooks(id) == webhooks
        })
        .await;
    }
    let held = get(&service, "/v1/orders/shipped").await;
    assert_eq!(held["holds"][0]["reason"], "the shop's status is SHIPPED");
    assert_eq!(shop.status("shipped").as_deref(), Some("SHIPPED"));
    shop.set("kept", "CANCELLED");
    eventually("a cancel after the receipt is a refund", 20, async || {
        get(&service, "/v1/orders/kept").await["status"] == "REFUNDED"
    })
    .await;
    shop.set("shipped", "PAID");
    eventually("its clock goes on, to its end", 20, async || {
        shop.status("shipped").as_deref() == Some("RECEIVED")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_ids_are_adopted_and_other_keys_stay_unchanged() {
    let shop = TestShop::open(&[]).await;
    let ids =
        ["a:b:c", "with space", "{tag}:1", "}{", "주문-1", "*?[x]\\", "%7C|~", &"x".repeat(128)];
    for id in ids {
        shop.initiate_and_pay(id);
    }
    let cli = |command: &[&str]| shop.redis.cli(command).unwrap();
    cli(&["SET", "trade:status:bad\nid", "PAID"]);
    cli(&["SET", &format!("trade:status:{}", "y".repeat(129)), "PAID"]);
    cli(&["SET", "trade:status:", "PAID"]);
    redis::cmd("SET").arg(b"trade:status:\xff\xfe").arg("PAID").exec(&mut connect(&shop)).unwrap();
    cli(&["RPUSH", "trade:status:a-list", "PAID"]);
    cli(&["HSET", "trade:auto-receive:kept", "a", "1"]);
    cli(&["SET", "trade:status:kept", "PAID"]);
    cli(&["SET", "trade:statusx", "PAID"]);
    cli(&["SET", "other:key", "PAID"]);
    cli(&["SET", "trade:status:long", &"PAID".repeat(1_000)]);
    let untouched = [
        "trade:status:bad\nid",
        "trade:status:",
        "trade:statusx",
        "other:key",
        "trade:status:a-list",
        "trade:status:long",
    ];
    let before: Vec<String> = untouched.iter().map(|key| dump(&shop, key)).collect();
    let service = Process::serve(&shop.config(&shop.own_redis(), "1s", BY_SCAN)).await;
    for id in ids.into_iter().chain(["kept"]) {
        eventually(id, 20, async || shop.status(id).as_deref() == Some("RECEIVED")).await;
        eventually(id, 20, async || shop.webhooks(id) == ["order.received"]).await;
    }
    assert!(
        shop.exists("trade:auto-receive:kept"),
        "a trigger that is no string is not ours to remove"
    );
    assert_eq!(untouched.iter().map(|key| dump(&shop, key)).collect::<Vec<_>>(), before);
    eventually("bad keys are counted", 10, async || {
        get(&service, "/v1/stats").await["intake"]["last_scan"]["bad_keys"] == 4
    })
    .await;
    assert!(
        text(&service, "/metrics").await.contains("autoreceive_intake_left{what=\"bad_key\"} 4")
    );
    assert_eq!(shop.endpoint.orders(), ids.len() + 1);
}

fn connect(shop: &TestShop) -> redis::Connection {
    redis::Client::open(shop.redis.url()).unwrap().get_connection().unwrap()
}

fn dump(shop: &TestShop, key: &str) -> String {
    format!("{:?}", shop.redis.cli(&["DUMP", key]).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_with_a_time_to_live_keeps_it() {
    let shop = TestShop::open(&[]).await;
    let service = Process::serve(&shop.config(&shop.own_file(), "300ms", BY_SCAN)).await;
    shop.initiate("A-1", 100);
    shop.redis.cli(&["SET", "trade:status:A-1", "PAID", "EX", "5000"]).unwrap();
    eventually("A-1 is RECEIVED", 20, async || shop.status("A-1").as_deref() == Some("RECEIVED"))
        .await;
    let redis::Value::Int(ttl) = shop.redis.cli(&["TTL", "trade:status:A-1"]).unwrap() else {
        panic!("no number")
    };
    assert!((4_900..=5_000).contains(&ttl), "{ttl}");
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn count_from_trigger_receives_at_the_end_of_the_trigger() {
    let shop = TestShop::open(&[]).await;
    let intake = format!("{BY_SCAN}\ncount_from = \"trigger\"");
    let service = Process::serve(&shop.config(&shop.own_file(), "24h", &intake)).await;
    shop.initiate("A-1", 3);
    shop.set("A-1", "PAID");
    shop.initiate("later", 3_000);
    shop.set("later", "PAID");
    eventually("A-1 is RECEIVED", 20, async || shop.status("A-1").as_deref() == Some("RECEIVED"))
        .await;
    let later = get(&service, "/v1/orders/later").await;
    let ms = |field: &serde_json::Value| {
        field.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
    };
    let silence_ms = ms(&later["clock"]["deadline"]) - ms(&later["paid_at"]);
    assert!((2_900_000..=3_000_000).contains(&silence_ms), "{later}");
    assert_eq!(shop.status("later").as_deref(), Some("PAID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_an_intake_leaves_adopted_orders_to_others() {
    let shop = TestShop::open(&[]).await;
    let config = shop.config(&shop.own_redis(), "1s", BY_SCAN);
    let with = Process::serve(&config).await;
    shop.initiate_and_pay("A-1");
    eventually("A-1 is adopted", 20, async || get(&with, "/v1/stats").await["orders"]["PAID"] == 1)
        .await;
    with.kill();
    let without =
        std::fs::read_to_string(&config).unwrap().replace("enabled = true", "enabled = false");
    let without_config = config.with_extension("without.toml");
    std::fs::write(&without_config, without).unwrap();
    let without = Process::serve(&without_config).await;
    eventually("it is due, seen, and left", 20, async || {
        text(&without, "/metrics").await.contains("intake_unguarded_total 1")
    })
    .await;
    assert_eq!(get(&without, "/v1/orders/A-1").await["status"], "PAID");
    // The same worker receives an order that was placed by a command.
    let body = json!({"order_id": "B-1", "buyer_id": "b", "paid_at": "2020-01-01T00:00:00Z"});
    let request = reqwest::Client::new()
        .post(format!("{}/v1/orders", without.url))
        .header("content-type", "application/json");
    assert_eq!(request.body(body.to_string()).send().await.unwrap().status(), 201);
    eventually("B-1 is RECEIVED", 20, async || {
        get(&without, "/v1/orders/B-1").await["status"] == "RECEIVED"
    })
    .await;
    assert_eq!((shop.status("A-1").as_deref(), shop.webhooks("A-1").len()), (Some("PAID"), 0));
    let with = Process::serve(&config).await;
    eventually("A-1 is RECEIVED", 20, async || {
        get(&with, "/v1/orders/A-1").await["status"] == "RECEIVED"
    })
    .await;
    assert_eq!(shop.status("A-1").as_deref(), Some("RECEIVED"));
    drop(without);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_survives_a_restart_and_later_payments_are_not_history() {
    let shop = TestShop::open(&[]).await;
    shop.set("old", "PAID");
    shop.initiate_and_pay("new");
    let config = shop.config(&shop.own_redis(), "500ms", BY_SCAN);
    let first = Process::serve(&config).await;
    eventually("new is RECEIVED", 20, async || shop.status("new").as_deref() == Some("RECEIVED"))
        .await;
    eventually("the old one is reported", 20, async || {
        get(&first, "/v1/stats").await["intake"]["last_scan"]["history"] == 1
    })
    .await;
    first.kill();
    // Paid while no worker ran, and its trigger has expired.
    shop.set("late", "PAID");
    let second = Process::serve(&config).await;
    eventually("late is RECEIVED", 20, async || shop.status("late").as_deref() == Some("RECEIVED"))
        .await;
    eventually("the old one is still reported", 20, async || {
        get(&second, "/v1/stats").await["intake"]["last_scan"]["history"] == 1
    })
    .await;
    assert_eq!(shop.status("old").as_deref(), Some("PAID"));
    assert_eq!(get(&second, "/v1/orders/old").await["code"], "order_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_shops_redis_is_down_only_adopted_orders_wait() {
    let mut shop = TestShop::open(&[]).await;
    let service = Process::serve(&shop.config(&shop.own_file(), "2s", BY_SCAN)).await;
    shop.initiate_and_pay("A-1");
    eventually("A-1 is adopted", 20, async || {
        get(&service, "/v1/stats").await["orders"]["PAID"] == 1
    })
    .await;
    shop.redis.kill();
    let body = json!({"order_id": "B-1", "buyer_id": "b", "paid_at": "2020-01-01T00:00:00Z"});
    let request = reqwest::Client::new()
        .post(format!("{}/v1/orders", service.url))
        .header("content-type", "application/json");
    assert_eq!(request.body(body.to_string()).send().await.unwrap().status(), 201);
    eventually("B-1 is RECEIVED", 20, async || {
        get(&service, "/v1/orders/B-1").await["status"] == "RECEIVED"
    })
    .await;
    eventually("it says so", 20, async || {
        text(&service, "/readyz")
            .await
            .contains("the intake has a problem: the scan of the shop's keys")
    })
    .await;
    eventually("A-1 is overdue", 20, async || get(&service, "/v1/stats").await["overdue"] == 1)
        .await;
    shop.redis.restart();
    eventually("A-1 is RECEIVED", 30, async || shop.status("A-1").as_deref() == Some("RECEIVED"))
        .await;
    eventually("all is well", 20, async || text(&service, "/readyz").await == "ok\n").await;
}

#[tokio::test]
async fn a_cluster_node_is_refused_with_the_reason() {
    let shop = TestShop::open(&["--cluster-enabled", "yes", "--appendonly", "no"]).await;
    let config = shop.config(&shop.own_file(), "1s", BY_SCAN);
    let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_autoreceive"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&config)
        .output();
    let output =
        tokio::time::timeout(std::time::Duration::from_secs(20), run).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("intake.url") && said.contains("Redis Cluster"),
        "{said}"
    );
}
