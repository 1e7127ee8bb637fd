//! End to end: the real service writes the database, and the command line checks the points.

use std::path::Path;
use std::process::{Command, Output};

use super::kit::TestDb;
use crate::support::process::{Process, eventually};

fn reconcile(config: &Path, rest: &[&str]) -> Output {
    let arguments = ["points", "reconcile", "--config", config.to_str().unwrap()];
    Command::new(env!("CARGO_BIN_EXE_autoreceive")).args(arguments).args(rest).output().unwrap()
}

pub async fn an_order_received_by_the_timer_is_stored_credited_and_reconciled(db: TestDb) {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("autoreceive.toml");
    let text = format!(
        "[store]\nurl = \"sqlite:orders.db\"\n\
         [actions.tables]\ntype = \"database\"\nurl = \"{}\"\nprefix = \"{}\"\n\
         [actions.tables.points]\nrate = \"1/100\"\n[actions.plain]\ntype = \"log\"\n",
        db.url, db.prefix
    );
    std::fs::write(&config, text).unwrap();
    let service = Process::serve(&config).await;
    let client = reqwest::Client::new();
    let order = r#"{
        "order_id": "A-1", "buyer_id": "u-7", "amount": 59000, "currency": "KRW",
        "receive_after": "100ms"
    }"#;
    for (path, body) in [("", order), ("/A-1/pay", "{}")] {
        let answer = client
            .post(format!("{}/v1/orders{path}", service.url))
            .header("content-type", "application/json")
            .body(body);
        assert!(answer.send().await.unwrap().status().is_success());
    }
    eventually("the points are credited", 30, async || {
        let output = reconcile(&config, &["--action", "tables", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        output.status.code() == Some(0) && report["events"] == 3 && report["balances"] == 590
    })
    .await;
    assert_eq!(db.one("SELECT order_id, status, version FROM {p}orders").await, "A-1|RECEIVED|3");

    db.rows("UPDATE {p}balances SET points = 591").await;
    let output = reconcile(&config, &["--action", "tables"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(
        shown.contains("a balance is not the sum of its ledger  u-7   590       591"),
        "{shown}"
    );
    for (name, expected) in
        [("tabels", "expected one of plain, tables"), ("plain", "keeps no points")]
    {
        let output = reconcile(&config, &["--action", name]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(expected), "{said}");
    }
    assert!(service.terminate().await.success());
}
