//! Scheduled tasks of apalis-redis: one worker for each queue, its handlers run on all threads
//! (`parallelize`).
//!
//! A fetch moves all due tasks with one `unpack`, which Lua refuses above 7,999 values. After that
//! the queue is blocked forever. So the orders are spread over several queues.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage, queries::push_tasks};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Load;
use crate::lag::{Lags, cpu_seconds, wait_until};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    order_id: String,
    buyer_id: String,
    amount: u64,
    currency: String,
    due_ms: u64,
}

const DUE_IN_ONE_QUEUE: usize = 7_000;

pub async fn run(url: &str, batch: usize, poll_ms: u64, load: Load) -> anyhow::Result<Value> {
    let at_once = if load.rate == 0 { load.orders } else { load.rate };
    let queues = at_once.div_ceil(DUE_IN_ONE_QUEUE);
    // No leases: its documentation recommends this for tasks shorter than a heartbeat. No events:
    // there is no listener. The heartbeat is short (default 30 s), because sometimes a worker sees
    // no due tasks until its next heartbeat.
    let config = |queue: usize| {
        Config::default()
            .queue(format!("orders{queue}"))
            .batch_size(batch)
            .lock_tasks(false)
            .emit_events(false)
            .heartbeat_interval(Duration::from_millis(500))
            .missed_heartbeats(100)
    };
    let mut connection = apalis_redis::connect(url).await?;
    let before = info(&mut connection, "memory", &["used_memory:"]).await?;
    let first = load.first_due();
    for queue in 0..queues {
        let orders: Vec<usize> = (queue..load.orders).step_by(queues).collect();
        for part in orders.chunks(500) {
            let tasks: Vec<_> =
                part.iter().map(|&i| task(i, load.due(first, i))).collect::<Result<_, _>>()?;
            push_tasks(&mut connection, &config(queue), &tasks).await?;
        }
    }
    let bytes =
        (info(&mut connection, "memory", &["used_memory:"]).await? - before) / load.orders as f64;
    let lags = Arc::new(Lags::new()?);
    let mut workers = Vec::new();
    for queue in 0..queues {
        let storage: RedisStorage<Order> =
            RedisStorage::new(apalis_redis::connect(url).await?).with_config(config(queue));
        let backend = storage.poll_with_interval(Duration::from_millis(poll_ms));
        let lags = lags.clone();
        let runtime = tokio::runtime::Handle::current();
        // Each worker's loop has its own thread, because its future is not `Send`.
        workers.push(std::thread::spawn(move || {
            let handler = move |order: Order| {
                let lags = lags.clone();
                async move { lags.note([order.due_ms]) }
            };
            let worker = WorkerBuilder::new(format!("worker{queue}"))
                .backend(backend)
                .parallelize(tokio::spawn)
                .build(handler);
            runtime.block_on(worker.run()).map_err(|error| error.to_string())
        }));
    }
    wait_until(first).await?;
    let start = Instant::now();
    let own = cpu_seconds(std::process::id(), false);
    let server = cpu(&mut connection).await?;
    let done: Vec<String> = (0..queues).map(|queue| config(queue).done_jobs_set()).collect();
    loop {
        if let Some(ended) = workers.iter().position(|worker| worker.is_finished()) {
            anyhow::bail!("a worker ended: {:?}", workers.swap_remove(ended).join());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        if lags.count() >= load.orders as u64
            && finished(&mut connection, &done).await? >= load.orders
        {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let own = cpu_seconds(std::process::id(), false) - own;
    let server = cpu(&mut connection).await? - server;
    Ok(json!({
        "peer": "apalis-redis",
        "orders": load.orders,
        "queues": queues,
        "batch": batch,
        "poll_ms": poll_ms,
        "seconds": seconds,
        "orders_per_second": load.orders as f64 / seconds,
        "lag_ms": lags.figures(),
        "cpu_seconds": {"own": own, "server": server, "total": own + server},
        "bytes_per_order": bytes.round(),
    }))
}

/// Its deadlines are in seconds. Rounded down, a task would run up to a second early.
fn task(i: usize, due_ms: u64) -> anyhow::Result<apalis_redis::RedisTask> {
    let order = Order {
        order_id: format!("20261123{i:010}"),
        buyer_id: format!("buyer{i:07}"),
        amount: 59_000,
        currency: "KRW".to_owned(),
        due_ms,
    };
    Ok(TaskBuilder::new(serde_json::to_vec(&order)?)
        .run_at_timestamp(due_ms.div_ceil(1_000))
        .build())
}

async fn finished(
    connection: &mut apalis_redis::ConnectionManager,
    sets: &[String],
) -> anyhow::Result<usize> {
    let mut pipeline = redis::pipe();
    for set in sets {
        pipeline.cmd("SCARD").arg(set);
    }
    Ok(pipeline.query_async::<Vec<usize>>(connection).await?.iter().sum())
}

async fn cpu(connection: &mut apalis_redis::ConnectionManager) -> anyhow::Result<f64> {
    info(connection, "cpu", &["used_cpu_sys:", "used_cpu_user:"]).await
}

/// The sum of some figures of INFO.
async fn info(
    connection: &mut apalis_redis::ConnectionManager,
    section: &str,
    names: &[&str],
) -> anyhow::Result<f64> {
    let text: String = redis::cmd("INFO").arg(section).query_async(connection).await?;
    let figure = |name: &&str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
    };
    names.iter().map(figure).sum::<Option<f64>>().context("INFO of Redis lacks a figure")
}
