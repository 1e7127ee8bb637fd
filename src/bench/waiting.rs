//! The same thousand orders due among ever more that wait: the cost should follow what is due, not
//! what waits.

use std::time::{Duration, Instant};

use autoreceive_domain::Span;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};
use super::runs;
use super::worker::{Cpu, Workers};

/// What is measured.
pub struct Waiting {
    /// How many orders wait, step by step.
    pub steps: Vec<usize>,
}

/// How many are due in each step.
const DUE: usize = 1_000;
/// The numbers of the due orders begin behind those that wait.
const FIRST_DUE: usize = 1_000_000_000;
/// How often each step is measured; the median counts.
const ROUNDS: usize = 5;
/// What a waiting order is taken to need at most, server and file cache together.
const BYTES_PER_ORDER: u64 = 600;

impl Waiting {
    /// Steps up to five million, as far as half of the free memory holds them.
    #[must_use]
    pub fn steps_that_fit() -> Vec<usize> {
        let room = free_bytes() / 2 / BYTES_PER_ORDER;
        [10_000, 100_000, 1_000_000, 5_000_000]
            .into_iter()
            .filter(|&step| step <= 100_000 || step as u64 <= room)
            .collect()
    }

    /// Measures on `ground` and returns the figures.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn run(&self, ground: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let (mut filled, mut due, mut steps) = (0, FIRST_DUE, Vec::new());
        for &waiting in &self.steps {
            let later = ground.store.now().await?.after(Span::from_hours(24 * 30));
            let deadline = |i: usize| later.after(Span::from_secs((i % 100_000) as i64));
            let more = waiting.saturating_sub(filled);
            ground
                .fill(Filling { from: filled, deadline: &deadline, ..Filling::of(more) }, progress)
                .await?;
            filled = filled.max(waiting);
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push(round(ground, due, progress).await?);
                due += DUE;
            }
            let mut step = runs::median(&rounds);
            step["waiting"] = waiting.into();
            steps.push(step);
        }
        let cost =
            |step: Option<&Value>| step.and_then(|step| step["cpu_seconds"]["total"].as_f64());
        let ratio = cost(steps.last()).zip(cost(steps.first())).map(|(last, first)| last / first);
        Ok(
            json!({"bench": "waiting", "store": ground.name, "due": DUE, "rounds": ROUNDS, "last_costs_times_first": ratio, "steps": steps}),
        )
    }
}

/// Drains a thousand due orders. Returns the seconds and what they cost.
async fn round(ground: &BenchStore, from: usize, progress: &ProgressBar) -> anyhow::Result<Value> {
    let deadline = ground.store.now().await?.after(Span::from_secs(1));
    ground.fill(Filling { from, deadline: &|_| deadline, ..Filling::of(DUE) }, progress).await?;
    let workers = Workers::start(ground, 1, 200).await?;
    ground.wait_until(deadline).await?;
    let (start, cpu) = (Instant::now(), Cpu::read(ground).await?);
    while workers.nothing.attempted() < DUE as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu.since(ground, 1.0).await?;
    workers.stop().await;
    Ok(json!({"seconds": seconds, "cpu_seconds": cpu_seconds}))
}

/// The memory that can be had without pushing others out, from `/proc`; four gigabytes where there
/// is none.
fn free_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = info.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    kib.map_or(4 << 30, |kib| kib * 1_024)
}
