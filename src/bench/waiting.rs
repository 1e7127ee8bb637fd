//! The same thousand orders due among ever more that wait: the cost should follow what is due, not what waits.

use std::time::Instant;

use autoreceive_domain::Span;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::ground::{Filling, Ground};
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

impl Waiting {
    /// Measures on `ground` and returns the figures.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn run(&self, ground: &Ground, progress: &ProgressBar) -> anyhow::Result<Value> {
        let (mut filled, mut due, mut steps) = (0, FIRST_DUE, Vec::new());
        for &waiting in &self.steps {
            let later = ground.store.heads().await?.now.after(Span::from_hours(24 * 30));
            let deadline = |i: usize| later.after(Span::from_secs((i % 100_000) as i64));
            ground.fill(Filling { from: filled, count: waiting.saturating_sub(filled), deadline: &deadline, data: 0 }, progress).await?;
            filled = filled.max(waiting);
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push(round(ground, due, progress).await?);
                due += DUE;
            }
            rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (seconds, cpu) = rounds.swap_remove(ROUNDS / 2);
            steps.push(json!({"waiting": waiting, "due": DUE, "seconds": seconds, "cpu_seconds": cpu}));
        }
        Ok(json!({"bench": "waiting", "store": ground.name, "rounds": ROUNDS, "steps": steps}))
    }
}

/// Drains a thousand due orders. Returns the seconds and what they cost.
async fn round(ground: &Ground, from: usize, progress: &ProgressBar) -> anyhow::Result<(f64, Value)> {
    let deadline = ground.store.heads().await?.now.after(Span::from_secs(1));
    ground.fill(Filling { from, count: DUE, deadline: &|_| deadline, data: 0 }, progress).await?;
    let workers = Workers::start(ground, 1, 200).await?;
    tokio::time::sleep(deadline.since(ground.store.heads().await?.now).to_std()).await;
    let (start, cpu) = (Instant::now(), Cpu::read(ground).await?);
    while workers.nothing.attempted() < DUE as u64 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu.since(ground, 1.0).await?;
    workers.stop().await;
    Ok((seconds, cpu))
}
