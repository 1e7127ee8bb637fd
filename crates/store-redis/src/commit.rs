//! Commits: by the transaction of a watched read, or by the script.

use std::fmt::Write;
use std::time::Instant;

use autoreceive_domain::OrderId;
use autoreceive_redis_connection::redis::{Arg, Cmd, Pipeline, Value};

use super::reply::{number, text};
use super::writes::Writes;
use super::{MAX_CHANGES, RedisStore};
use autoreceive_redis_connection::Failure;
use autoreceive_store::{Change, Commit, CommitResult, Epoch, Refusal, Why};

impl RedisStore {
    pub(super) async fn commit_all(&self, commits: Vec<Commit>) -> Vec<CommitResult> {
        let mut results: Vec<Option<CommitResult>> = Vec::with_capacity(commits.len());
        let mut calls = Pipeline::with_capacity(commits.len());
        let mut sent = Vec::new();
        for mut commit in commits {
            self.note_actions(&commit.round);
            let mut result = self.refused(&commit);
            if result.is_none() {
                if let Some(read) = commit.read.take() {
                    result = self.commit_watched(read, &commit).await;
                }
                if result.is_none() {
                    let writes = Writes::of(&self.keys, commit.shard, &commit.round);
                    let versions = commit.round.changes.iter();
                    let versions = versions.map(|change| (&change.id, change.expected));
                    let now = commit.now.ms().to_string();
                    calls.add_command(self.commit_call(&now, versions, &writes));
                    sent.push((results.len(), commit));
                }
            }
            results.push(result);
        }
        if !sent.is_empty() {
            let largest = sent.iter().map(|(_, commit)| commit.round.changes.len()).max();
            let begun = Instant::now();
            let answers = self.link.run(&self.scripts.commit, &calls).await;
            let answered = Instant::now();
            self.batch_size.record(largest.unwrap_or(0), answered - begun, answered);
            for ((index, commit), answer) in sent.iter().zip(answers) {
                results[*index] = Some(result(&commit.round.changes, answer));
            }
        }
        let none = || CommitResult::Unknown("Redis sent no answer".to_owned());
        results.into_iter().map(|result| result.unwrap_or_else(none)).collect()
    }

    /// Why a commit is not sent. Identity and format are compared with the values from the start.
    /// Once each shard has a key for them, the script and the watched read check it.
    fn refused(&self, commit: &Commit) -> Option<CommitResult> {
        if self
            .state
            .get()
            .is_none_or(|is| is.id != commit.state.id || is.format != commit.state.format)
        {
            let why = "the shard's identity or format has changed: it belongs to another store or \
                       version; restart the workers";
            return Some(CommitResult::Refused(Refusal::Gone(why.to_owned())));
        }
        // There are no pauses yet.
        if commit.epoch.is_some_and(|epoch| epoch != Epoch::NONE) {
            return Some(CommitResult::Conflict { losers: Vec::new(), why: Why::Epoch });
        }
        let largest = commit.round.changes.len().max(commit.round.notes_done.len());
        (largest > MAX_CHANGES).then(|| {
            let why = format!(
                "a commit has {largest} changes or notes; at most {MAX_CHANGES} are allowed"
            );
            CommitResult::Refused(Refusal::Unavailable(why))
        })
    }

    /// A call of the script. `now` is the time of the decision; empty skips the check for
    /// staleness.
    pub(super) fn commit_call<'a>(
        &self,
        now: &str,
        versions: impl ExactSizeIterator<Item = (&'a OrderId, u64)> + Clone,
        writes: &Writes,
    ) -> Cmd {
        let mut call = self.scripts.commit.call(&writes.keys);
        call.arg(now).arg(versions.len());
        for (id, _) in versions.clone() {
            call.arg(id.as_str());
        }
        let mut prefix = String::new();
        for (_, expected) in versions {
            prefix.clear();
            if expected > 0 {
                // Writing to a string cannot fail.
                let _ = write!(prefix, "{expected}|");
            }
            call.arg(&prefix);
        }
        call.arg(writes.counts.len()).arg(&writes.counts);
        for write in &writes.list {
            call.arg(write.command.args_iter().len());
            for arg in write.command.args_iter() {
                if let Arg::Simple(bytes) = arg {
                    call.arg(bytes);
                }
            }
        }
        call
    }

    /// Runs one call of the script.
    pub(super) async fn run_commit(&self, call: Cmd, changes: &[&Change]) -> CommitResult {
        let mut calls = Pipeline::with_capacity(1);
        calls.add_command(call);
        let answer = self.link.run(&self.scripts.commit, &calls).await.pop();
        let no_answer = || Failure::Unanswered("Redis sent no answer".to_owned().into());
        let answer = answer.unwrap_or_else(|| Err(no_answer()));
        result_of(|index| changes.get(index).map(|change| &change.id), answer)
    }
}

fn result(changes: &[Change], answer: Result<Value, Failure>) -> CommitResult {
    result_of(|index| changes.get(index).map(|change| &change.id), answer)
}

fn result_of<'a>(
    id: impl Fn(usize) -> Option<&'a OrderId>,
    answer: Result<Value, Failure>,
) -> CommitResult {
    let answer = match answer {
        Ok(Value::Array(answer)) => answer,
        Ok(other) => return CommitResult::Unknown(format!("Redis answered {other:?}")),
        Err(failure) => return failed(failure),
    };
    let mut answer = answer.into_iter();
    match answer.next().and_then(text).as_deref() {
        None => CommitResult::Committed,
        Some("stale") => CommitResult::Conflict { losers: Vec::new(), why: Why::Stale },
        Some(_) => {
            let index = |value: &Value| usize::try_from(number(value)?).ok()?.checked_sub(1);
            let losers = answer.filter_map(|value| id(index(&value)?).cloned()).collect();
            CommitResult::Conflict { losers, why: Why::Version }
        }
    }
}

/// The commit's result after a failure.
pub(super) fn failed(failure: Failure) -> CommitResult {
    match failure {
        Failure::Unreachable(why) | Failure::Refused(why) => {
            CommitResult::Refused(Refusal::Unavailable(why.into()))
        }
        Failure::Unanswered(why) => CommitResult::Unknown(why.into()),
    }
}
