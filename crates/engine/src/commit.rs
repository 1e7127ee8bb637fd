//! The only path for commits: splits changes into rounds of bounded count and bytes, commits them,
//! and hands the committed entries to the relays.
//!
//! A commit is all or nothing, so one order that another worker changed fails the whole round. The
//! other orders must not pay for that: the round is sent again at once without the losers. No new
//! decision is needed, because the other orders are unchanged. After two conflicts the round is
//! halved, after three each order goes alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoreceive_domain::{Cause, Event, EventKind, OrderId, Policy, Shard, Terms, Time};
use autoreceive_store::{
    Change, Commit, CommitResult, ReadToken, RetentionNote, Round, ShardState, Why,
};

use crate::core::Core;
use crate::metrics::{ByCause, BySource};
use crate::outbox::PreparedEntry;
use crate::planned::{ChangeResult, PlannedChange, ShardPlan};
use crate::settings::{COMMIT_BYTES, MAX_BATCH, ORDER_BYTES};

/// After this number of conflicts a round is halved; after one more each order goes alone.
const HALVED_AFTER: u32 = 2;

/// Changes of one shard to commit together.
struct Part {
    shard: Shard,
    now: Time,
    state: Arc<ShardState>,
    read: Option<ReadToken>,
    planned: Vec<PlannedChange>,
    /// The index of each change in the caller's plans.
    origin: Vec<ChangeIndex>,
    conflicts: u32,
}

/// (index of the plan, index of the change in it)
type ChangeIndex = (usize, usize);

/// A part that was sent.
struct Batch {
    shard: Shard,
    now: Time,
    state: Arc<ShardState>,
    round: Arc<Round>,
    prepared: Vec<PreparedEntry>,
    contexts: Vec<ChangeContext>,
    origin: Vec<ChangeIndex>,
    conflicts: u32,
}

/// Data of a change that is not written.
struct ChangeContext {
    terms: Option<Arc<Terms>>,
    policy: Option<Policy>,
    deadline: Option<Time>,
}

impl Core {
    /// Commits the plans and hands the entries to the relays. Returns one result for each change of
    /// each plan.
    pub(crate) async fn commit(
        &self,
        source: &'static str,
        plans: Vec<ShardPlan>,
    ) -> Vec<Vec<ChangeResult>> {
        let mut results: Vec<Vec<ChangeResult>> = Vec::with_capacity(plans.len());
        let mut parts = Vec::with_capacity(plans.len());
        for (index, plan) in plans.into_iter().enumerate() {
            results.push(vec![ChangeResult::Conflict; plan.planned.len()]);
            parts.extend(split_plan(index, plan));
        }
        while !parts.is_empty() {
            parts = self.send(source, parts, &mut results).await;
        }
        results
    }

    /// Sends every part once. Returns the parts to send again.
    async fn send(
        &self,
        source: &'static str,
        parts: Vec<Part>,
        outcomes: &mut [Vec<ChangeResult>],
    ) -> Vec<Part> {
        let (batches, commits): (Vec<Batch>, Vec<Commit>) =
            parts.into_iter().map(|part| self.batch(part)).unzip();
        let results = self.store.commit(commits).await;
        let mut again = Vec::new();
        for (batch, result) in batches.into_iter().zip(results) {
            let result = match result {
                CommitResult::Committed => {
                    self.note_done(&batch);
                    let Batch { shard, round, prepared, origin, .. } = batch;
                    self.queues.hand_over(shard, &round, prepared);
                    set_results(outcomes, &origin, &ChangeResult::Done);
                    continue;
                }
                CommitResult::Conflict { losers, why: Why::Version } if !losers.is_empty() => {
                    self.note_conflicts(source, losers.len());
                    again.extend(batch.without(&losers));
                    continue;
                }
                CommitResult::Conflict { .. } => {
                    self.note_conflicts(source, batch.origin.len());
                    continue;
                }
                CommitResult::Refused(why) => ChangeResult::Refused(why.to_string()),
                CommitResult::Unknown(why) => ChangeResult::Unknown(why),
                other => ChangeResult::Unknown(format!("the store answered {other:?}")),
            };
            set_results(outcomes, &batch.origin, &result);
        }
        again
    }

    fn batch(&self, part: Part) -> (Batch, Commit) {
        let Part { shard, now, state, read, planned, origin, conflicts } = part;
        let mut round = Round { notes: retention_notes(now, &planned), ..Round::default() };
        round.changes.reserve(planned.len());
        let mut contexts = Vec::with_capacity(planned.len());
        for PlannedChange { change, terms, policy, deadline } in planned {
            if let Some(policy) = &policy
                && round.policies.iter().all(|known| known.revision != policy.revision)
            {
                round.policies.push(policy.clone());
            }
            round.changes.push(change);
            contexts.push(ChangeContext { terms, policy, deadline });
        }
        let (entries, prepared) = self.queues.entries(&round.changes, now);
        round.entries = entries;
        let round = Arc::new(round);
        let commit =
            Commit { shard, now, state: state.clone(), epoch: None, read, round: round.clone() };
        (Batch { shard, now, state, round, prepared, contexts, origin, conflicts }, commit)
    }

    fn note_conflicts(&self, source: &'static str, changes: usize) {
        self.metrics.conflicts.get_or_create(&BySource { source }).inc_by(changes as u64);
    }

    fn note_done(&self, batch: &Batch) {
        let mut nearest: Option<Time> = None;
        let mut received: BTreeMap<Cause, u64> = BTreeMap::new();
        for (change, context) in batch.round.changes.iter().zip(&batch.contexts) {
            let next_due = change.order.as_ref().and_then(|order| order.next_due_at());
            nearest = [nearest, next_due].into_iter().flatten().min();
            self.note_events(change, context.deadline, batch.now);
            for event in change.events.iter().filter(|event| event.kind() == EventKind::Received) {
                *received.entry(event.cause()).or_default() += 1;
            }
        }
        for (cause, count) in received {
            self.metrics.received.get_or_create(&ByCause::of(cause)).inc_by(count);
        }
        if let Some(next_due) = nearest {
            self.due_index.note_due(batch.shard, next_due);
        }
    }

    /// Logs each event and measures the lag of receipts.
    fn note_events(&self, change: &Change, deadline: Option<Time>, now: Time) {
        for event in &change.events {
            let timed = event.cause() == Cause::Timer;
            let deadline = deadline.filter(|_| timed && event.kind() != EventKind::ReceiveReminder);
            let lag_ms = deadline.map(|deadline| now.since(deadline).ms());
            if event.kind() == EventKind::Received
                && let Some(lag_ms) = lag_ms
            {
                self.metrics.lag.observe(lag_ms as f64 / 1_000.0);
            }
            log_event(event, deadline, lag_ms);
        }
    }
}

impl Batch {
    /// The batch without the losers, in smaller parts after repeated conflicts. The read token is
    /// used up.
    fn without(self, losers: &[OrderId]) -> Vec<Part> {
        let Batch { shard, now, state, round, contexts, origin, conflicts, .. } = self;
        let changes = match Arc::try_unwrap(round) {
            Ok(round) => round.changes,
            Err(shared) => shared.changes.clone(),
        };
        let conflicts = conflicts + 1;
        let mut left = Vec::with_capacity(changes.len());
        for ((change, context), place) in changes.into_iter().zip(contexts).zip(origin) {
            if !losers.contains(&change.id) {
                let ChangeContext { terms, policy, deadline } = context;
                left.push((PlannedChange { change, terms, policy, deadline }, place));
            }
        }
        let size = match conflicts {
            ..HALVED_AFTER => left.len(),
            HALVED_AFTER => left.len().div_ceil(2),
            _ => 1,
        };
        let mut parts = Vec::new();
        while !left.is_empty() {
            let rest = left.split_off(size.clamp(1, left.len()));
            let (planned, origin) = left.into_iter().unzip();
            let state = state.clone();
            parts.push(Part { shard, now, state, read: None, planned, origin, conflicts });
            left = rest;
        }
        parts
    }
}

/// Timer transitions and receipts are logged at INFO, everything else at DEBUG.
fn log_event(event: &Event, deadline: Option<Time>, lag_ms: Option<i64>) {
    let order = &event.0.id;
    let status = event.0.status;
    let deadline = deadline.map(tracing::field::display);
    if event.cause() == Cause::Timer || event.kind() == EventKind::Received {
        tracing::info!(
            %order, %status, cause = %event.cause(), deadline, lag_ms, "{}", event.kind()
        );
    } else {
        tracing::debug!(%order, %status, cause = %event.cause(), "{}", event.kind());
    }
}

fn set_results(outcomes: &mut [Vec<ChangeResult>], origin: &[ChangeIndex], result: &ChangeResult) {
    for &(plan, change) in origin {
        if let Some(place) = outcomes.get_mut(plan).and_then(|of_plan| of_plan.get_mut(change)) {
            *place = result.clone();
        }
    }
}

/// Splits a plan into parts of at most [`MAX_BATCH`] orders and [`COMMIT_BYTES`]. Only the first
/// part has the read token, because a token serves one commit.
fn split_plan(index: usize, plan: ShardPlan) -> Vec<Part> {
    let ShardPlan { shard, now, state, mut read, planned } = plan;
    let mut parts: Vec<Part> = Vec::new();
    let mut bytes = 0;
    for (i, planned) in planned.into_iter().enumerate() {
        let size = bytes_of(&planned.change);
        let is_full = parts
            .last()
            .is_none_or(|part| part.planned.len() >= MAX_BATCH || bytes + size > COMMIT_BYTES);
        if is_full {
            parts.push(Part {
                shard,
                now,
                state: state.clone(),
                read: read.take(),
                planned: Vec::new(),
                origin: Vec::new(),
                conflicts: 0,
            });
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.planned.push(planned);
            part.origin.push((index, i));
        }
    }
    parts
}

/// Approximate bytes that a change writes: one record for each event.
fn bytes_of(change: &Change) -> usize {
    let data = change.order.as_ref().and_then(|order| order.data.as_ref());
    let data = data.map_or(0, |data| data.as_str().len());
    (ORDER_BYTES + data) * change.events.len().max(1)
}

/// Groups the orders that rest after this commit by the end of their retention.
fn retention_notes(now: Time, planned: &[PlannedChange]) -> Vec<RetentionNote> {
    let mut notes: Vec<RetentionNote> = Vec::new();
    for (i, planned) in (0u32..).zip(planned) {
        let rests = planned.change.order.as_ref().is_some_and(|order| order.is_resting());
        let Some(terms) = planned.terms.as_ref().filter(|_| rests) else { continue };
        let look_at = now.after(terms.retain_for);
        match notes.iter_mut().find(|note| note.look_at == look_at) {
            Some(note) => note.members.push(i),
            None => notes.push(RetentionNote { look_at, members: vec![i] }),
        }
    }
    notes
}

#[cfg(test)]
mod tests;
