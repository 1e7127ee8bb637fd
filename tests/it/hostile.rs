//! Hostile clients: slow ones by the thousand, bodies without an end, ten times the load. Others are served meanwhile, memory
//! stays flat, and nothing acknowledged is lost.
//!
//! Long form: `AUTORECEIVE_TEST_SOCKETS=2000 AUTORECEIVE_TEST_BODY_MB=1024 AUTORECEIVE_TEST_LOAD_SECONDS=20
//! cargo test --release hostile -- --nocapture`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::process::Process;

/// How much more memory an attack may cost, whatever its size: ten thousand connections with their buffers stay below it.
const MEMORY_MB: u64 = 200;

fn setting(name: &str, short: u64) -> u64 {
    std::env::var(name).ok().map_or(short, |text| text.parse().unwrap())
}

/// A service in a process of its own, and what its other clients see.
struct Stage {
    process: Process,
    _directory: tempfile::TempDir,
    address: SocketAddr,
    http: reqwest::Client,
    placed: AtomicU64,
}

impl Stage {
    async fn set() -> Arc<Stage> {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.toml");
        std::fs::write(&config, "[log]\nlevel = \"warn\"\n").unwrap();
        let process = Process::serve(&config).await;
        let address = process.url.trim_start_matches("http://").parse().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Arc::new(Stage { process, _directory: directory, address, http, placed: AtomicU64::new(0) })
    }

    fn memory_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
    }

    /// Places an order; returns whether it was acknowledged.
    async fn place(&self, id: &str) -> bool {
        let body = json!({"order_id": id, "buyer_id": "B-7"}).to_string();
        let request = self.http.post(format!("{}/v1/orders", self.process.url)).header("content-type", "application/json").body(body);
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

    /// Another client, who places orders at an even pace until told to stop: how long each took, and the most memory seen.
    async fn watch(self: Arc<Stage>, name: String, stop: Arc<AtomicBool>) -> (Vec<Duration>, u64) {
        let (mut took, mut memory) = (Vec::new(), 0);
        while !stop.load(Ordering::Relaxed) || took.len() < 20 {
            let start = Instant::now();
            assert!(self.place(&format!("{name}-{}", took.len())).await, "{name}: somebody else's order was refused");
            took.push(start.elapsed());
            memory = memory.max(self.memory_mb());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (took, memory)
    }

    /// Does `attack` while another client is watched, and checks what it must not harm.
    async fn under(self: &Arc<Stage>, name: &str, attack: impl Future<Output = ()>) {
        let (before, stop) = (self.memory_mb(), Arc::new(AtomicBool::new(false)));
        let watching = tokio::spawn(self.clone().watch(name.replace(' ', "-"), stop.clone()));
        attack.await;
        stop.store(true, Ordering::Relaxed);
        let (mut took, memory) = watching.await.unwrap();
        took.sort();
        let (count, p99) = (took.len(), took[took.len() * 99 / 100]);
        let (half, most, placed) = (took[count / 2], took[count - 1], self.placed.load(Ordering::Relaxed));
        println!(
            "{name}: others' {count} orders p50 {half:?} p99 {p99:?} max {most:?}; memory {before} MB → at most {memory} MB; placed {placed}"
        );
        assert!(memory <= before + MEMORY_MB, "{name}: memory grew from {before} MB to {memory} MB");
        let kept = self.orders().await;
        assert!(kept >= placed, "{name}: {placed} orders were acknowledged, {kept} are there");
    }
}

/// A client that sends a byte now and then, for as long as it is listened to.
async fn trickle(address: SocketAddr, head: &'static str) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let (mut sent, mut answer) = (stream.write_all(head.as_bytes()).await, [0; 64]);
    while sent.is_ok() {
        // Whatever comes back is the end.
        if tokio::time::timeout(Duration::from_millis(500), stream.read(&mut answer)).await.is_ok() {
            return;
        }
        sent = stream.write_all(b"x").await;
    }
}

const SLOW: [&str; 3] = [
    "POST /v1/orders HTTP/1.1\r\nhost: x\r\nx-slow: ",
    "POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n{",
    "POST /v1/commands HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: 60000\r\n\r\n{",
];

/// Sends a chunked body of `megabytes`, of this one over and over, and reads whatever comes back.
async fn pour(address: SocketAddr, path: &str, media: &str, megabytes: u64, piece: &[u8]) {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_endless_and_greedy_clients_harm_nobody_else() {
    let (sockets, megabytes) = (setting("AUTORECEIVE_TEST_SOCKETS", 200), setting("AUTORECEIVE_TEST_BODY_MB", 64));
    let seconds = setting("AUTORECEIVE_TEST_LOAD_SECONDS", 2);
    let stage = Stage::set().await;
    stage.under("nobody", tokio::time::sleep(Duration::from_secs(seconds))).await;

    let address = stage.address;
    stage
        .under("slow sockets", async {
            let mut slow: JoinSet<()> = SLOW.into_iter().cycle().take(sockets as usize).map(|head| trickle(address, head)).collect();
            while slow.join_next().await.is_some() {}
        })
        .await;
    stage.under("a single body without an end", pour(address, "/v1/orders", "application/json", megabytes, b" ")).await;
    stage.under("a line without an end", pour(address, "/v1/commands", "application/x-ndjson", megabytes, b"x")).await;
    stage
        .under("lines without a command", pour(address, "/v1/commands", "application/x-ndjson", megabytes / 8, b"{\"order_id\":1}\n"))
        .await;
    stage
        .under("ten times the load", async {
            let until = Instant::now() + Duration::from_secs(seconds);
            let greedy = |client: u64| {
                let stage = stage.clone();
                async move {
                    for i in 0.. {
                        if Instant::now() > until {
                            break;
                        }
                        stage.place(&format!("greedy-{client}-{i}")).await;
                    }
                }
            };
            let mut load: JoinSet<()> = (0..64).map(greedy).collect();
            while load.join_next().await.is_some() {}
        })
        .await;
    let stage = Arc::into_inner(stage).expect("everybody else is gone");
    assert!(stage.process.terminate().await.success());
}
