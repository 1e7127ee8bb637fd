//! The benchmarks of the guide, with few orders.

use serde_json::Value;

use crate::support::redis_server::RedisServer;

async fn bench(redis: &RedisServer, args: &[&str]) -> Value {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_autoreceive"));
    let output = command
        .arg("bench")
        .args(args)
        .args(["--json", "--store", &redis.url()])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_common_pattern_is_measured_beside_this_program() {
    let redis = RedisServer::start(&["--notify-keyspace-events", "Ex"]);
    let args =
        ["takeover", "--orders", "300", "--window-ms", "1500", "--every-ms", "300", "--kills", "2"];
    let figures = bench(&redis, &args).await;
    println!("{figures}");
    let pattern = &figures["pattern"];
    let ours = &figures["autoreceive"];
    for wrong in [
        "received_early",
        "never_received",
        "actions_doubled",
        "actions_lost",
        "cancels_overwritten",
    ] {
        assert_eq!(ours[wrong], 0, "{wrong}: {ours}");
    }
    assert_eq!(pattern["paid"], ours["paid"]);
    let wrong = |what: &str| pattern[what].as_u64().unwrap();
    assert!(
        wrong("received_early") > 0 && wrong("never_received") > 0 && wrong("actions_doubled") > 0,
        "{pattern}"
    );
    // No key is left, and the flags are restored.
    assert_eq!(redis.cli(&["DBSIZE"]).unwrap(), redis::Value::Int(0));
    let flags: Vec<String> =
        redis::from_redis_value(redis.cli(&["CONFIG", "GET", "notify-keyspace-events"]).unwrap())
            .unwrap();
    assert_eq!(flags[1].len(), 2, "{flags:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measured_scan_changes_no_other_keys() {
    let redis = RedisServer::start(&[]);
    let figures =
        bench(&redis, &["scan", "--keys", "5000", "--seconds", "1", "--rounds", "1"]).await;
    println!("{figures}");
    assert!(
        figures["scans"].as_u64().unwrap() > 0 && figures["foreign_keys_changed"] == 0,
        "{figures}"
    );
    assert_eq!(redis.cli(&["DBSIZE"]).unwrap(), redis::Value::Int(0));
}
