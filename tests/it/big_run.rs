//! Everything at once: many orders received together, four actions, several kills of the service,
//! and a crash of PostgreSQL. The long form:
//! `AUTORECEIVE_TEST_ORDERS=50000 AUTORECEIVE_TEST_KILLS=5 cargo test --release big_run --
//! --nocapture --test-threads 1`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};

use crate::support::endpoint::{SECRET, ShopEndpoint};
use crate::support::postgres::PostgresProcess;
use crate::support::process::{Process, eventually};
use crate::support::redis_server::RedisServer;
use crate::support::smtp_server::SmtpServer;

/// The number of orders that are also completed, and whose buyers get an email about it.
const EMAILS: usize = 30;

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// The servers that the service uses.
struct World {
    directory: tempfile::TempDir,
    endpoint: ShopEndpoint,
    postgres: PostgresProcess,
    smtp: SmtpServer,
    stream: RedisServer,
    orders: usize,
}

fn order_id(i: usize) -> String {
    format!("B-{i:06}")
}

/// A different amount for each order, so that a wrong sum is detected.
fn amount(i: usize) -> u64 {
    10_000 + (i as u64 * 7_919) % 990_001
}

fn has_email(i: usize, orders: usize) -> bool {
    i.is_multiple_of(orders / EMAILS)
}

impl World {
    async fn new() -> World {
        World {
            directory: tempfile::tempdir().unwrap(),
            endpoint: ShopEndpoint::start().await,
            postgres: PostgresProcess::start(&[]),
            smtp: SmtpServer::start("none", false),
            stream: RedisServer::start(&[]),
            orders: number("AUTORECEIVE_TEST_ORDERS", 1_000),
        }
    }

    fn config(&self, store: &str) -> PathBuf {
        let directory = self.directory.path();
        let path = self.directory.path().join("shop.toml");
        std::fs::create_dir_all(directory.join("emails")).unwrap();
        let email = "Subject: Order {{ data.order.order_id }}\n\nis completed.\n";
        std::fs::write(directory.join("emails/completed.en.txt"), email).unwrap();
        let config = format!(
            r#"
            [store]
            url = "{store}"
            [log]
            level = "warn"
            [policies.settled]
            settle_after = "1s"
            [actions.hook]
            type = "webhook"
            url = "{}"
            secret = "{SECRET}"
            allow_private = true
            lease = "15s"
            [actions.tables]
            type = "database"
            url = "{}"
            [actions.tables.points]
            rate = "1/100"
            [actions.emails]
            type = "email"
            server = "127.0.0.1:{}"
            tls = "none"
            from = "shop@shop.example"
            to_pointer = "/email"
            templates = "{}"
            on = ["order.completed"]
            [actions.events]
            type = "stream"
            url = "{}"
            stream = "orders"
            "#,
            self.endpoint.url,
            self.postgres.url(),
            self.smtp.port,
            directory.join("emails").display(),
            self.stream.url(),
        );
        std::fs::write(&path, config).unwrap();
        path
    }

    async fn place_all(&self, url: &str) {
        let of = |i| {
            let email = has_email(i, self.orders);
            let data = if email {
                json!({"email": format!("buyer-{i}@buyer.example")})
            } else {
                Value::Null
            };
            let policy = if email { "settled" } else { "default" };
            json!({
                "order_id": order_id(i),
                "command": "place",
                "buyer_id": format!("b-{}", i % 997),
                "amount": amount(i),
                "currency": "KRW",
                "policy": policy,
                "data": data,
                "paid_at": "2026-01-01T00:00:00Z",
                "receive_after": "3000d",
            })
        };
        for range in (0..self.orders).collect::<Vec<_>>().chunks(5_000) {
            let lines: String = range.iter().map(|&i| format!("{}\n", of(i))).collect();
            let request = reqwest::Client::new()
                .post(format!("{url}/v1/commands"))
                .header("content-type", "application/x-ndjson");
            let answer = request.body(lines).send().await.unwrap().text().await.unwrap();
            assert_eq!(answer.matches("\"changed\"").count(), range.len(), "{:.400}", answer);
        }
    }

    async fn run(mut self, store: &str) {
        let config = self.config(store);
        let serve = async || Process::serve_with(&config, &["--test-clock"]).await;
        let orders = self.orders;
        let kills = number("AUTORECEIVE_TEST_KILLS", 2);
        let mut service = serve().await;
        self.place_all(&service.url).await;
        eventually("the placed orders are in the database", 300, async || {
            pending(&service.url).await == 0
        })
        .await;
        let began = Instant::now();
        advance(&service.url, "2000d").await;
        advance(&service.url, "1100d").await;
        // Early, because the database is the fastest server. It stays down during the first kill.
        eventually("the first are delivered", 300, async || self.endpoint.orders() > orders / 50)
            .await;
        self.postgres.kill();
        eventually("an attempt at PostgreSQL failed", 60, async || retried(&service.url).await)
            .await;
        for kill in 1..=kills {
            let until = orders * kill / (kills + 2);
            eventually("more is delivered", 300, async || self.endpoint.orders() > until).await;
            service.kill();
            service = serve().await;
            if kill == 1 {
                self.postgres.restart();
            }
        }
        eventually("nothing is left to do", 900, async || {
            // Failed events wait for their next attempt; the test clock skips this wait.
            advance(&service.url, "10s").await;
            let stats = get(&service.url, "/v1/stats").await;
            stats["waiting"] == 0 && pending(&service.url).await == 0
        })
        .await;
        println!(
            "{orders} orders, {kills} kills and a crash of PostgreSQL: {:.1} s after they \
            fell due",
            began.elapsed().as_secs_f64()
        );
        let stats = get(&service.url, "/v1/stats").await;
        for action in stats["actions"].as_array().unwrap() {
            assert_eq!(action["dead"], 0, "{action}");
        }
        assert!(service.terminate().await.success());
        reconcile(&config);
        self.check().await;
    }

    async fn check(self) {
        let expected: BTreeSet<String> = (0..self.orders).map(order_id).collect();
        self.check_hook(&expected);
        self.check_stream(&expected);
        self.check_tables(&expected).await;
        let emails = self.smtp.stop();
        let to: BTreeSet<String> =
            emails.iter().map(|email| email["to"][0].as_str().unwrap().to_owned()).collect();
        let asked = (0..self.orders)
            .filter(|&i| has_email(i, self.orders))
            .map(|i| format!("buyer-{i}@buyer.example"));
        assert_eq!(to, asked.collect());
        println!("{} emails to {} buyers", emails.len(), to.len());
    }

    fn check_hook(&self, expected: &BTreeSet<String>) {
        let by_order = self.endpoint.ids_by_order();
        assert_eq!(by_order.keys().cloned().collect::<BTreeSet<_>>(), *expected);
        assert!(
            by_order.values().all(|ids| ids.len() == 1),
            "an order was delivered under two ids"
        );
        assert_eq!(self.endpoint.forged(), 0);
        println!("{} deliveries of {} orders", self.endpoint.deliveries().len(), expected.len());
    }

    fn check_stream(&self, expected: &BTreeSet<String>) {
        let entries: Vec<(String, BTreeMap<String, String>)> =
            redis::from_redis_value(self.stream.cli(&["XRANGE", "orders", "-", "+"]).unwrap())
                .unwrap();
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, entry) in &entries {
            assert_eq!(entry["type"], "order.received");
            ids.entry(entry["order_id"].clone()).or_default().insert(entry["id"].clone());
        }
        assert_eq!(ids.keys().cloned().collect::<BTreeSet<_>>(), *expected);
        assert!(
            ids.values().all(|ids| ids.len() == 1),
            "an order stands in the stream under two ids"
        );
        println!("{} stream entries of {} orders", entries.len(), ids.len());
    }

    async fn check_tables(&self, expected: &BTreeSet<String>) {
        let mut connection = PgConnection::connect(&self.postgres.url()).await.unwrap();
        let rows = sqlx::query("SELECT order_id, status, amount FROM autoreceive_orders")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let kept: BTreeSet<String> = rows.iter().map(|row| row.get("order_id")).collect();
        assert_eq!((kept, rows.len()), (expected.clone(), self.orders));
        let done = |row: &sqlx::postgres::PgRow| {
            ["RECEIVED", "COMPLETED"].contains(&row.get::<&str, _>("status"))
        };
        assert!(rows.iter().all(done), "an order has a wrong status");
        let ledger = sqlx::query("SELECT order_id, kind, points FROM autoreceive_ledger")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let credited: BTreeMap<String, i64> =
            ledger.iter().map(|row| (row.get("order_id"), row.get("points"))).collect();
        let owed: BTreeMap<String, i64> = (0..self.orders)
            .map(|i| (order_id(i), i64::try_from(amount(i) / 100).unwrap()))
            .collect();
        assert_eq!(
            (credited == owed, ledger.len()),
            (true, self.orders),
            "the ledger is not right"
        );
        let sum: i64 = sqlx::query_scalar("SELECT sum(points)::bigint FROM autoreceive_balances")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(sum, owed.values().sum::<i64>());
        println!("{} ledger entries, balances of {sum} points in all", ledger.len());
    }
}

fn reconcile(config: &Path) {
    let arguments =
        ["points", "reconcile", "--action", "tables", "--config", config.to_str().unwrap()];
    let output = Command::new(env!("CARGO_BIN_EXE_autoreceive")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

async fn get(url: &str, path: &str) -> Value {
    serde_json::from_slice(
        &reqwest::get(format!("{url}{path}")).await.unwrap().bytes().await.unwrap(),
    )
    .unwrap()
}

async fn pending(url: &str) -> u64 {
    let stats = get(url, "/v1/stats").await;
    stats["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action["pending"].as_u64().unwrap())
        .sum()
}

/// True if an attempt of this worker at the database failed.
async fn retried(url: &str) -> bool {
    let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    metrics.contains("attempts_total{action=\"tables\",result=\"retry\"}")
}

async fn advance(url: &str, by: &str) {
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/test/clock"))
        .header("content-type", "application/json");
    let answer = request
        .body(json!({ "advance": by }).to_string())
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_with_four_actions_survives_kills_and_a_crash_of_the_database_on_redis() {
    let store = RedisServer::start(&[]);
    World::new().await.run(&store.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_with_four_actions_survives_kills_and_a_crash_of_the_database_on_sqlite() {
    World::new().await.run("sqlite:shop.db").await;
}
