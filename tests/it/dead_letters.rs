//! Dead letters from an operator's side: the real program, an endpoint that refuses, and the
//! command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use autoreceive::engine::{DeadLetterSelection, Engine, Resolution, Resolved};
use autoreceive::store::StoreError;
use autoreceive_store_redis::{RedisSettings, RedisStore};
use autoreceive_store_sqlite::SqliteStore;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};

use crate::support::endpoint::webhook;
use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;
use autoreceive_store::conformance::kit::{
    SharedStore, hours, keep_dead_letter, lanes, now, policy, sync,
};

/// More than one page of the service's replay.
const ORDERS: usize = 230;

/// An endpoint that answers with a set status, and remembers accepted events.
#[derive(Clone)]
struct ScriptedEndpoint {
    url: String,
    status: Arc<AtomicU16>,
    accepted: Arc<Mutex<Vec<(String, Value)>>>,
}

impl ScriptedEndpoint {
    async fn start() -> ScriptedEndpoint {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let endpoint = ScriptedEndpoint {
            url,
            status: Arc::new(AtomicU16::new(410)),
            accepted: Arc::default(),
        };
        let this = endpoint.clone();
        let answer = move |headers: HeaderMap, body: String| async move {
            let status = StatusCode::from_u16(this.status.load(Ordering::Relaxed)).unwrap();
            if status.is_success() {
                let id = headers["webhook-id"].to_str().unwrap().to_owned();
                this.accepted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((id, serde_json::from_str(&body).unwrap()));
            }
            status
        };
        tokio::spawn(async move {
            axum::serve(listener, Router::new().route("/hooks", post(answer))).await
        });
        endpoint
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn ids(&self) -> Vec<String> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<String> = accepted.iter().map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn body_of(&self, id: &str) -> Option<Value> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.iter().find(|(known, _)| known == id).map(|(_, body)| body.clone())
    }
}

fn write_config(directory: &Path, store: &str, action: &str, hook: &str) -> PathBuf {
    let path = directory.join("shop.toml");
    let action = webhook(action, hook, "on = [\"order.placed\"]");
    std::fs::write(&path, format!("[store]\nurl = \"{store}\"\n{action}")).unwrap();
    path
}

/// Runs `autoreceive dead-letters …`.
async fn run(service: &Process, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoreceive"));
    command
        .arg("dead-letters")
        .args(args)
        .env("AUTORECEIVE_URL", &service.url)
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn said(service: &Process, args: &[&str]) -> String {
    let output = run(service, args).await;
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn place(service: &Process, ids: impl Iterator<Item = String>) {
    let lines: String = ids
        .map(|id| format!("{}\n", json!({"order_id": id, "command": "place", "buyer_id": "b"})))
        .collect();
    let request = reqwest::Client::new()
        .post(format!("{}/v1/commands", service.url))
        .header("content-type", "application/x-ndjson");
    let answer = request.body(lines).send().await.unwrap().text().await.unwrap();
    assert!(answer.lines().all(|line| line.contains("\"changed\"")), "{answer}");
}

async fn get(service: &Process, path: &str) -> Value {
    serde_json::from_str(
        &reqwest::get(format!("{}{path}", service.url)).await.unwrap().text().await.unwrap(),
    )
    .unwrap()
}

/// The numbers of pending and dead entries.
async fn counts(service: &Process) -> (u64, u64) {
    let actions = get(service, "/v1/actions").await;
    let shop = actions["actions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|action| action["name"] == "shop")
        .cloned()
        .unwrap_or_default();
    (shop["pending"].as_u64().unwrap_or(0), shop["dead"].as_u64().unwrap_or(0))
}

async fn an_operator_handles_dead_letters(store: &str, directory: &Path) {
    let endpoint = ScriptedEndpoint::start().await;
    let config = write_config(directory, store, "shop", &endpoint.url);
    let service = Process::serve(&config).await;
    place(&service, (0..ORDERS).map(|i| format!("A/{i}"))).await;
    eventually("all are dead", 60, async || counts(&service).await == (0, ORDERS as u64)).await;

    look(&service).await;
    replay_some(&service, &endpoint).await;

    // An event that fails again is a dead letter again, and one replay of all ends.
    endpoint.answer(410);
    assert!(
        said(&service, &["replay", "shop", "--all"]).await.ends_with(" dead letters replayed\n")
    );
    eventually("all are dead again", 60, async || counts(&service).await == (0, ORDERS as u64 - 2))
        .await;
    let page = get(&service, "/v1/actions/shop/dead-letters?limit=1").await;
    let dead_letter = &page["items"][0];
    assert_eq!(
        (&dead_letter["attempts"], dead_letter["errors"].as_array().unwrap().len()),
        (&json!(1), 2),
        "{dead_letter}"
    );

    // Without the action they are not attempted, and none is lost.
    assert!(service.terminate().await.success());
    let service = Process::serve(&write_config(directory, store, "other", &endpoint.url)).await;
    let actions = get(&service, "/v1/actions").await;
    let shop = actions["actions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|action| action["name"] == "shop")
        .unwrap()
        .clone();
    assert_eq!((&shop["configured"], &shop["dead"]), (&json!(false), &json!(ORDERS - 2)));
    endpoint.answer(204);
    assert_eq!(said(&service, &["discard", "shop", "A%2F7:1"]).await, "1 dead letter discarded\n");
    assert_eq!(
        said(&service, &["replay", "shop", "--error", "gone"]).await,
        format!("{} dead letters replayed\n", ORDERS - 3)
    );
    assert_eq!(counts(&service).await, (ORDERS as u64 - 3, 0));
    assert!(service.terminate().await.success());
    let service = Process::serve(&write_config(directory, store, "shop", &endpoint.url)).await;
    eventually("all are delivered", 60, async || counts(&service).await == (0, 0)).await;
    let mut expected: Vec<String> =
        (0..ORDERS).filter(|&i| i != 7).map(|i| format!("A%2F{i}:1")).collect();
    expected.sort_unstable();
    assert_eq!(endpoint.ids(), expected);
}

async fn look(service: &Process) {
    let listed = run(service, &["list", "shop", "--limit", "3", "--error", "gone"]).await;
    let table = String::from_utf8(listed.stdout).unwrap();
    let more = String::from_utf8(listed.stderr).unwrap();
    assert!(
        table.starts_with("EVENT")
            && table.lines().count() == 4
            && table.contains("status 410: the endpoint is gone"),
        "{table}"
    );
    let cursor = more.trim().rsplit_once(' ').unwrap().1;
    let all: Value = serde_json::from_str(
        &said(service, &["list", "shop", "--limit", "200", "--cursor", cursor, "--json"]).await,
    )
    .unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 200);
    for none in [&["--error", "HTTP 999"][..], &["--older-than", "1h"]] {
        assert_eq!(
            said(service, &[&["list", "shop"], none].concat()).await,
            "shop has no such dead letters\n"
        );
    }
    let shown = said(service, &["show", "shop", "A%2F7:1"]).await;
    for expected in [
        "order     A/7 (version 1)",
        "attempts  1, the first",
        "status 410",
        "\"type\": \"order.placed\"",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
    let refused = [
        (&["show", "shop", "A%2F7:2"][..], 3, "shop has no dead letter A%2F7:2"),
        (&["show", "shop", "nonsense"], 3, "no dead letter"),
        (&["list", "nobody"], 3, "there is no action nobody"),
        (&["list", "shop", "--limit", "0"], 3, "limit"),
        (&["replay", "shop"], 2, "--all"),
        (&["replay", "shop", "A%2F7:1", "--all"], 2, "--all"),
        (&["discard", "shop", "A%2F7:2"], 3, "no dead letter for 1 of these"),
        (&["discard", "shop", "--older-than", "soon"], 3, "older_than"),
    ];
    for (args, code, why) in refused {
        let output = run(service, args).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(why), "{args:?}: {said}");
    }
    for how in ["replay", "discard"] {
        assert_eq!(
            said(service, &[how, "shop", "--all", "--dry-run"]).await,
            format!("{ORDERS} dead letters would be {how}ed\n")
        );
    }
    assert_eq!(counts(service).await, (0, ORDERS as u64));
}

async fn replay_some(service: &Process, endpoint: &ScriptedEndpoint) {
    let sent: Value =
        serde_json::from_str(&said(service, &["show", "shop", "A%2F5:1", "--json"]).await).unwrap();
    endpoint.answer(204);
    let done: Value = serde_json::from_str(
        &said(service, &["replay", "shop", "A%2F5:1", "A%2F6:1", "--json"]).await,
    )
    .unwrap();
    assert_eq!(done, json!({"matched": 2, "done": 2, "unreadable": 0}));
    eventually("two are delivered", 30, async || counts(service).await == (0, ORDERS as u64 - 2))
        .await;
    assert_eq!(endpoint.ids(), ["A%2F5:1", "A%2F6:1"]);
    assert_eq!(endpoint.body_of("A%2F5:1"), Some(sent["event"].clone()));
}

#[tokio::test]
async fn on_sqlite_dead_letters_are_listed_replayed_and_discarded_and_none_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    an_operator_handles_dead_letters("sqlite:shop.db", directory.path()).await;
}

#[tokio::test]
async fn on_redis_dead_letters_are_listed_replayed_and_discarded_and_none_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&[]);
    an_operator_handles_dead_letters(&redis.url(), directory.path()).await;
}

fn engine(store: &SharedStore) -> Engine {
    Engine::builder(store.clone()).policy(policy()).start()
}

async fn left(store: &SharedStore) -> u64 {
    lanes(store, &sync()).await.1 as u64
}

#[tokio::test]
async fn a_replay_takes_matching_dead_letters_and_leaves_those_that_died_after_its_start() {
    let store: SharedStore = Arc::new(SqliteStore::in_memory().unwrap());
    let engine = engine(&store);
    let now = now(&store).await;
    for (name, at) in [
        ("old", now.before(hours(30))),
        ("new", now.before(hours(1))),
        ("later", now.after(hours(1))),
    ] {
        keep_dead_letter(&store, name, at).await;
    }
    let filter = |older_than, error: Option<&str>| DeadLetterSelection {
        older_than,
        error: error.map(str::to_owned),
    };
    let replay = async |filter: DeadLetterSelection, how| {
        engine.resolve_matching(&sync(), &filter, None, how).await.unwrap()
    };
    let expected = |matched, done| Resolved { matched, done, unreadable: 0, cursor: None };
    // The last error is "HTTP 503: 2", the one before is "HTTP 503: 1".
    assert_eq!(
        replay(filter(None, Some("503: 1")), Some(Resolution::Replay)).await,
        expected(0, 0)
    );
    assert_eq!(replay(filter(Some(hours(24)), Some("503: 2")), None).await, expected(1, 0));
    assert_eq!(
        replay(filter(Some(hours(24)), Some("503: 2")), Some(Resolution::Replay)).await,
        expected(1, 1)
    );
    assert_eq!(replay(filter(None, None), Some(Resolution::Discard)).await, expected(1, 1));
    assert_eq!(left(&store).await, 1);
    engine.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_long_replay_continues_from_its_cursor() {
    let store: SharedStore = Arc::new(SqliteStore::in_memory().unwrap());
    let engine = engine(&store);
    let at = now(&store).await.before(hours(1));
    for i in 0..2_100 {
        keep_dead_letter(&store, &format!("e{i}"), at).await;
    }
    let all = DeadLetterSelection::default();
    for (how, done) in [(None, 0), (Some(Resolution::Replay), 2_100)] {
        let first = engine.resolve_matching(&sync(), &all, None, how).await.unwrap();
        assert_eq!((first.matched, first.cursor.is_some()), (2_000, true));
        let rest =
            engine.resolve_matching(&sync(), &all, first.cursor.as_deref(), how).await.unwrap();
        assert_eq!((rest.matched, rest.cursor, first.done + rest.done), (100, None, done));
    }
    assert_eq!(left(&store).await, 0);
    for wrong in ["", "1", "x.y", "1.nonsense"] {
        let refused = engine.resolve_matching(&sync(), &all, Some(wrong), None).await;
        assert!(matches!(refused, Err(StoreError::WrongCursor(_))), "{wrong}: {refused:?}");
    }
    engine.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_read_is_shown_and_discarded_but_not_replayed() {
    let server = RedisServer::start(&[]);
    let settings = RedisSettings { url: server.url(), ..RedisSettings::default() };
    let store: SharedStore = Arc::new(RedisStore::open(settings).await.unwrap());
    let engine = engine(&store);
    let at = now(&store).await;
    let damaged = keep_dead_letter(&store, "e1", at).await;
    let lost = keep_dead_letter(&store, "e2", at).await;
    let data = |shard| format!("ar:{{{shard}}}:deaddata:sync");
    server.cli(&["HSET", &data(damaged.shard), &damaged.id, "nonsense"]).unwrap();
    server.cli(&["HDEL", &data(lost.shard), &lost.id]).unwrap();
    let shown = engine
        .dead_letters(&sync(), &DeadLetterSelection::default(), None, 10)
        .await
        .unwrap()
        .items;
    assert!(
        shown.len() == 2 && shown.iter().all(|dead_letter| dead_letter.content.is_err()),
        "{shown:?}"
    );
    let all = async |how| {
        engine
            .resolve_matching(&sync(), &DeadLetterSelection::default(), None, Some(how))
            .await
            .unwrap()
    };
    assert_eq!(
        all(Resolution::Replay).await,
        Resolved { matched: 2, done: 0, unreadable: 2, cursor: None }
    );
    assert_eq!(left(&store).await, 2);
    assert_eq!(
        all(Resolution::Discard).await,
        Resolved { matched: 2, done: 2, unreadable: 2, cursor: None }
    );
    assert_eq!(left(&store).await, 0);
    engine.stop(Duration::from_secs(10)).await;
}
