//! Commands over HTTP: clients with keep-alive connections that send one command at a time, and one
//! client that sends lines.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bench_store::BenchStore;
use super::{histogram, percentiles_ms};
use crate::engine::Engine;
use crate::http;
use crate::telemetry::Telemetry;

/// The benchmark of commands over HTTP.
pub struct ApiBench {
    /// Orders placed and paid by single commands; lines place and pay the same number again.
    pub orders: usize,
    /// Clients that send single commands.
    pub clients: usize,
}

impl ApiBench {
    /// Measures on `target` and returns the figures. Service and clients share this process.
    ///
    /// # Errors
    /// If the store or the API fails, or answers something else than expected.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let policy =
            autoreceive_domain::Policy::new("default", autoreceive_domain::Terms::default())?;
        let engine = Engine::builder(target.store.clone()).policy(policy).start();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(http::serve(
            listener,
            Arc::new(engine.clone().into()),
            Telemetry::default(),
            http::Access::default(),
            stop.clone(),
        ));
        let single = self.single(&address, progress).await?;
        let bulk = self.bulk(&address, progress).await?;
        stop.cancel();
        serving.await??;
        engine.stop(std::time::Duration::from_secs(5)).await;
        Ok(json!({
            "bench": "api",
            "store": target.name,
            "orders": self.orders,
            "clients": self.clients,
            "single": single,
            "bulk": bulk,
        }))
    }

    async fn single(&self, address: &str, progress: &ProgressBar) -> anyhow::Result<Value> {
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for client in 0..self.clients {
            let orders: Vec<usize> = (client..self.orders).step_by(self.clients).collect();
            clients.spawn(one_client(address.to_owned(), orders, progress.clone()));
        }
        let mut micros = histogram()?;
        while let Some(client) = clients.join_next().await {
            micros.add(client??)?;
        }
        let per_second = micros.len() as f64 / start.elapsed().as_secs_f64();
        Ok(json!({"commands_per_second": per_second, "latency_ms": percentiles_ms(&micros)}))
    }

    async fn bulk(&self, address: &str, progress: &ProgressBar) -> anyhow::Result<Value> {
        let start = Instant::now();
        let (reader, mut writer) = TcpStream::connect(address).await?.into_split();
        let head = "POST /v1/commands HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
            application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        writer.write_all(head.as_bytes()).await?;
        let orders = self.orders;
        let sending = tokio::spawn(async move {
            for first in (0..orders).step_by(500) {
                let lines: String = (first..(first + 500).min(orders)).map(two_lines).collect();
                writer.write_all(format!("{:x}\r\n{lines}\r\n", lines.len()).as_bytes()).await?;
            }
            writer.write_all(b"0\r\n\r\n").await?;
            anyhow::Ok(writer)
        });
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        let mut answers = 0;
        let mut line = String::new();
        while answers < 2 * orders {
            line.clear();
            ensure!(
                reader.read_line(&mut line).await? > 0,
                "the stream of answers ended after {answers}"
            );
            if line.starts_with("{\"line\"") {
                ensure!(line.contains("\"changed\""), "a line was not executed: {line}");
                answers += 1;
                progress.inc(1);
            }
        }
        sending.await??;
        Ok(json!({"commands_per_second": answers as f64 / start.elapsed().as_secs_f64()}))
    }
}

fn two_lines(i: usize) -> String {
    let id = format!("bulk{i:014}");
    format!(
        "{{\"order_id\":\"{id}\",\"command\":\"place\",\"buyer_id\":\"buyer{i:07}\",\
         \"amount\":59000,\"currency\":\"KRW\"}}\n\
         {{\"order_id\":\"{id}\",\"command\":\"pay\"}}\n"
    )
}

/// Places and pays orders one after another. Returns the duration of each command, in microseconds.
async fn one_client(
    address: String,
    orders: Vec<usize>,
    progress: ProgressBar,
) -> anyhow::Result<Histogram<u64>> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.get_ref().set_nodelay(true)?;
    let mut micros = histogram()?;
    for i in orders {
        let place = format!(
            "{{\"order_id\":\"one{i:015}\",\"buyer_id\":\"buyer{i:07}\",\"amount\":59000,\
             \"currency\":\"KRW\"}}"
        );
        for (path, body, expected) in [
            ("/v1/orders".to_owned(), place, 201),
            (format!("/v1/orders/one{i:015}/pay"), String::new(), 200),
        ] {
            let start = Instant::now();
            let status = ask(&mut stream, &path, &body).await?;
            ensure!(status == expected, "{path} answered {status}");
            micros
                .saturating_record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
            progress.inc(1);
        }
    }
    Ok(micros)
}

/// One request on a keep-alive connection. Reads the whole answer and returns its status.
async fn ask(stream: &mut BufReader<TcpStream>, path: &str, body: &str) -> anyhow::Result<u16> {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
            application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.get_mut().write_all(request.as_bytes()).await?;
    let mut status = None;
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(stream.read_line(&mut line).await? > 0, "the connection was closed");
        match line.trim_end().split_once(": ") {
            _ if line == "\r\n" => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse()?
            }
            Some(_) => {}
            None => status = line.split(' ').nth(1).and_then(|status| status.parse().ok()),
        }
    }
    if length > 1 << 20 {
        bail!("the answer of {length} bytes is too large");
    }
    stream.read_exact(&mut vec![0; length]).await?;
    status.context("the answer has no status")
}
