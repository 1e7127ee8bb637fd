//! Plants a secret in every possible place, and searches for it in all output.

use std::path::Path;
use std::process::Output;

use autoreceive::access::{TokenHash, fresh_token};

use crate::support::endpoint::SECRET;
use crate::support::process::{Process, eventually, free_port};
use crate::support::redis_server::RedisServer;

const PASSWORD: &str = "canary-password";
const QUERY: &str = "canary-query";
const GATEWAY: &str = "canary-gateway";
const SMTP: &str = "canary-smtp";
const STREAM: &str = "canary-stream";
const DATABASE: &str = "canary-database";

/// The secrets that come from the environment.
const ENVIRONMENT: [(&str, &str); 2] = [("CANARY_GATEWAY", GATEWAY), ("CANARY_SMTP", SMTP)];

/// Every action, for an order that is placed and cancelled. All their servers are down.
const ACTIONS: [&str; 5] = ["shop", "gateway", "emails", "events", "tables"];

/// A configuration with every secret, at the most detailed log level.
fn config(redis: &RedisServer, token: &str) -> String {
    let port = redis.port;
    let down = free_port();
    let hash = TokenHash::of(token);
    format!(
        r#"
        [store]
        url = "redis://:{PASSWORD}@127.0.0.1:{port}/0"
        [log]
        level = "trace"
        [tokens.shop]
        role = "operate"
        sha256 = "{hash}"
        [actions.log]
        type = "log"
        [actions.shop]
        type = "webhook"
        on = ["order.placed"]
        url = "http://user:{PASSWORD}@127.0.0.1:{down}/h?key={QUERY}"
        allow_private = true
        secret = "{SECRET}"
        [actions.gateway]
        type = "http"
        on = ["order.placed"]
        url = "http://127.0.0.1:{down}/send?key={QUERY}&token={{{{ env.CANARY_GATEWAY }}}}"
        headers = {{ authorization = "Bearer {{{{ env.CANARY_GATEWAY }}}}" }}
        body = "{{}}"
        env = ["CANARY_GATEWAY"]
        allow_private = true
        [actions.emails]
        type = "email"
        on = ["order.cancelled"]
        server = "127.0.0.1:{down}"
        tls = "none"
        user = "shop"
        password_env = "CANARY_SMTP"
        from = "Shop <no-reply@shop.example>"
        to_pointer = "/email"
        [actions.events]
        type = "stream"
        on = ["order.placed"]
        url = "redis://:{STREAM}@127.0.0.1:{down}/0"
        stream = "orders"
        [actions.tables]
        type = "database"
        url = "postgres://shop:{DATABASE}@127.0.0.1:{down}/shop"
        "#
    )
}

fn search(what: &str, text: &str, canaries: &[&str]) {
    for canary in canaries {
        assert!(!text.contains(canary), "{what} gives {canary} away:\n{text}");
    }
}

async fn autoreceive(directory: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_autoreceive"));
    command.args(args).current_dir(directory).envs(env.iter().copied()).output().await.unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn no_secret_appears_in_logs_errors_answers_or_the_shown_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let mut redis = RedisServer::start(&["--requirepass", PASSWORD]);
    let token = fresh_token();
    let guessed = fresh_token();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, config(&redis, &token)).unwrap();
    let key = SECRET.trim_start_matches("whsec_");
    let canaries =
        [PASSWORD, QUERY, GATEWAY, SMTP, STREAM, DATABASE, SECRET, key, &token, &guessed];

    let mut service = Process::spawn_in(&path, &[], &ENVIRONMENT);
    service.wait_until_ready().await;
    let config = path.to_str().unwrap();
    let url = service.url.as_str();
    let order = [
        "order",
        "place",
        "A-1",
        "--buyer-id",
        "B-7",
        "--data",
        r#"{"email":"u@shop.example"}"#,
        "--url",
        url,
    ];
    let cancel = ["order", "cancel", "A-1", "--reason", "out of stock", "--url", url];
    let log = || std::fs::read_to_string(path.with_extension("log")).unwrap();
    for (command, token, code) in
        [(&order[..], &token, 0), (&order, &guessed, 1), (&cancel, &token, 0)]
    {
        let output = autoreceive(directory.path(), command, &[("AUTORECEIVE_TOKEN", token)]).await;
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        search("a command", &said(&output), &canaries);
    }
    let bearer = |token: &str| format!("Bearer {token}");
    let client = reqwest::Client::new();
    let metrics = async || {
        let answer = client
            .get(format!("{url}/metrics"))
            .header("authorization", bearer(&token))
            .send()
            .await
            .unwrap();
        answer.text().await.unwrap()
    };
    for action in ACTIONS {
        let failed = format!("{{action=\"{action}\",result=\"retry\"}} ");
        eventually(&format!("{action} fails"), 30, async || metrics().await.contains(&failed))
            .await;
    }
    for path in [
        "/v1/stats",
        "/metrics",
        "/v1/orders?view=held",
        "/v1/orders/A-1",
        "/v1/actions",
        "/v1/actions/shop/dead-letters",
        "/openapi.json",
        "/docs/swagger-initializer.js",
    ] {
        for token in [&token, &guessed] {
            let answer = client
                .get(format!("{url}{path}"))
                .header("authorization", bearer(token))
                .send()
                .await
                .unwrap();
            search(
                path,
                &format!("{:?}{}", answer.headers().clone(), answer.text().await.unwrap()),
                &canaries,
            );
        }
    }
    redis.kill();
    let place = client
        .post(format!("{url}/v1/orders"))
        .header("authorization", bearer(&token))
        .header("content-type", "application/json");
    let away = place.body(r#"{"order_id":"A-2","buyer_id":"B-7"}"#).send().await.unwrap();
    assert_eq!(away.status(), 503);
    search("an answer without the store", &away.text().await.unwrap(), &canaries);
    let wrong = format!("redis://:{PASSWORD}@127.0.0.1:{}/nonsense", redis.port);
    for args in [
        &["config", "show", "--config", config][..],
        &["config", "check", "--config", config],
        &["serve", "--store", &wrong],
    ] {
        let output = autoreceive(directory.path(), args, &ENVIRONMENT).await;
        search(&format!("{args:?}"), &said(&output), &canaries);
    }
    assert!(service.terminate().await.success());
    let log = log();
    assert!(
        log.contains("DEBUG") && log.contains("A-1") && log.contains("unavailable"),
        "the log says too little to be searched:\n{log}"
    );
    for action in ACTIONS {
        assert!(
            log.contains(&format!("action={action}")),
            "the log does not tell that {action} failed:\n{log}"
        );
    }
    search("the log", &log, &canaries);
}
