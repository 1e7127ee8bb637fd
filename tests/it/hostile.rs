//! Hostile clients: thousands of slow ones, endless bodies, ten times the load that the service can
//! handle. Other clients are served, memory is bounded, and no acknowledged order is lost.
//!
//! Long form: `AUTORECEIVE_TEST_SOCKETS=2000 AUTORECEIVE_TEST_BODY_MB=1024
//! AUTORECEIVE_TEST_LOAD_SECONDS=20 cargo test --release hostile -- --nocapture --test-threads=1`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::process::Process;
use crate::support::redis_server::RedisServer;

/// The most memory that an attack of any size may cost. Ten thousand connections with their buffers
/// need less.
const MEMORY_MB: u64 = 200;

fn setting(name: &str, short: u64) -> u64 {
    std::env::var(name).ok().map_or(short, |text| text.parse().unwrap())
}

/// A service in its own process, and its other clients.
struct Stage {
    process: Process,
    directory: tempfile::TempDir,
    address: SocketAddr,
    http: reqwest::Client,
    placed: AtomicU64,
}

impl Stage {
    async fn set(store: &str) -> Arc<Stage> {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.toml");
        std::fs::write(&config, format!("[store]\nurl = \"{store}\"\n[log]\nlevel = \"warn\"\n"))
            .unwrap();
        let process = Process::serve(&config).await;
        let address = process.url.trim_start_matches("http://").parse().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Arc::new(Stage { process, directory, address, http, placed: AtomicU64::new(0) })
    }

    fn memory_mb(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
    }

    /// Places an order; returns whether it was acknowledged.
    async fn place(&self, id: &str) -> bool {
        let body = json!({"order_id": id, "buyer_id": "B-7"}).to_string();
        let request = self
            .http
            .post(format!("{}/v1/orders", self.process.url))
            .header("content-type", "application/json")
            .body(body);
        let Ok(answer) = request.send().await else { return false };
        match answer.status().as_u16() {
            201 => {
                self.placed.fetch_add(1, Ordering::Relaxed);
                true
            }
            503 => {
                assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
                false
            }
            status => panic!("{status} for a new order"),
        }
    }

    async fn orders(&self) -> u64 {
        let answer = self.http.get(format!("{}/v1/stats", self.process.url)).send().await.unwrap();
        let stats: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        stats["orders"]["PENDING_PAYMENT"].as_u64().unwrap()
    }

    /// Another client that places orders at a constant rate until `stop`. Returns their durations
    /// and the most memory of the service.
    async fn watch(self: Arc<Stage>, name: String, stop: Arc<AtomicBool>) -> (Vec<Duration>, u64) {
        let mut took = Vec::new();
        let mut memory = 0;
        while !stop.load(Ordering::Relaxed) || took.len() < 20 {
            let start = Instant::now();
            assert!(
                self.place(&format!("{name}-{}", took.len())).await,
                "{name}: an order of another client was refused"
            );
            took.push(start.elapsed());
            memory = memory.max(self.memory_mb());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (took, memory)
    }

    /// Runs `attack` beside another client, and checks that this client is not affected.
    async fn under(self: &Arc<Stage>, name: &str, attack: impl Future<Output = ()>) {
        let before = self.memory_mb();
        let stop = Arc::new(AtomicBool::new(false));
        let watching = tokio::spawn(self.clone().watch(name.replace(' ', "-"), stop.clone()));
        attack.await;
        stop.store(true, Ordering::Relaxed);
        let (mut took, memory) = watching.await.unwrap();
        took.sort();
        let count = took.len();
        let p99 = took[took.len() * 99 / 100];
        let half = took[count / 2];
        let most = took[count - 1];
        let placed = self.placed.load(Ordering::Relaxed);
        println!(
            "{name}: others' {count} orders p50 {half:?} p99 {p99:?} max {most:?}; memory \
                {before} MB → at most {memory} MB; placed {placed}"
        );
        assert!(
            memory <= before + MEMORY_MB,
            "{name}: memory grew from {before} MB to {memory} MB"
        );
        let kept = self.orders().await;
        assert!(kept >= placed, "{name}: {placed} orders were acknowledged, {kept} are there");
    }
}

/// A client that sends one byte at a time until the service answers or closes the connection.
async fn trickle(address: SocketAddr, head: &'static str) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let mut sent = stream.write_all(head.as_bytes()).await;
    let mut answer = [0; 64];
    while sent.is_ok() {
        // Any answer ends this client.
        if tokio::time::timeout(Duration::from_millis(500), stream.read(&mut answer)).await.is_ok()
        {
            return;
        }
        sent = stream.write_all(b"x").await;
    }
}

const SLOW: [&str; 3] = [
    "POST /v1/orders HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
    "POST /v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
        application/json\r\ncontent-length: 60000\r\n\r\n{",
    "POST /v1/commands HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
        application/x-ndjson\r\ncontent-length: 60000\r\n\r\n{",
];

/// Sends a chunked body of `megabytes` that repeats `piece`, and reads all answers.
async fn pour(address: SocketAddr, path: &str, media: &str, megabytes: u64, piece: &[u8]) {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: \
            {media}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let mut sent = writer.write_all(head.as_bytes()).await;
    let repeated: Vec<u8> = piece.iter().copied().cycle().take(0x10000).collect();
    let chunk = [b"10000\r\n".as_slice(), &repeated, b"\r\n"].concat();
    for _ in 0..megabytes * 16 {
        if sent.is_err() {
            break;
        }
        sent = writer.write_all(&chunk).await;
    }
    if sent.is_ok() {
        let _ = writer.write_all(b"0\r\n\r\n").await;
    }
    reading.await.unwrap();
}

/// The requests of an overload client, and their results.
#[derive(Debug, Default, Clone, Copy)]
struct Offered {
    due: u64,
    sent: u64,
    acknowledged: u64,
    refused: u64,
    broken: u64,
}

/// The most unanswered requests of a greedy client.
const UNANSWERED: u64 = 64;

/// Sends new orders on one connection, `rate` a second, without waiting for answers. Drops orders
/// while too many are unanswered. Without a rate, it sends the next one after an answer.
async fn greedy(address: SocketAddr, name: String, rate: Option<f64>, until: Instant) -> Offered {
    let (reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let mut reader = BufReader::with_capacity(1 << 15, reader);
    let mut line = Vec::new();
    let mut offered = Offered::default();
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while Instant::now() < until {
        let open = offered.sent - offered.acknowledged - offered.refused;
        let (due, room) = match rate {
            Some(rate) => {
                ((begun.elapsed().as_secs_f64() * rate) as u64 - offered.due, UNANSWERED - open)
            }
            None => (1 - open, 1 - open),
        };
        let next = due.min(room);
        let requests: String = (offered.sent..offered.sent + next)
            .map(|i| new_order(&format!("{name}-{i}")))
            .collect();
        offered.due += due;
        offered.sent += next;
        if writer.write_all(requests.as_bytes()).await.is_err() {
            return Offered { broken: 1, ..offered };
        }
        tokio::select! {
            read = reader.read_until(b'\n', &mut line) => {
                if !read.is_ok_and(|read| read > 0) {
                    return Offered { broken: 1, ..offered };
                }
                // Answers are not separated by a line break, so a status can follow a body on the
                // same line.
                let said = String::from_utf8_lossy(&line);
                offered.acknowledged += u64::from(said.contains("HTTP/1.1 201 "));
                offered.refused += u64::from(said.contains("HTTP/1.1 503 "));
                line.clear();
            }
            _ = tick.tick() => {}
        }
    }
    offered
}

fn new_order(id: &str) -> String {
    let body = format!("{{\"order_id\":\"{id}\",\"buyer_id\":\"B-7\"}}");
    format!(
        "POST /v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
        application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Stage {
    /// Runs `clients` for `seconds`. Returns their sum.
    async fn load(&self, name: &str, clients: usize, rate: Option<f64>, seconds: u64) -> Offered {
        let until = Instant::now() + Duration::from_secs(seconds);
        let each = rate.map(|rate| rate / clients as f64);
        let clients: JoinSet<_> = (0..clients)
            .map(|i| greedy(self.address, format!("{name}-{i}"), each, until))
            .collect();
        let sum = |sum: Offered, one: Offered| Offered {
            due: sum.due + one.due,
            sent: sum.sent + one.sent,
            acknowledged: sum.acknowledged + one.acknowledged,
            refused: sum.refused + one.refused,
            broken: sum.broken + one.broken,
        };
        let offered = clients.join_all().await.into_iter().fold(Offered::default(), sum);
        self.placed.fetch_add(offered.acknowledged, Ordering::Relaxed);
        let log = std::fs::read_to_string(self.directory.path().join("config.log")).unwrap();
        assert_eq!(offered.broken, 0, "connections were closed: {offered:?}; the log:\n{log}");
        offered
    }
}

async fn hostile_clients_do_not_affect_others(store: &str) {
    let sockets = setting("AUTORECEIVE_TEST_SOCKETS", 200);
    let megabytes = setting("AUTORECEIVE_TEST_BODY_MB", 64);
    let seconds = setting("AUTORECEIVE_TEST_LOAD_SECONDS", 2);
    let stage = Stage::set(store).await;
    println!("{store}");
    stage.under("nobody", tokio::time::sleep(Duration::from_secs(seconds))).await;

    let address = stage.address;
    stage
        .under("slow sockets", async {
            let mut slow: JoinSet<()> = SLOW
                .into_iter()
                .cycle()
                .take(sockets as usize)
                .map(|head| trickle(address, head))
                .collect();
            while slow.join_next().await.is_some() {}
        })
        .await;
    stage
        .under(
            "a single body without an end",
            pour(address, "/v1/orders", "application/json", megabytes, b" "),
        )
        .await;
    stage
        .under(
            "a line without an end",
            pour(address, "/v1/commands", "application/x-ndjson", megabytes, b"x"),
        )
        .await;
    stage
        .under(
            "lines without a command",
            pour(
                address,
                "/v1/commands",
                "application/x-ndjson",
                megabytes / 8,
                b"{\"order_id\":1}\n",
            ),
        )
        .await;

    let carried = stage.load("calibrating", CLIENTS, None, seconds).await;
    let capacity = carried.acknowledged as f64 / seconds as f64;
    println!("{CLIENTS} clients, one request at a time: {capacity:.0} orders a second");
    stage
        .under("ten times the load", async {
            let offered = stage.load("greedy", 10 * CLIENTS, Some(10.0 * capacity), seconds).await;
            println!(
                "ten times as many clients, and ten times the rate: {offered:?} in {seconds} s"
            );
            assert!(offered.due > 2 * offered.acknowledged, "the load was too small: {offered:?}");
        })
        .await;
    let stage = Arc::into_inner(stage).expect("no other owner");
    assert!(stage.process.terminate().await.success());
    drop(stage.directory);
}

/// The clients that keep the service busy. The overload has ten times as many.
const CLIENTS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_slow_endless_and_greedy_clients_do_not_affect_others() {
    hostile_clients_do_not_affect_others("sqlite:autoreceive.db").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_slow_endless_and_greedy_clients_do_not_affect_others() {
    hostile_clients_do_not_affect_others(&RedisServer::start(&[]).url()).await;
}
