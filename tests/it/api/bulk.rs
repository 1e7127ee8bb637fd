//! Many commands as lines.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::client::RawClient;

fn of<'a>(answers: &'a [Value], field: &str) -> Vec<&'a str> {
    answers.iter().map(|answer| answer[field].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn commands_of_one_order_are_executed_in_the_order_of_their_lines() {
    let client = RawClient::start().await;
    let mut lines = String::new();
    for i in 0..500 {
        let id = format!("A-{i}");
        for line in [
            json!({"order_id": id, "command": "place", "buyer_id": "B-7"}),
            json!({"order_id": id, "command": "pay"}),
            json!({"order_id": id, "command": "ship"}),
            json!({"order_id": id, "command": "pay"}),
            json!({"order_id": id, "command": "cancel", "reason": "too late"}),
            json!({"order_id": id, "command": "receive"}),
        ] {
            lines.push_str(&format!("{line}\n"));
        }
    }
    let answers = client.bulk(lines).await;
    assert_eq!(answers.len(), 3_000);
    for (i, answers) in answers.chunks(6).enumerate() {
        assert_eq!(
            of(answers, "result"),
            ["changed", "changed", "changed", "unchanged", "rejected", "changed"],
            "A-{i}"
        );
        assert_eq!(
            of(answers, "status"),
            ["PENDING_PAYMENT", "PAID", "SHIPPED", "SHIPPED", "SHIPPED", "RECEIVED"],
            "A-{i}"
        );
        assert!(answers.iter().all(|answer| answer["order_id"] == format!("A-{i}")));
    }
    assert!(answers.iter().zip(1..).all(|(answer, number)| answer["line"] == number));
    client.service.stop().await;
}

#[tokio::test]
async fn a_bad_line_does_not_affect_others() {
    let client = RawClient::start().await;
    let long =
        format!(r#"{{"order_id":"A-9","command":"cancel","reason":"{}"}}"#, "x".repeat(70_000));
    let lines = [
        r#"{"order_id":"A-1","command":"place","buyer_id":"B-7"}"#,
        "",
        "garbage",
        r#"{"order_id":"A-1","command":"due"}"#,
        &long,
        r#"{"order_id":"A-2","command":"pay"}"#,
        "\u{0}",
        r#"{"order_id":"A-1","command":"ship"}"#,
        r#"{"order_id":"A-1","command":"pay"}"#,
    ];
    let answers = client.bulk(lines.join("\r\n")).await;
    assert_eq!(
        of(&answers, "result"),
        ["changed", "invalid", "invalid", "invalid", "rejected", "invalid", "rejected", "changed"]
    );
    let numbers: Vec<_> = answers.iter().map(|answer| answer["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 3, 4, 5, 6, 7, 8, 9]);
    let codes: Vec<_> =
        answers.iter().map(|answer| answer["error"]["code"].as_str().unwrap_or("-")).collect();
    assert_eq!(
        codes,
        [
            "-",
            "malformed",
            "invalid",
            "invalid",
            "order_not_found",
            "malformed",
            "not_shippable",
            "-"
        ]
    );
    assert_eq!(answers[6]["error"]["allowed"], json!(["pay", "cancel"]));
    assert_eq!((&answers[7]["status"], &answers[7]["version"]), (&json!("PAID"), &json!(2)));
}

#[tokio::test]
async fn a_line_is_answered_before_the_next_one_is_sent() {
    let client = RawClient::start().await;
    let (reader, mut writer) = TcpStream::connect(&client.address).await.unwrap().into_split();
    let head = "POST /v1/commands HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
        application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    writer.write_all(head.as_bytes()).await.unwrap();
    let mut answers = BufReader::new(reader).lines();
    for (i, command) in
        ["place\",\"buyer_id\":\"B-7", "pay", "ship", "receive"].into_iter().enumerate()
    {
        let line = format!("{{\"order_id\":\"A-1\",\"command\":\"{command}\"}}\n");
        writer.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.unwrap();
        let answer = async {
            loop {
                let line = answers.next_line().await.unwrap().unwrap();
                if line.starts_with("{\"line\"") {
                    return serde_json::from_str::<Value>(&line).unwrap();
                }
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(20), answer)
            .await
            .expect("no answer while the body is open");
        assert_eq!((&answer["line"], &answer["result"]), (&json!(i + 1), &json!("changed")));
    }
}

#[tokio::test]
async fn a_service_that_shuts_down_answers_all_sent_lines_and_says_so() {
    let client = RawClient::start().await;
    let (reader, mut writer) = TcpStream::connect(&client.address).await.unwrap().into_split();
    let line = "{\"order_id\":\"A-1\",\"command\":\"place\",\"buyer_id\":\"B-7\"}\n";
    let head = "POST /v1/commands HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
        application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    writer.write_all(format!("{head}{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.unwrap();
    let mut answers = BufReader::new(reader).lines();
    let mut results = Vec::new();
    let read = async {
        while let Some(line) = answers.next_line().await.unwrap() {
            if let Ok(answer @ Value::Object(_)) = serde_json::from_str::<Value>(&line) {
                results.push(format!("{} {}", answer["result"], answer["error"]["code"]));
                client.service.stop_api.cancel();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("the stream does not end");
    assert_eq!(results, ["\"changed\" null", "\"unavailable\" \"stopping\""]);
    client.service.serving.await.unwrap().unwrap();
}
