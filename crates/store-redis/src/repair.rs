//! What a transaction left unwritten, because a right was taken away or a key replaced while it was
//! carried out. Without this, orders would stand there received without their entry.

use std::time::Duration;

use autoreceive_domain::{OrderId, Shard};
use autoreceive_redis_connection::Deadline;
use autoreceive_redis_connection::redis::{Cmd, Value};
use tokio::time::{sleep, timeout};

use super::RedisStore;
use super::writes::{Part, Write, Writes};
use autoreceive_store::{Change, CommitResult, Round, Why};

/// The pause after the first try that failed; it doubles.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The commands of a transaction that failed.
pub(super) struct Missing<'a> {
    /// Of the orders that are still as the commit left them.
    changes: Vec<&'a Change>,
    /// Which parts of these orders.
    parts: Vec<Part>,
    /// The counts among the facts.
    counts: Vec<String>,
    /// The commands that have to be carried out whatever became of the orders.
    facts: Vec<&'a Write>,
}

impl<'a> Missing<'a> {
    /// From the answers to the commands, one for each.
    pub(super) fn of(round: &'a Round, writes: &'a Writes, answers: &[Value]) -> Missing<'a> {
        let answers = answers.iter().map(|answer| matches!(answer, Value::ServerError(_)));
        let failed = writes.list.iter().zip(answers).filter(|(_, failed)| *failed);
        let failed: Vec<&Write> = failed.map(|(write, _)| write).collect();
        let is_fact = |write: &&Write| matches!(write.part, Part::Counts | Part::Facts);
        let (facts, of_orders): (Vec<_>, Vec<_>) = failed.into_iter().partition(is_fact);
        let counts = if facts.iter().any(|write| write.part == Part::Counts) {
            writes.counts.clone()
        } else {
            Vec::new()
        };
        let parts: Vec<Part> = of_orders.iter().map(|write| write.part).collect();
        let changes = if parts.is_empty() { Vec::new() } else { round.changes.iter().collect() };
        Missing { changes, parts, counts, facts }
    }

    /// Each order with the version that must be found: the one that the commit wrote, or where it
    /// wrote no orders, the one that it expected.
    fn versions(&self) -> Vec<(&'a OrderId, u64)> {
        let wrote_orders = !self.parts.contains(&Part::Orders);
        let version = |change: &Change| match &change.order {
            Some(order) if wrote_orders => order.version,
            _ => change.expected,
        };
        self.changes.iter().map(|change| (&change.id, version(change))).collect()
    }
}

impl RedisStore {
    /// Writes what is missing, again and again until it is in or the time is over.
    pub(super) async fn repair(&self, shard: Shard, mut missing: Missing<'_>, deadline: Deadline) {
        let mut pause = PAUSE;
        loop {
            let call = self.repair_call(shard, &missing);
            let why = match timeout(deadline.remaining(), self.run_commit(call, &missing.changes))
                .await
            {
                Ok(CommitResult::Committed) => {
                    tracing::info!(shard, "what was missing of a commit is written now");
                    return;
                }
                // Somebody has changed these orders since, and with them the parts in question.
                Ok(CommitResult::Conflict { losers, why: Why::Version }) if !losers.is_empty() => {
                    missing.changes.retain(|change| !losers.contains(&change.id));
                    continue;
                }
                // Perhaps it is in. All but the counts can be written twice; `verify` mends those.
                Ok(CommitResult::Unknown(why)) => {
                    missing.facts.retain(|write| write.part != Part::Counts);
                    why
                }
                Ok(other) => format!("{other:?}"),
                Err(_) => "no answer in time".to_owned(),
            };
            if pause >= deadline.remaining() {
                tracing::error!(
                    shard,
                    why,
                    entries = missing.facts.len(),
                    "a part of a commit could not be written: orders may be without their entry"
                );
                return;
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    fn repair_call(&self, shard: Shard, missing: &Missing<'_>) -> Cmd {
        let mut writes = Writes::of_orders(&self.keys, shard, &missing.changes, &missing.parts);
        writes.counts.clone_from(&missing.counts);
        for write in &missing.facts {
            writes.again(write);
        }
        self.commit_call("", missing.versions().into_iter(), &writes)
    }
}
