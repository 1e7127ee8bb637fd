//! The minimum possible work on the same Redis, as 100 %: one script marks due orders and appends
//! an event, in batches, several in flight. No decision, no version, no record, no delivery.

use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use redis::Script;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, connect};
use super::ping::Pings;
use super::worker::Cpu;

/// The benchmark of the minimum work.
pub struct Limit {
    /// Due orders.
    pub orders: usize,
    /// Orders in one batch.
    pub batch: usize,
}

/// As many parts as a store has shards. Calls in flight and connections are chosen for two cores.
const SHARDS: usize = 64;
const IN_FLIGHT: usize = 4;
const CONNECTIONS: usize = 2;
const DUE_AT_MS: u64 = 1_700_000_000_000;

impl Limit {
    /// Measures on the Redis of `target` and returns the figures.
    ///
    /// # Errors
    /// If it is not a Redis, or does not answer.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let url = target
            .redis_url
            .clone()
            .context("this benchmark needs a Redis: --store redis://host:port/db")?;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(connect(&url).await?);
        }
        let shards: Vec<[String; 3]> = (0..SHARDS)
            .map(|shard| {
                ["due", "orders", "events"]
                    .map(|key| target.key(&format!("limit:{{{shard}}}:{key}")))
            })
            .collect();
        for (keys, i) in shards.iter().zip(0..) {
            self.load(i, keys, connections.first_mut().context("no connection")?).await?;
        }
        let script = Script::new(include_str!("limit.lua"));
        let pings = Pings::start(Some(url));
        let start = Instant::now();
        let cpu = Cpu::read(target).await?;
        let drained = shards.iter().zip(connections.iter().cycle()).map(|(keys, connection)| {
            let script = &script;
            let connection = connection.clone();
            async move { drain(script, keys, self.batch, connection, progress).await }
        });
        let marked: usize = stream::iter(drained)
            .buffer_unordered(IN_FLIGHT)
            .try_fold(0, async |sum, n| Ok(sum + n))
            .await?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(marked == self.orders, "{marked} orders were marked");
        let cpu = cpu.since(target, 100_000.0 / self.orders as f64).await?;
        Ok(json!({
            "bench": "limit",
            "store": target.name,
            "orders": self.orders,
            "batch": self.batch,
            "seconds": seconds,
            "orders_per_second": self.orders as f64 / seconds,
            "cpu_seconds_per_100k": cpu,
            "ping_ms": pings.stop().await?,
        }))
    }

    /// Stores every 64th order, paid and due.
    async fn load(
        &self,
        shard: usize,
        [due, orders, _]: &[String; 3],
        connection: &mut MultiplexedConnection,
    ) -> anyhow::Result<()> {
        let ids: Vec<String> =
            (shard..self.orders).step_by(SHARDS).map(|i| format!("20261123{i:010}")).collect();
        for part in ids.chunks(1_000) {
            let mut pipeline = redis::pipe();
            let deadlines: Vec<_> = part.iter().map(|id| (DUE_AT_MS, id)).collect();
            let paid: Vec<_> = part.iter().map(|id| (id, "PAID")).collect();
            pipeline.cmd("ZADD").arg(due).arg(deadlines).ignore();
            pipeline.cmd("HSET").arg(orders).arg(paid).ignore();
            let () = pipeline.query_async(connection).await?;
        }
        Ok(())
    }
}

/// Marks all due orders of one shard, batch after batch. Returns their number.
async fn drain(
    script: &Script,
    keys: &[String; 3],
    batch: usize,
    mut connection: MultiplexedConnection,
    progress: &ProgressBar,
) -> anyhow::Result<usize> {
    let mut sum = 0;
    loop {
        let marked: usize =
            script.key(keys).arg(DUE_AT_MS).arg(batch).invoke_async(&mut connection).await?;
        if marked == 0 {
            return Ok(sum);
        }
        sum += marked;
        progress.inc(marked as u64);
    }
}
