//! Writes the failed part of a transaction, after a permission was removed or a key was replaced
//! during EXEC. Without this, orders would be received without their entry.

use std::time::Duration;

use autoreceive_domain::{OrderId, Shard};
use autoreceive_redis_connection::Deadline;
use autoreceive_redis_connection::redis::{Cmd, Value};
use tokio::time::{sleep, timeout};

use super::RedisStore;
use super::writes::{Write, WriteKind, Writes};
use autoreceive_store::{Change, CommitResult, Round, Why};

/// The pause after the first failed attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The failed commands of a transaction.
pub(super) struct MissingWrites<'a> {
    /// Orders that are still as the commit left them.
    changes: Vec<&'a Change>,
    /// The kinds of failed writes of these orders.
    kinds: Vec<WriteKind>,
    /// The counts among the facts.
    counts: Vec<String>,
    /// Commands that must be written even if the orders have changed since.
    facts: Vec<&'a Write>,
}

impl<'a> MissingWrites<'a> {
    /// Built from the answers, one for each command.
    pub(super) fn of(round: &'a Round, writes: &'a Writes, answers: &[Value]) -> MissingWrites<'a> {
        let answers = answers.iter().map(|answer| matches!(answer, Value::ServerError(_)));
        let failed = writes.list.iter().zip(answers).filter(|(_, failed)| *failed);
        let failed: Vec<&Write> = failed.map(|(write, _)| write).collect();
        let is_fact = |write: &&Write| matches!(write.kind, WriteKind::Counts | WriteKind::Facts);
        let (facts, of_orders): (Vec<_>, Vec<_>) = failed.into_iter().partition(is_fact);
        let counts = if facts.iter().any(|write| write.kind == WriteKind::Counts) {
            writes.counts.clone()
        } else {
            Vec::new()
        };
        let kinds: Vec<WriteKind> = of_orders.iter().map(|write| write.kind).collect();
        let changes = if kinds.is_empty() { Vec::new() } else { round.changes.iter().collect() };
        MissingWrites { changes, kinds, counts, facts }
    }

    /// The version that each order must have: the version that the commit wrote, or if it wrote no
    /// orders, the expected version.
    fn versions(&self) -> Vec<(&'a OrderId, u64)> {
        let wrote_orders = !self.kinds.contains(&WriteKind::Orders);
        let version = |change: &Change| match &change.order {
            Some(order) if wrote_orders => order.version,
            _ => change.expected,
        };
        self.changes.iter().map(|change| (&change.id, version(change))).collect()
    }
}

impl RedisStore {
    /// Writes the missing commands, again and again until it succeeds or the deadline is over.
    pub(super) async fn repair(
        &self,
        shard: Shard,
        mut missing: MissingWrites<'_>,
        deadline: Deadline,
    ) {
        let mut pause = PAUSE;
        loop {
            let call = self.repair_call(shard, &missing);
            let why = match timeout(deadline.remaining(), self.run_commit(call, &missing.changes))
                .await
            {
                Ok(CommitResult::Committed) => {
                    tracing::info!(shard, "the failed part of a commit is written now");
                    return;
                }
                // Another commit has changed these orders, including the missing writes.
                Ok(CommitResult::Conflict { losers, why: Why::Version }) if !losers.is_empty() => {
                    missing.changes.retain(|change| !losers.contains(&change.id));
                    continue;
                }
                // It may be written. All writes except the counts can be repeated; `verify` repairs
                // counts.
                Ok(CommitResult::Unknown(why)) => {
                    missing.facts.retain(|write| write.kind != WriteKind::Counts);
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
                    "a part of a commit could not be written: orders may have no outbox entry; run \
                        `autoreceive verify`"
                );
                return;
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    fn repair_call(&self, shard: Shard, missing: &MissingWrites<'_>) -> Cmd {
        let mut writes = Writes::of_orders(&self.keys, shard, &missing.changes, &missing.kinds);
        writes.counts.clone_from(&missing.counts);
        for write in &missing.facts {
            writes.again(write);
        }
        self.commit_call("", missing.versions().into_iter(), &writes)
    }
}
