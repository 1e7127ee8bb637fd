//! The answer to a wrong request explains the error, and nothing changes.

use serde_json::{Value, json};

use super::client::{Answer, RawClient};

const JSON: &str = "content-type: application/json";

/// A request and its expected answer.
struct WrongRequest {
    method: &'static str,
    path: String,
    headers: &'static str,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    /// A text that the title must contain.
    names: &'static str,
}

fn row(
    method: &'static str,
    path: impl Into<String>,
    headers: &'static str,
    body: impl Into<Vec<u8>>,
    status: u16,
    code: &'static str,
    names: &'static str,
) -> WrongRequest {
    WrongRequest { method, path: path.into(), headers, body: body.into(), status, code, names }
}

/// Bodies that are wrong for every command.
fn wrong_for_all(path: &str) -> Vec<WrongRequest> {
    let post = |headers, body: Vec<u8>, status, code, names| {
        row("POST", path, headers, body, status, code, names)
    };
    let deep = |open: &str| open.repeat(10_000).into_bytes();
    vec![
        post(JSON, b"{".to_vec(), 400, "malformed", "not JSON"),
        post(JSON, b"{\"a\":1}}".to_vec(), 400, "malformed", ""),
        post(JSON, b"null".to_vec(), 400, "malformed", "object"),
        post(JSON, b"[]".to_vec(), 400, "malformed", "object"),
        post(JSON, b"\"text\"".to_vec(), 400, "malformed", "object"),
        post(JSON, b"{\"a\xff\":1}".to_vec(), 400, "malformed", ""),
        post(JSON, b"{\"nonsense\":1}".to_vec(), 400, "malformed", ""),
        post(JSON, deep("["), 400, "malformed", ""),
        post(JSON, deep("{\"a\":"), 400, "malformed", ""),
        post(JSON, vec![b' '; 64 * 1024 + 1], 413, "too_large", "65536"),
        post(JSON, vec![b'x'; 1_000_000], 413, "too_large", "65536"),
        post(
            "content-type: text/plain",
            b"{}".to_vec(),
            415,
            "unsupported_media_type",
            "application/json",
        ),
        post(
            "content-type: application/x-www-form-urlencoded",
            b"a=1".to_vec(),
            415,
            "unsupported_media_type",
            "application/json",
        ),
        post(
            "content-type: multipart/form-data; boundary=x",
            b"".to_vec(),
            415,
            "unsupported_media_type",
            "application/json",
        ),
        post("", b"{}".to_vec(), 415, "unsupported_media_type", "application/json"),
        post(
            "content-type: application/json\norigin: https://evil.example",
            b"{}".to_vec(),
            403,
            "foreign_page",
            "other sites",
        ),
        post("origin: null", b"".to_vec(), 403, "foreign_page", "other sites"),
        row("GET", "http://evil.example/v1/stats", "", "", 403, "foreign_host", "localhost"),
    ]
}

fn wrong_places() -> Vec<WrongRequest> {
    let place = |fields: Value, status, code, names| {
        let mut body = json!({"order_id": "N-1", "buyer_id": "B-7"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        row("POST", "/v1/orders", JSON, body.to_string(), status, code, names)
    };
    let raw = |body: &str, code, names| row("POST", "/v1/orders", JSON, body, 400, code, names);
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    vec![
        raw(r#"{"buyer_id":"B-7"}"#, "malformed", "order_id"),
        raw(r#"{"order_id":"N-1"}"#, "malformed", "buyer_id"),
        raw(r#"{"order_id":"N-1","order_id":"N-2","buyer_id":"B"}"#, "malformed", "order_id"),
        raw(r#"{"order_id":"N-1","buyer_id":"B","amount":1,"amount":2}"#, "malformed", "amount"),
        raw(r#"{"order_id":"N-1","buyer_id":"B","amount":1e999}"#, "malformed", "out of range"),
        place(json!({"order_id": 5}), 400, "malformed", "order_id"),
        place(json!({"buyer_id": null}), 400, "malformed", "buyer_id"),
        place(json!({"amount": "1"}), 400, "malformed", "amount"),
        place(json!({"currency": 5}), 400, "malformed", "currency"),
        place(json!({"at": 1_763_856_000}), 400, "malformed", "at"),
        place(json!({"recieve_after": "24h"}), 400, "malformed", "recieve_after"),
        place(
            json!({"receive_after": 86_400}),
            400,
            "malformed",
            "receive_after: invalid type: integer `86400`, expected a string; write a duration \
                as \"24h\" or \"86400s\"",
        ),
        place(json!({"command": "place"}), 400, "malformed", "command"),
        place(json!({"order_id": ""}), 422, "invalid", "order_id"),
        place(json!({"order_id": "x".repeat(129)}), 422, "invalid", "order_id"),
        place(json!({"order_id": "a\u{0}b"}), 422, "invalid", "order_id"),
        place(json!({"order_id": "a\u{85}b"}), 422, "invalid", "order_id"),
        place(json!({"buyer_id": "x".repeat(129)}), 422, "invalid", "buyer_id"),
        place(json!({"policy": "nope"}), 422, "invalid", "policy"),
        place(json!({"amount": -1}), 422, "invalid", "amount"),
        place(json!({"amount": 0.5}), 422, "invalid", "amount"),
        place(json!({"amount": 9_007_199_254_740_992u64}), 422, "invalid", "amount"),
        place(json!({"currency": "won"}), 422, "invalid", "currency"),
        place(json!({"data": "x".repeat(4_095)}), 422, "invalid", "data"),
        place(json!({"data": deep}), 422, "invalid", "data"),
        place(json!({"receive_after": "1 week"}), 422, "invalid", "receive_after"),
        place(json!({"paid_at": "2026-11-23"}), 422, "invalid", "paid_at"),
        place(json!({"paid_at": "9998-01-01T00:00:00Z"}), 422, "at_in_future", "ahead"),
    ]
}

fn wrong_commands() -> Vec<WrongRequest> {
    let command = |command: &str, fields: Value, status, code, names| {
        row(
            "POST",
            format!("/v1/orders/A-1/{command}"),
            JSON,
            fields.to_string(),
            status,
            code,
            names,
        )
    };
    vec![
        command("pay", json!({"at": "now"}), 422, "invalid", "at"),
        command("pay", json!({"order_id": "A-2"}), 400, "malformed", "order_id"),
        command("ship", json!({"carrier": "a\nb"}), 422, "invalid", "carrier"),
        command("ship", json!({"tracking": 5}), 400, "malformed", "tracking"),
        command("receive", json!({"by": "timer"}), 422, "invalid", "by"),
        command("extend", json!({"number": 0}), 422, "invalid", "number"),
        command("extend", json!({"number": -1}), 422, "invalid", "number"),
        command("extend", json!({"number": "1"}), 400, "malformed", "number"),
        command("extend", json!({"number": 1}), 409, "extension_limit", "extended 0 times"),
        command("hold", json!({}), 400, "malformed", "reason"),
        command("hold", json!({"reason": "x".repeat(65)}), 422, "invalid", "id"),
        command("hold", json!({"reason": "x".repeat(201), "id": "h"}), 422, "invalid", "reason"),
        command("release", json!({}), 400, "malformed", "id"),
        command("release", json!({"id": "never"}), 409, "not_held", "hold"),
        command("cancel", json!({}), 400, "malformed", "reason"),
        command("refund", json!({"reason": ""}), 422, "invalid", "reason"),
        command(
            "due",
            json!({}),
            404,
            "unknown_command",
            "place, pay, ship, deliver, receive, extend, hold, release, cancel, refund",
        ),
        command("Pay", json!({}), 404, "unknown_command", "place, pay"),
        command("%00", json!({}), 404, "unknown_command", "place, pay"),
        command("place", json!({"buyer_id": "other"}), 409, "order_exists", "buyer_id"),
    ]
}

fn wrong_ids() -> Vec<WrongRequest> {
    let pay = |id: &str, status, code, names| {
        row("POST", format!("/v1/orders/{id}/pay"), "", "", status, code, names)
    };
    let show = |id: &str, status, code, names| {
        row("GET", format!("/v1/orders/{id}"), "", "", status, code, names)
    };
    let long = "x".repeat(129);
    vec![
        pay("a%00b", 422, "invalid", "order_id"),
        pay("a%0D%0Ab", 422, "invalid", "order_id"),
        pay("a%C2%85b", 422, "invalid", "order_id"),
        pay("%FF", 400, "malformed", "order_id"),
        pay(&long, 422, "invalid", "order_id"),
        pay("..", 404, "order_not_found", ".."),
        pay("%2E%2E%2F%2E%2E", 404, "order_not_found", "../.."),
        pay("a%2Fpay", 404, "order_not_found", "a/pay"),
        pay("a/b", 404, "not_found", "/v1/orders/a/b/pay"),
        pay("", 422, "invalid", "order_id"),
        show("a%00b", 422, "invalid", "order_id"),
        show("%C0%AF", 400, "malformed", "order_id"),
        show(&long, 422, "invalid", "order_id"),
        show("nobody", 404, "order_not_found", "nobody"),
    ]
}

fn wrong_paths() -> Vec<WrongRequest> {
    let get =
        |path: &'static str, status, code, names| row("GET", path, "", "", status, code, names);
    vec![
        get("/", 404, "not_found", "/"),
        get("/v1/orders/", 404, "not_found", "/v1/orders/"),
        get("/v1/nothing", 404, "not_found", "/v1/nothing"),
        get("/v2/orders?view=held", 404, "not_found", "/v2/orders"),
        get("/v1/orders", 422, "invalid", "view"),
        get("/v1/orders?view=all", 422, "invalid", "view"),
        get("/v1/orders?view=held&limit=0", 422, "invalid", "limit"),
        get("/v1/orders?view=held&limit=201", 422, "invalid", "limit"),
        get("/v1/orders?view=held&limit=-1", 422, "invalid", "limit"),
        get("/v1/orders?view=held&limit=x", 422, "invalid", "limit"),
        get("/v1/orders?view=held&view=upcoming", 400, "malformed", "view"),
        get("/v1/orders?view=held&veiw=1", 400, "malformed", "veiw"),
        get("/v1/orders?view=held&cursor=%FF%00nonsense", 422, "invalid", "cursor"),
        get("/v1/orders?view=upcoming&cursor=nonsense", 422, "invalid", "cursor"),
        get("/v1/commands", 405, "method_not_allowed", "GET"),
        get("/v1/orders/A-1/pay", 405, "method_not_allowed", "GET"),
        row("DELETE", "/v1/orders/A-1", "", "", 405, "method_not_allowed", "DELETE"),
        row("PUT", "/v1/orders", JSON, "{}", 405, "method_not_allowed", "PUT"),
        row("PATCH", "/v1/stats", JSON, "{}", 405, "method_not_allowed", "PATCH"),
        row("POST", "/metrics", JSON, "{}", 405, "method_not_allowed", "POST"),
        row("NONSENSE", "/healthz", "", "", 405, "method_not_allowed", "NONSENSE"),
        row("POST", "/v1/commands", "", "", 415, "unsupported_media_type", "application/x-ndjson"),
        row(
            "POST",
            "/v1/commands",
            "content-type: text/plain",
            "{}",
            415,
            "unsupported_media_type",
            "application/x-ndjson",
        ),
        row(
            "POST",
            "/v1/commands",
            "content-type: application/x-ndjson\norigin: http://evil.example",
            "{}",
            403,
            "foreign_page",
            "sites",
        ),
    ]
}

fn wrong_dead_letters() -> Vec<WrongRequest> {
    const DEAD_LETTERS: &str = "/v1/actions/shop/dead-letters";
    let which = |body: &str, status, code, names| {
        row("POST", format!("{DEAD_LETTERS}/replay"), JSON, body, status, code, names)
    };
    let get = |path: &str, status, code, names| row("GET", path, "", "", status, code, names);
    vec![
        which("{}", 422, "invalid", "body"),
        which(r#"{"all":false}"#, 422, "invalid", "body"),
        which(r#"{"all":true,"error":"x"}"#, 422, "invalid", "body"),
        which(r#"{"ids":[]}"#, 422, "invalid", "ids"),
        which(r#"{"ids":"A-1:1"}"#, 400, "malformed", "ids"),
        which(r#"{"older_than":"soon"}"#, 422, "invalid", "older_than"),
        which(r#"{"error":""}"#, 422, "invalid", "error"),
        which(r#"{"all":true}"#, 404, "action_not_found", "shop"),
        which(r#"{"ids":["A-1:1"]}"#, 404, "action_not_found", "shop"),
        get(DEAD_LETTERS, 404, "action_not_found", "shop"),
        get("/v1/actions/a%00%2F{0}/dead-letters", 404, "action_not_found", "action"),
        get("/v1/actions/%FF/dead-letters", 400, "malformed", "UTF-8"),
        get(&format!("{DEAD_LETTERS}/A-1:1"), 404, "action_not_found", "shop"),
        get(&format!("{DEAD_LETTERS}?limit=0"), 422, "invalid", "limit"),
        get(&format!("{DEAD_LETTERS}?older_than=1"), 422, "invalid", "older_than"),
        get(&format!("{DEAD_LETTERS}?error="), 422, "invalid", "error"),
        get(&format!("{DEAD_LETTERS}?view=held"), 400, "malformed", "view"),
        get(&format!("{DEAD_LETTERS}/replay/now"), 404, "not_found", "replay"),
        row("DELETE", DEAD_LETTERS, "", "", 405, "method_not_allowed", "DELETE"),
    ]
}

fn check(row: &WrongRequest, answer: &Answer) {
    let sent = String::from_utf8_lossy(&row.body[..row.body.len().min(80)]);
    let said = String::from_utf8_lossy(&answer.body);
    let what = format!("{} {} {sent:?} → {} {said}", row.method, row.path, answer.head);
    assert_eq!(answer.status, row.status, "{what}");
    assert!(answer.head.contains("content-type: application/problem+json"), "{what}");
    let problem = answer.json();
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&json!(row.status), &json!(row.code)),
        "{what}"
    );
    assert!(problem["title"].as_str().unwrap().contains(row.names), "{what}");
    assert!(answer.body.len() < 2_000, "{what}");
    if row.code == "invalid" {
        assert_eq!(problem["field"], row.names, "{what}");
    }
    if row.path.starts_with("/v1/orders/") && ["not_found", "unknown_command"].contains(&row.code) {
        assert!(problem["detail"].as_str().unwrap().contains("%2F"), "{what}");
    }
    if row.status == 405 {
        assert!(answer.head.contains("\r\nallow: "), "{what}");
    }
}

/// Everything that must not change.
async fn state(client: &RawClient) -> Value {
    let mut stats = client.get("/v1/stats").await.json();
    stats.as_object_mut().unwrap().remove("now");
    json!([stats, client.get("/v1/orders/A-1").await.json()])
}

#[tokio::test]
async fn a_wrong_request_gets_an_explanation_and_changes_nothing() {
    let client = RawClient::start().await;
    let paid = json!({
        "order_id": "A-1",
        "buyer_id": "B-7",
        "paid_at": "2026-01-01T00:00:00Z",
        "receive_after": "3650d",
    });
    assert_eq!(client.post("/v1/orders", &paid).await.status, 201);
    let before = state(&client).await;
    let paths = [
        "orders",
        "orders/A-1/pay",
        "orders/A-1/ship",
        "orders/A-1/deliver",
        "orders/A-1/receive",
        "orders/A-1/extend",
    ];
    let others = [
        "orders/A-1/hold",
        "orders/A-1/release",
        "orders/A-1/cancel",
        "orders/A-1/refund",
        "orders/A-1/place",
    ];
    let others =
        [&others[..], &["actions/shop/dead-letters/replay", "actions/shop/dead-letters/discard"]]
            .concat();
    let for_all =
        paths.iter().chain(&others).flat_map(|path| wrong_for_all(&format!("/v1/{path}")));
    let rows = for_all
        .chain(wrong_places())
        .chain(wrong_commands())
        .chain(wrong_ids())
        .chain(wrong_paths())
        .chain(wrong_dead_letters());
    for row in rows {
        let answer = client.request(row.method, &row.path, row.headers, &row.body).await;
        check(&row, &answer);
        assert_eq!(state(&client).await, before, "{} {}", row.method, row.path);
    }
}

#[tokio::test]
async fn a_wrong_line_gets_an_explanation_and_changes_nothing() {
    let client = RawClient::start().await;
    let line = |fields: Value| {
        let mut line = json!({"order_id": "N-1", "command": "place", "buyer_id": "B-7"});
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        line.to_string().into_bytes()
    };
    let rows: Vec<(Vec<u8>, &str, &str)> = vec![
        (b"{".to_vec(), "malformed", "JSON"),
        (b"[]".to_vec(), "malformed", "object"),
        (b"{\"order_id\":\"\xff\"}".to_vec(), "malformed", ""),
        ("[".repeat(60_000).into_bytes(), "malformed", ""),
        (vec![b'x'; 70_000], "invalid", "65536"),
        (br#"{"command":"pay"}"#.to_vec(), "malformed", "order_id"),
        (br#"{"order_id":"N-1"}"#.to_vec(), "malformed", "command"),
        (
            br#"{"order_id":"N-1","command":"pay","command":"cancel"}"#.to_vec(),
            "malformed",
            "command",
        ),
        (line(json!({"order_id": 1})), "malformed", "order_id"),
        (line(json!({"command": null})), "malformed", "command"),
        (line(json!({"line": 1})), "malformed", "line"),
        (line(json!({"order_id": "x".repeat(129)})), "invalid", "order_id"),
        (line(json!({"order_id": "a\u{7f}"})), "invalid", "order_id"),
        (line(json!({"command": "due"})), "invalid", "place, pay"),
        (line(json!({"command": "pay"})), "malformed", "buyer_id"),
        (line(json!({"policy": "nope"})), "invalid", "policy"),
        (line(json!({"amount": 1.5})), "invalid", "amount"),
        (line(json!({"data": "x".repeat(4_095)})), "invalid", "data"),
        (line(json!({"at": "today"})), "invalid", "at"),
    ];
    let lines: Vec<u8> =
        rows.iter().flat_map(|(line, ..)| [line, b"\n".as_slice()].concat()).collect();
    let answers = client.bulk(lines).await;
    assert_eq!(answers.len(), rows.len());
    for ((line, code, names), answer) in rows.iter().zip(&answers) {
        let what = format!("{} → {answer}", String::from_utf8_lossy(&line[..line.len().min(80)]));
        assert_eq!(
            (&answer["result"], &answer["error"]["code"]),
            (&json!("invalid"), &json!(code)),
            "{what}"
        );
        assert!(answer["error"]["title"].as_str().unwrap().contains(names), "{what}");
    }
    assert_eq!(client.get("/v1/stats").await.json()["events"], json!([]));
}
