//! 1,000 due orders among more and more waiting ones. The cost should depend on the number of due
//! orders only.

use std::time::{Duration, Instant};

use autoreceive_domain::Span;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};
use super::runs;
use super::worker::{Cpu, Workers};

/// The benchmark with many waiting orders.
pub struct Waiting {
    /// The number of waiting orders in each step.
    pub steps: Vec<usize>,
}

/// Due orders in each step.
const DUE: usize = 1_000;
/// The number of the first due order, greater than those of waiting orders.
const FIRST_DUE: usize = 1_000_000_000;
/// Rounds of each step; the result is their median.
const ROUNDS: usize = 5;
/// The most memory that a waiting order needs, server and file cache together.
const BYTES_PER_ORDER: u64 = 600;

impl Waiting {
    /// Steps up to five million, as far as they fit into half of the free memory.
    #[must_use]
    pub fn steps_that_fit() -> Vec<usize> {
        let room = free_bytes() / 2 / BYTES_PER_ORDER;
        [10_000, 100_000, 1_000_000, 5_000_000]
            .into_iter()
            .filter(|&step| step <= 100_000 || step as u64 <= room)
            .collect()
    }

    /// Measures on `target` and returns the figures.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let mut filled = 0;
        let mut due = FIRST_DUE;
        let mut steps = Vec::new();
        for &waiting in &self.steps {
            let later = target.store.now().await?.after(Span::from_hours(24 * 30));
            let deadline = |i: usize| later.after(Span::from_secs((i % 100_000) as i64));
            let more = waiting.saturating_sub(filled);
            target
                .fill(Filling { from: filled, deadline: &deadline, ..Filling::of(more) }, progress)
                .await?;
            filled = filled.max(waiting);
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push(round(target, due, progress).await?);
                due += DUE;
            }
            let mut step = runs::median(&rounds);
            step["waiting"] = waiting.into();
            steps.push(step);
        }
        let cost =
            |step: Option<&Value>| step.and_then(|step| step["cpu_seconds"]["total"].as_f64());
        let ratio = cost(steps.last()).zip(cost(steps.first())).map(|(last, first)| last / first);
        Ok(json!({
            "bench": "waiting",
            "store": target.name,
            "due": DUE,
            "rounds": ROUNDS,
            "last_costs_times_first": ratio,
            "steps": steps,
        }))
    }
}

/// Drains 1,000 due orders. Returns the seconds and the processor time.
async fn round(target: &BenchStore, from: usize, progress: &ProgressBar) -> anyhow::Result<Value> {
    let deadline = target.store.now().await?.after(Span::from_secs(1));
    target.fill(Filling { from, deadline: &|_| deadline, ..Filling::of(DUE) }, progress).await?;
    let workers = Workers::start(target, 1, 200).await?;
    target.wait_until(deadline).await?;
    let start = Instant::now();
    let cpu = Cpu::read(target).await?;
    while workers.noop.attempted() < DUE as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu.since(target, 1.0).await?;
    workers.stop().await;
    Ok(json!({"seconds": seconds, "cpu_seconds": cpu_seconds}))
}

/// The available memory from `/proc`; 4 GiB if it is unknown.
fn free_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = info.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    kib.map_or(4 << 30, |kib| kib * 1_024)
}
