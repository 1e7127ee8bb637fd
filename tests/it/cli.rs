//! The command line: the real binary.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use autoreceive::access::Role;
use autoreceive::action::webhook::SigningSecret;
use autoreceive::cli::Cli;
use autoreceive::config::{Config, Sources};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use clap::CommandFactory;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::process::Process;

mod import;

/// The binary in an empty directory, without this process's configuration and without root
/// certificates.
fn autoreceive(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoreceive"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AUTORECEIVE_"))
    {
        command.env_remove(name);
    }
    command
        .args(args)
        .env("TZ", "UTC")
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent");
    command
}

fn run(args: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    autoreceive(args).current_dir(&directory).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A service that gives the same answer to every request, and records the requests.
struct Canned {
    url: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Canned {
    async fn start(status: u16, body: impl ToString) -> Canned {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let body = body.to_string();
        let seen = asked.clone();
        let answer = move |request: Request| async move {
            let line = format!("{} {}", request.method(), request.uri());
            let sent = axum::body::to_bytes(request.into_body(), 1 << 24).await.unwrap();
            seen.lock().unwrap().push((line, text(&sent)));
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Canned { url, asked }
    }

    async fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "").await
    }

    async fn run_with(&self, args: &[&str], input: &str) -> Output {
        ask(&self.url, args, input).await
    }

    fn asked(&self) -> (String, String) {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }
}

/// Runs a client command against the service at `url`.
async fn ask(url: &str, args: &[&str], input: &str) -> Output {
    let mut command = autoreceive(args);
    command
        .env("AUTORECEIVE_URL", url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        // A command that does not read its input may end before all of it is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    });
    ended.await.unwrap()
}

fn order() -> Value {
    json!({
        "order_id": "A-1",
        "status": "PAID",
        "version": 2,
        "policy": "default",
        "policy_revision": "default.k3x9q1",
        "buyer_id": "u-7",
        "amount": 59000,
        "currency": "KRW",
        "placed_at": "2026-11-23T01:00:00.000Z",
        "paid_at": "2026-11-23T01:00:01.000Z",
        "updated_at": "2026-11-23T01:00:01.000Z",
        "last_event": {"type": "order.paid", "cause": "shop"},
        "extensions": 0,
        "holds": [],
        "clock": {"kind": "receive", "state": "running", "deadline": "2026-11-24T01:00:01.000Z"},
    })
}

#[test]
fn every_command_has_help_with_an_example() {
    fn visit(command: &clap::Command, path: &[&str], seen: &mut usize) {
        if command.has_subcommands() {
            let subcommands = command.get_subcommands().filter(|sub| sub.get_name() != "help");
            for sub in subcommands {
                visit(sub, &[path, &[sub.get_name()]].concat(), seen);
            }
            return;
        }
        let output = run(&[path, &["--help"]].concat());
        let help = text(&output.stdout);
        let example = help.split_once("Example").is_some_and(|(_, examples)| {
            examples.contains(&format!("autoreceive {}", path.join(" ")))
        });
        assert!(output.status.success() && example, "{path:?}\n{help}");
        *seen += 1;
    }
    let mut seen = 0;
    visit(&Cli::command(), &[], &mut seen);
    assert!(seen >= 18, "{seen}");
    let help = text(&run(&["--help"]).stdout);
    assert!(help.contains("Exit codes:") && help.contains("Examples:"), "{help}");
}

#[test]
fn the_command_line_is_well_formed_and_wrong_usage_ends_with_2() {
    Cli::command().debug_assert();
    for args in [
        &["nonsense"][..],
        &[],
        &["order", "place", "A-1"],
        &["order", "list", "--tz", "Asia/Soul"],
        &["order", "list", "lost"],
    ] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn an_error_about_a_wrong_value_says_what_is_expected() {
    for (args, expected) in [
        (&["stats", "--url", "127.0.0.1:8780"][..], "it must begin with http:// or https://"),
        (&["stats", "--url", "localhost:8780"], "it must begin with http:// or https://"),
        (&["stats", "--url", "http://localhost:8780/v1/"], "leave out the /v1"),
        (
            &["order", "place", "A", "--buyer-id", "b", "--amount", "590.5"],
            "expected a whole number of minor units",
        ),
    ] {
        let output = run(args);
        assert!(
            output.status.code() == Some(2) && text(&output.stderr).contains(expected),
            "{args:?}: {output:?}"
        );
    }
    let said = text(&run(&["serve", "--listen", "8780"]).stderr);
    assert!(
        said.contains("http.listen (in --listen): expected an IP address and a port, for example"),
        "{said}"
    );
}

#[tokio::test]
async fn with_the_wrong_scheme_the_client_suggests_the_other() {
    let service = Canned::start(200, order()).await;
    let mut command =
        autoreceive(&["order", "show", "A-1", "--url", &service.url.replace("http", "https")]);
    // A client without root certificates sends no request.
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(
        output.status.code() == Some(4) && text(&output.stderr).contains("try http://"),
        "{output:?}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.read_u8().await.unwrap();
        // The answer of a TLS server to plain HTTP: the alert "record overflow".
        connection.write_all(b"\x15\x03\x03\x00\x02\x02\x16").await.unwrap();
        let _ = connection.read_to_end(&mut Vec::new()).await;
    });
    let output = ask(&url, &["order", "show", "A-1"], "").await;
    assert!(
        output.status.code() == Some(4) && text(&output.stderr).contains("try https://"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_second_extension_without_a_number_is_reported_as_a_repeat() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("autoreceive.toml");
    std::fs::write(&config, "[policies.default]\nmax_extensions = 2\n").unwrap();
    let service = Process::serve(&config).await;
    let order = async |args: &[&str]| {
        let output = ask(&service.url, &[&["order"], args].concat(), "").await;
        assert!(output.status.success(), "{output:?}");
        text(&output.stderr)
    };
    order(&["place", "A-1", "--buyer-id", "b"]).await;
    order(&["pay", "A-1"]).await;
    assert_eq!(order(&["extend", "A-1"]).await, "");
    assert_eq!(
        order(&["extend", "A-1"]).await,
        "unchanged: extension 1 was made before; the next one is --number 2\n"
    );
    assert_eq!(order(&["extend", "A-1", "--number", "2"]).await, "");
}

#[tokio::test]
async fn a_replay_for_a_disabled_action_says_how_to_enable_it() {
    let at = "2026-11-23T01:00:00.000Z";
    for (disabled_at, expected) in [
        (
            json!(at),
            "shop is disabled: nothing is sent until you run `autoreceive actions enable shop`\n",
        ),
        (Value::Null, ""),
    ] {
        let action = json!({
            "name": "shop",
            "pending": 0,
            "next_at": null,
            "dead": 0,
            "oldest_dead": null,
            "failing_since": null,
            "disabled_at": disabled_at,
            "configured": true,
        });
        let answer =
            json!({"matched": 1, "done": 1, "unreadable": 0, "now": at, "actions": [action]});
        let service = Canned::start(200, answer).await;
        let output = service.run(&["dead-letters", "replay", "shop", "A-1:3"]).await;
        assert_eq!(
            (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
            ("1 dead letter replayed\n", expected)
        );
    }
}

#[test]
fn the_annotated_defaults_are_printed_and_are_a_valid_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let defaults = text(&run(&["config", "show", "--default"]).stdout);
    assert!(defaults.contains("# Where orders are kept"), "{defaults}");
    std::fs::write(directory.path().join("autoreceive.toml"), defaults).unwrap();
    let output = autoreceive(&["config", "check"]).current_dir(&directory).output().unwrap();
    assert_eq!(
        text(&output.stdout),
        "ok: the defaults, overridden by autoreceive.toml in the current directory\n"
    );
}

#[test]
fn the_values_in_use_are_shown_with_their_sources_and_without_secrets() {
    let output = autoreceive(&["config", "show"])
        .env("AUTORECEIVE_STORE__URL", "redis://me:canary@h:1/0")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(shown.starts_with("# the defaults, overridden by AUTORECEIVE_STORE__URL\n"), "{shown}");
    assert!(
        shown.contains("url = \"redis://me:***@h:1/0\"") && !shown.contains("canary"),
        "{shown}"
    );
}

#[test]
fn a_bad_configuration_is_reported_and_ends_with_1() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.toml");
    std::fs::write(&file, "[store]\nshards = 0\n[http]\nlisten = \"0.0.0.0:1\"\n").unwrap();
    for args in [["config", "check"], ["config", "show"]] {
        let output = autoreceive(&args).arg("--config").arg(&file).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.contains("store.shards")
                && said.contains("http.listen")
                && said.contains("autoreceive token new"),
            "{said}"
        );
    }
}

#[test]
fn a_check_warns_of_an_unused_variable_and_still_passes() {
    let directory = tempfile::tempdir().unwrap();
    let output = autoreceive(&["config", "check"])
        .env("AUTORECEIVE_REDIS_URL", "redis://h")
        .current_dir(&directory)
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "ok: the defaults\n");
    assert!(
        text(&output.stderr)
            .starts_with("warning: the environment variable AUTORECEIVE_REDIS_URL is not used"),
        "{output:?}"
    );
}

#[test]
fn a_new_secret_can_sign_a_message() {
    let secret = text(&run(&["secret", "new"]).stdout);
    assert!(secret.trim_end().parse::<SigningSecret>().is_ok(), "a line with a secret");
}

#[test]
fn a_new_token_and_its_configuration_are_printed_separately() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&["token", "new", "--role", "write", "--name", "shop-1"]);
    let token = text(&output.stdout);
    let config = text(&output.stderr);
    let token = token.trim_end();
    assert!(
        token.len() == 46 && token.starts_with("ar_") && !config.contains(token),
        "{token}\n{config}"
    );
    let file = directory.path().join("autoreceive.toml");
    std::fs::write(&file, format!("[http]\nlisten = \"0.0.0.0:1\"\n{config}")).unwrap();
    let sources = Sources { file: Some(file), ..Sources::default() };
    assert_eq!(Config::load(&sources).unwrap().tokens.role_of(token), Some(Role::Write));
    assert_eq!(run(&["token", "new", "--role", "write", "--name", "A b"]).status.code(), Some(2));
}

#[tokio::test]
async fn the_client_sends_the_token_of_the_environment_or_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let bad = directory.path().join("bad");
    std::fs::write(&file, "ar_file\n").unwrap();
    std::fs::write(&bad, "canary\nline").unwrap();
    let seen = Arc::new(Mutex::new(None));
    let noted = seen.clone();
    let answer = move |request: Request| async move {
        *noted.lock().unwrap() =
            request.headers().get("authorization").map(|value| text(value.as_bytes()));
        "{}"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let stats = async |token: &str, args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_autoreceive"));
        command
            .args(["stats", "--json", "--url", &url])
            .args(args)
            .env("AUTORECEIVE_TOKEN", token)
            .output()
            .await
            .unwrap()
    };
    for (token, args, expected) in [
        ("", &[][..], None),
        ("ar_environment", &[], Some("Bearer ar_environment")),
        ("ar_environment", &["--token-file", file.to_str().unwrap()], Some("Bearer ar_file")),
    ] {
        let output = stats(token, args).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(seen.lock().unwrap().take().as_deref(), expected);
    }
    for (args, expected) in [
        (["--token-file", bad.to_str().unwrap()], "contains no token"),
        (["--token-file", "/nowhere"], "cannot be read"),
    ] {
        let output = stats("", &args).await;
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains(expected) && !said.contains("canary"),
            "{said}"
        );
    }
}

#[test]
fn without_a_service_the_client_says_how_to_start_one_and_ends_with_4() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    for args in [&["order", "pay", "A-1"][..], &["order", "list"], &["stats"], &["import", "-"]] {
        let output = autoreceive(args).args(["--url", &url]).stdin(Stdio::null()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{args:?}: {said}");
        assert!(said.contains("autoreceive serve") && said.contains(&url), "{said}");
    }
}

#[tokio::test]
async fn a_command_is_sent_as_the_api_expects_it() {
    let service = Canned::start(200, order()).await;
    let cases = [
        (&["pay", "a/b c"][..], "POST /v1/orders/a%2Fb%20c/pay", json!({})),
        (
            &["ship", "A", "--carrier", "CJ", "--tracking", "6"],
            "POST /v1/orders/A/ship",
            json!({"carrier": "CJ", "tracking": "6"}),
        ),
        (&["deliver", "A", "--at", "T"], "POST /v1/orders/A/deliver", json!({"at": "T"})),
        (&["receive", "A"], "POST /v1/orders/A/receive", json!({"by": "operator"})),
        (&["receive", "A", "--by", "buyer"], "POST /v1/orders/A/receive", json!({"by": "buyer"})),
        (&["extend", "A", "--number", "2"], "POST /v1/orders/A/extend", json!({"number": 2})),
        (
            &["hold", "A", "--reason", "r", "--id", "d"],
            "POST /v1/orders/A/hold",
            json!({"reason": "r", "id": "d"}),
        ),
        (&["release", "A", "--id", "d"], "POST /v1/orders/A/release", json!({"id": "d"})),
        (&["cancel", "A", "--reason", "r"], "POST /v1/orders/A/cancel", json!({"reason": "r"})),
        (&["refund", "A"], "POST /v1/orders/A/refund", json!({})),
        (
            &[
                "place",
                "A",
                "--buyer-id",
                "b",
                "--amount",
                "5",
                "--data",
                "{\"n\":1e30}",
                "--receive-after",
                "48h",
            ],
            "POST /v1/orders",
            json!({
                "order_id": "A",
                "buyer_id": "b",
                "amount": 5,
                "data": {"n": 1e30},
                "receive_after": "48h",
            }),
        ),
    ];
    for (args, line, body) in cases {
        let output = service.run(&[&["order"], args].concat()).await;
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        let (asked, sent) = service.asked();
        assert_eq!((asked.as_str(), serde_json::from_str::<Value>(&sent).unwrap()), (line, body));
    }
}

#[tokio::test]
async fn an_order_is_shown_in_the_local_time_zone_and_unchanged_as_json() {
    let service = Canned::start(200, order()).await;
    let shown = text(&service.run(&["order", "show", "A-1", "--tz", "Asia/Seoul"]).await.stdout);
    for expected in [
        "status  PAID (version 2)",
        "amount  59000 KRW (minor units)",
        "clock   receive: due 2026-11-24 10:00:01 KST",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
    assert!(!shown.contains("silence"), "{shown}");
    let mut own = order();
    own["receive_after"] = json!("2s");
    let shown = text(&Canned::start(200, own).await.run(&["order", "show", "A-1"]).await.stdout);
    assert!(
        shown.contains("silence  2s (its own receive_after, in place of the policy's)"),
        "{shown}"
    );
    let json = text(&service.run(&["order", "show", "A-1", "--json"]).await.stdout);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), order());
}

#[tokio::test]
async fn in_a_pipe_a_list_is_a_plain_table_and_names_the_next_page() {
    let at = "2026-11-23T03:12:00.000Z";
    let item = json!({"order_id": "A-1", "at": at, "order": order()});
    let gone = json!({
        "order_id": "B-2",
        "at": at,
        "order": null,
        "error": "the stored order B-2 cannot be read",
    });
    let service = Canned::start(
        200,
        json!({"now": "2026-11-23T00:00:00.000Z", "items": [item, gone], "cursor": "next"}),
    )
    .await;
    let output = service.run(&["order", "list", "overdue", "--limit", "2"]).await;
    assert_eq!(service.asked().0, "GET /v1/orders?view=overdue&limit=2");
    let expected = "\
ORDER  STATUS      CLOCK    DUE
A-1    PAID        receive  2026-11-23 03:12:00 UTC  in 3h 12m
B-2    unreadable           2026-11-23 03:12:00 UTC  in 3h 12m
";
    assert_eq!(text(&output.stdout), expected);
    assert!(text(&output.stderr).contains("--cursor next"));
}

#[tokio::test]
async fn figures_are_shown() {
    let stats = json!({
        "now": "2026-11-23T00:00:10.000Z",
        "orders": {"PAID": 3, "DELIVERED": 0, "RECEIVED": 0},
        "events": [{"type": "order.received", "cause": "timer", "count": 7}],
        "waiting": 3,
        "overdue": 1,
        "oldest_overdue": "2026-11-23T00:00:08.000Z",
        "held": 0,
        "actions": [{"name": "shop", "pending": 2, "next_at": null, "dead": 1}],
    });
    let shown = text(&Canned::start(200, stats).await.run(&["stats"]).await.stdout);
    assert!(!shown.contains("RECEIVED"), "finished orders are not counted: {shown}");
    for expected in [
        "overdue       1, the oldest 2s ago",
        "PAID       3",
        "DELIVERED  0",
        "order.received  timer  7",
        "shop    2        1",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
}

#[tokio::test]
async fn a_refusal_lists_the_permitted_commands_and_sets_the_exit_code() {
    let problem = json!({
        "code": "not_shippable",
        "title": "order A-1 is CANCELLED",
        "status": 409,
        "allowed": ["pay"],
    });
    for (status, code) in
        [(404, 3), (409, 3), (422, 3), (408, 4), (429, 4), (503, 4), (500, 1), (400, 1), (302, 1)]
    {
        let service = Canned::start(status, &problem).await;
        let output = service.run(&["order", "ship", "A-1"]).await;
        assert_eq!(output.status.code(), Some(code), "{status}");
        assert_eq!(text(&output.stderr), "error: order A-1 is CANCELLED (possible now: pay)\n");
        let output = service.run(&["order", "ship", "A-1", "--json"]).await;
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), problem);
    }
    let output = Canned::start(200, "<html>").await.run(&["order", "list"]).await;
    assert!(
        output.status.code() == Some(1) && text(&output.stderr).contains("is not autoreceive"),
        "{output:?}"
    );
}

#[tokio::test]
async fn the_command_line_takes_an_order_through_its_life() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("autoreceive.toml");
    std::fs::write(&config, "[policies.default]\nmax_extensions = 1\n").unwrap();
    let service = Process::serve(&config).await;
    let steps = [
        (
            &[
                "place",
                "A-1",
                "--buyer-id",
                "u-7",
                "--amount",
                "59000",
                "--currency",
                "KRW",
                "--data",
                "{\"n\":1}",
            ][..],
            "PENDING_PAYMENT (version 1)",
        ),
        (&["pay", "A-1"], "PAID (version 2)"),
        (&["pay", "A-1"], "PAID (version 2)"),
        (&["extend", "A-1"], "PAID (version 3)"),
        (&["ship", "A-1", "--carrier", "CJ"], "SHIPPED (version 4)"),
        (&["hold", "A-1", "--reason", "arrived broken", "--id", "dispute-9"], "paused with"),
        (&["list", "held"], "A-1    SHIPPED  receive"),
        (&["release", "A-1", "--id", "dispute-9"], "SHIPPED (version 6)"),
        (&["list"], "A-1    SHIPPED  receive"),
        (&["receive", "A-1"], "RECEIVED (version 7)"),
        (&["refund", "A-1", "--reason", "returned"], "REFUNDED (version 8)"),
        (&["show", "A-1"], "max_extensions = 1"),
        (
            &["list"],
            "no orders are upcoming; to see a finished order, use `autoreceive order show ID`",
        ),
    ];
    for (args, expected) in steps {
        let output = ask(&service.url, &[&["order"], args].concat(), "").await;
        assert!(
            output.status.success() && text(&output.stdout).contains(expected),
            "{args:?}: {output:?}"
        );
    }
    for args in [
        &["hold", "A-1", "--reason", "late"][..],
        &["pay", "B-2"],
        &["list", "--limit", "0"],
        &["place", "A-1", "--buyer-id", "other"],
    ] {
        let output = ask(&service.url, &[&["order"], args].concat(), "").await;
        assert_eq!(output.status.code(), Some(3), "{args:?}: {output:?}");
    }
    let figures = text(&ask(&service.url, &["stats"], "").await.stdout);
    assert!(figures.contains("order.refunded"), "{figures}");
}
