//! Secrets are planted wherever there can be one, and searched for wherever something is said.

use std::path::Path;
use std::process::Output;

use autoreceive::access::{TokenHash, fresh_token};

use crate::support::process::{Process, eventually, free_port};
use crate::support::receiver::SECRET;
use crate::support::redis_server::RedisServer;

const PASSWORD: &str = "canary-password";
const QUERY: &str = "canary-query";

/// A configuration with every secret there is, at the most talkative log level.
fn config(redis: &RedisServer, token: &str) -> String {
    let (port, hook, hash) = (redis.port, free_port(), TokenHash::of(token));
    format!(
        "[store]\nurl = \"redis://:{PASSWORD}@127.0.0.1:{port}/0\"\n[log]\nlevel = \"trace\"\n\
         [tokens.shop]\nrole = \"operate\"\nsha256 = \"{hash}\"\n\
         [actions.shop]\ntype = \"webhook\"\non = [\"order.placed\"]\nurl = \"http://127.0.0.1:{hook}/h?key={QUERY}\"\nallow_private = true\n\
         secret = \"{SECRET}\"\n[actions.log]\ntype = \"log\"\n"
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
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn no_secret_shows_in_logs_errors_answers_or_the_shown_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let mut redis = RedisServer::start(&["--requirepass", PASSWORD]);
    let (token, guessed) = (fresh_token(), fresh_token());
    let path = directory.path().join("config.toml");
    std::fs::write(&path, config(&redis, &token)).unwrap();
    let key = SECRET.trim_start_matches("whsec_");
    let canaries = [PASSWORD, QUERY, SECRET, key, &token, &guessed];

    let service = Process::serve(&path).await;
    let (config, url) = (path.to_str().unwrap(), service.url.as_str());
    let order = ["order", "place", "A-1", "--buyer-id", "B-7", "--url", url];
    let log = || std::fs::read_to_string(path.with_extension("log")).unwrap();
    for (token, code) in [(&token, 0), (&guessed, 1)] {
        let output = autoreceive(directory.path(), &order, &[("AUTORECEIVE_TOKEN", token)]).await;
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        search("a command", &said(&output), &canaries);
    }
    let bearer = |token: &str| format!("Bearer {token}");
    let client = reqwest::Client::new();
    let metrics = async || {
        let answer = client.get(format!("{url}/metrics")).header("authorization", bearer(&token)).send().await.unwrap();
        answer.text().await.unwrap()
    };
    eventually("the webhook fails", 30, async || metrics().await.contains("{action=\"shop\",result=\"retry\"} ")).await;
    for path in ["/v1/stats", "/metrics", "/v1/orders?view=held", "/v1/orders/A-1", "/openapi.json", "/docs/swagger-initializer.js"] {
        for token in [&token, &guessed] {
            let answer = client.get(format!("{url}{path}")).header("authorization", bearer(token)).send().await.unwrap();
            search(path, &format!("{:?}{}", answer.headers().clone(), answer.text().await.unwrap()), &canaries);
        }
    }
    redis.kill();
    let place = client.post(format!("{url}/v1/orders")).header("authorization", bearer(&token)).header("content-type", "application/json");
    let away = place.body(r#"{"order_id":"A-2","buyer_id":"B-7"}"#).send().await.unwrap();
    assert_eq!(away.status(), 503);
    search("an answer without the store", &away.text().await.unwrap(), &canaries);
    let wrong = format!("redis://:{PASSWORD}@127.0.0.1:{}/nonsense", redis.port);
    for args in [&["config", "show", "--config", config][..], &["config", "check", "--config", config], &["serve", "--store", &wrong]] {
        let output = autoreceive(directory.path(), args, &[]).await;
        search(&format!("{args:?}"), &said(&output), &canaries);
    }
    assert!(service.terminate().await.success());
    let log = log();
    assert!(log.contains("DEBUG") && log.contains("A-1") && log.contains("unavailable"), "the log says too little to be searched:\n{log}");
    search("the log", &log, &canaries);
}
