//! `autoreceive import`: many commands as one stream.

use serde_json::{Value, json};

use super::{Canned, ask, text};
use crate::support::process::{Process, eventually};

#[tokio::test]
async fn an_import_sends_every_line_and_prints_bad_lines_and_a_summary() {
    let answers = [
        json!({"line": 1, "order_id": "A", "result": "changed", "status": "PAID", "version": 1}),
        json!({"line": 3, "order_id": "B", "result": "unchanged", "status": "PAID", "version": 1}),
        json!({
            "line": 4,
            "order_id": "C",
            "result": "rejected",
            "error": {"code": "x", "title": "no", "allowed": ["place"]},
        }),
        json!({
            "line": 5,
            "order_id": null,
            "result": "invalid",
            "error": {"code": "x", "title": "not JSON"},
        }),
    ];
    let service = Canned::start(200, answers.map(|answer| format!("{answer}\n")).concat()).await;
    let input = "one\n\ntwo\n three\r\nlast line without an end";
    let output = service.run_with(&["import", "-"], input).await;
    assert_eq!(service.asked(), ("POST /v1/commands".to_owned(), input.to_owned()));
    assert_eq!(
        text(&output.stdout),
        "line 4 (C): rejected: no (possible now: place)\nline 5: invalid: not JSON\n"
    );
    assert!(
        text(&output.stderr).contains("4 lines: 1 changed, 1 unchanged, 1 rejected, 1 invalid\n"),
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(3));
}

#[tokio::test]
async fn a_large_file_is_imported_completely() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = format!("{{\"order_id\":\"{}\"}}\n", "x".repeat(1_000));
    std::fs::write(file.path(), line.repeat(2_000)).unwrap();
    let answers: String = (1..=2_000)
        .map(|line| format!("{{\"line\":{line},\"order_id\":\"A\",\"result\":\"changed\"}}\n"))
        .collect();
    let service = Canned::start(200, answers).await;
    let output = service.run(&["import", file.path().to_str().unwrap()]).await;
    assert!(output.status.success() && text(&output.stderr).contains("2000 changed"), "{output:?}");
    assert_eq!(service.asked().1.len(), line.len() * 2_000);
}

#[tokio::test]
async fn an_import_reports_unanswered_lines() {
    let service =
        Canned::start(200, "{\"line\":1,\"order_id\":\"A\",\"result\":\"changed\"}\n").await;
    let output = service.run_with(&["import", "-"], "one\ntwo\n").await;
    assert_eq!(output.status.code(), Some(4));
    assert!(
        text(&output.stderr)
            .contains("1 of 2 lines were not applied or not answered; import the file again"),
        "{output:?}"
    );
}

#[tokio::test]
async fn importing_a_file_again_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("autoreceive.toml");
    std::fs::write(&config, "").unwrap();
    let service = Process::serve(&config).await;
    let lines = |n| {
        format!(
            "{{\"order_id\":\"A-{n}\",\"command\":\"place\",\"buyer_id\":\"b\"}}\n\
             {{\"order_id\":\"A-{n}\",\"command\":\"pay\"}}\n"
        )
    };
    let input: String = (0..2_000).map(lines).collect();
    for expected in ["4000 changed, 0 unchanged", "0 changed, 4000 unchanged"] {
        let output = ask(&service.url, &["import", "-"], &input).await;
        assert!(output.status.success() && text(&output.stderr).contains(expected), "{output:?}");
    }
    let output = ask(&service.url, &["import", "-"], "\nnonsense\n").await;
    assert!(
        output.status.code() == Some(3) && text(&output.stdout).starts_with("line 2: invalid: "),
        "{output:?}"
    );
}

#[tokio::test]
async fn imported_orders_that_were_shipped_long_ago_are_not_cancelled_as_unshipped() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("autoreceive.toml");
    std::fs::write(
        &config,
        "[policies.parcel]\nstarts_at = \"delivered\"\nfallback_after = \
        \"3650d\"\nship_within = \"7d\"\n",
    )
    .unwrap();
    let service = Process::serve(&config).await;
    let line = |n, shipped: &str| {
        let place = r#""command":"place","buyer_id":"b","policy":"parcel""#;
        let paid = r#""paid_at":"2026-01-01T00:00:00Z""#;
        format!("{{\"order_id\":\"A-{n}\",{place},{paid}{shipped}}}\n")
    };
    let shipped: String =
        (0..500).map(|n| line(n, r#","shipped_at":"2026-01-02T00:00:00Z""#)).collect();
    let output = ask(&service.url, &["import", "-"], &(shipped + &line(500, ""))).await;
    assert!(output.status.success(), "{output:?}");
    let figures = async || {
        serde_json::from_slice::<Value>(&ask(&service.url, &["stats", "--json"], "").await.stdout)
            .unwrap()
    };
    eventually("the one that was never shipped is cancelled", 20, async || {
        figures().await["orders"]["PAID"] == 0
    })
    .await;
    assert_eq!(figures().await["orders"]["SHIPPED"], 500, "{}", figures().await);
}
