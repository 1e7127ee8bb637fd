//! A commit of the timer without a script: what it read is watched, and what follows is written as
//! one transaction, which Redis drops whole where anything that was read has changed since. It takes
//! Redis half the time that the script takes (docs/benchmarks.md). Where it does not fit, or nothing
//! came of it, the script is called.
//!
//! Why it is safe:
//!
//! - A commit goes this way only if every change in it expects the version that was read. The watch
//!   begins before that read, on a connection that nobody else uses in between and that is never
//!   made again silently: a new one watches nothing.
//! - Every commit in a shard writes its orders, and those are watched; so is the clock of a store
//!   for tests.
//! - A user without the right to one of the writes, or a server without memory, fails the
//!   transaction whole when it is queued.
//! - Types are looked at with the read, and all but the outbox's keys are watched: settling changes
//!   those all the time. Rights need no look: Redis asks for each when it queues the command, which
//!   is later.
//! - The time is read again with the orders, so that a clock that was moved, or a worker that was
//!   stopped, is noticed as by the script.
//!
//! The script does one thing that this cannot: Redis looks at rights and types of a transaction
//! command by command. An operator who takes a right away, or replaces an outbox, in the moment in
//! which a transaction is carried out, leaves a part of it unwritten. `repair` writes that part.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use autoreceive_domain::{ActionName, OrderId, Shard, Time};
use autoreceive_redis_connection::redis::{Pipeline, Value};
use tokio::time::Instant;

use super::RedisStore;
use super::commit::failed;
use super::pinned::Pinned;
use super::repair::Missing;
use super::reply::{Replies, as_text};
use super::writes::Writes;
use autoreceive_redis_connection::server_text;
use autoreceive_store::now::span;
use autoreceive_store::{At, Change, Commit, CommitResult, ReadToken, STALE_AFTER, StoreError};

/// The fewest due orders for which it pays.
pub(super) const LEAST: usize = 32;
/// How often rights and types are looked at again after a transaction failed in part.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// A read that is watched: what a [`ReadToken`] of this store holds.
struct Watched {
    connection: Pinned,
    shard: Shard,
    /// The shard's time, and when it was read.
    now: Time,
    read_at: Instant,
    /// The orders in the order in which they were read, with their versions.
    versions: Vec<(OrderId, u64)>,
    /// The actions whose outbox has the right types.
    actions: Vec<ActionName>,
}

impl Watched {
    /// Whether a commit consists of nothing but orders that were read and are kept, and of what
    /// follows from them, and the read is still good.
    fn is_before(&self, commit: &Commit) -> bool {
        let round = &commit.round;
        let mut versions = self.versions.iter();
        let mut was_read = |change: &Change| versions.any(|(id, version)| *id == change.id && *version == change.expected);
        let age = span(self.read_at.elapsed());
        let now = self.now.after(age);
        self.shard == commit.shard
            && age <= STALE_AFTER
            && now.since(commit.now).max(commit.now.since(now)) <= STALE_AFTER
            && !round.changes.is_empty()
            && round.policies.is_empty()
            && round.notes_done.is_empty()
            && round.entries.iter().all(|entry| self.actions.contains(&entry.action))
            && round.changes.iter().all(|change| change.order.is_some() && was_read(change))
    }
}

/// Whether commits go by the script alone, because a transaction failed in part.
#[derive(Default)]
pub(super) struct ScriptAlone(Mutex<Option<Instant>>);

impl ScriptAlone {
    fn next_check(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, now: Instant) {
        *self.next_check() = Some(now + CHECK_EVERY);
    }

    fn end(&self) {
        *self.next_check() = None;
    }

    /// None where transactions can be used; else whether it is time to check again. Only one caller
    /// is told so.
    fn check_is_due(&self, now: Instant) -> Option<bool> {
        let mut next_check = self.next_check();
        let is_due = now >= (*next_check)?;
        if is_due {
            *next_check = Some(now + CHECK_EVERY);
        }
        Some(is_due)
    }
}

impl RedisStore {
    /// Whether a read can be watched. After a transaction that failed in part, only once rights and
    /// types are in order again.
    async fn may_watch(&self, shard: Shard) -> bool {
        match self.script_alone.check_is_due(Instant::now()) {
            None => true,
            Some(false) => false,
            Some(true) => {
                let check = self.check_again(shard, &self.known_actions()).await;
                match &check {
                    Ok(()) => self.script_alone.end(),
                    Err(why) => tracing::warn!(%why, "the script alone still commits orders"),
                }
                check.is_ok()
            }
        }
    }

    /// Carries out `reads`, the first of which reads the records of `ids`, and watches what was
    /// read. None where that failed; no token where it cannot be watched.
    pub(super) async fn read_watching(&self, shard: Shard, ids: &[OrderId], reads: &Pipeline) -> Option<(Replies, Option<ReadToken>)> {
        if !self.may_watch(shard).await {
            return None;
        }
        let mut connection = self.pinned.take(self.link.era())?;
        let actions = self.known_actions();
        let was_open = connection.is_open();
        let pipe = self.watching(shard, was_open, &actions, reads);
        let (deadline, read_at) = (self.link.deadline(), Instant::now());
        let mut answers = connection.exchange(&self.link, deadline, &pipe).await.ok()?;
        let begun = answers.iter().take(1 + usize::from(was_open));
        if !begun.into_iter().all(|answer| *answer == Value::Okay) {
            // A transaction that could not be discarded has queued the reads.
            connection.close();
            return None;
        }
        match answers.pop() {
            Some(Value::Okay) => connection.set_open(true),
            _ => connection.close(),
        }
        let records = answers.split_off(pipe.len() - 1 - reads.len());
        let checks = answers.split_off(1 + usize::from(was_open));
        let now = self.checked(checks, actions.len());
        let versions = records.first().and_then(|records| versions(ids, records));
        let token = match (now, versions) {
            (Ok(Some(now)), Some(versions)) if connection.is_open() => {
                Some(ReadToken::new(Watched { connection, shard, now, read_at, versions, actions }))
            }
            _ => None,
        };
        Some((Replies::new(records), token))
    }

    /// Ends the transaction before, watches, looks at what a commit would change, reads, and opens
    /// the transaction.
    fn watching(&self, shard: Shard, was_open: bool, actions: &[ActionName], reads: &Pipeline) -> Pipeline {
        let keys = &self.keys;
        let mut pipe = Pipeline::with_capacity(14 + 2 * actions.len());
        if was_open {
            pipe.cmd("DISCARD");
        }
        let watch = pipe.cmd("WATCH").arg(keys.orders(shard)).arg(keys.due(shard));
        watch.arg(keys.counts(shard)).arg(keys.held(shard));
        watch.arg(keys.retention(shard)).arg(keys.clock(shard));
        self.ask_time(&mut pipe);
        pipe.cmd("HGETALL").arg(keys.counts(shard));
        pipe.cmd("TYPE").arg(keys.due(shard));
        pipe.cmd("TYPE").arg(keys.held(shard));
        pipe.cmd("TYPE").arg(keys.retention(shard));
        for action in actions {
            pipe.cmd("TYPE").arg(keys.out(shard, action));
            pipe.cmd("TYPE").arg(keys.outdata(shard, action));
        }
        for read in reads.cmd_iter() {
            pipe.add_command(read.clone());
        }
        pipe.cmd("MULTI");
        pipe
    }

    /// The shard's time, where all types and counts are as they should be.
    fn checked(&self, answers: Vec<Value>, actions: usize) -> Result<Option<Time>, StoreError> {
        let mut replies = Replies::new(answers);
        let At { now, .. } = self.found(&mut replies)?;
        let counts = replies.texts()?;
        let mut is_right = counts.chunks(2).all(|pair| pair.get(1).is_some_and(is_count));
        let wanted = ["zset", "hash"].into_iter().cycle().take(2 * actions);
        for want in ["zset", "zset", "zset"].into_iter().chain(wanted) {
            is_right &= replies.text()?.is_some_and(|is| is == want || is == "none");
        }
        Ok(is_right.then_some(now))
    }

    /// Commits what follows from a watched read. None where nothing was written, and the script is
    /// to be called.
    pub(super) async fn commit_watched(&self, read: ReadToken, commit: &Commit) -> Option<CommitResult> {
        let mut read = read.into_read::<Watched>()?;
        let is_ours = self.pinned.owns(&read.connection);
        if !is_ours || read.connection.era() != self.link.era() || !read.is_before(commit) {
            return None;
        }
        let writes = Writes::of(&self.keys, commit.shard, &commit.round);
        let mut pipe = Pipeline::with_capacity(writes.list.len() + 1);
        for write in writes.list {
            pipe.add_command(write.command);
        }
        pipe.cmd("EXEC");
        let (begun, deadline) = (Instant::now(), self.link.deadline());
        let answers = read.connection.exchange(&self.link, deadline, &pipe).await;
        let answered = Instant::now();
        let executed = match answers {
            Ok(mut answers) => {
                read.connection.set_open(false);
                answers.pop()
            }
            Err(failure) => return Some(failed(failure)),
        };
        drop(read);
        let Some(Value::Array(answers)) = executed else { return None };
        self.pace.answered(commit.round.changes.len(), answered - begun, answered.into_std());
        let Some(why) = answers.iter().find_map(error_text) else {
            return Some(CommitResult::Committed);
        };
        self.script_alone.begin(answered);
        tracing::error!(
            shard = commit.shard,
            why,
            "a key or a right was changed while orders were committed: what is missing is written again"
        );
        let writes = Writes::of(&self.keys, commit.shard, &commit.round);
        let missing = Missing::of(&commit.round, &writes, &answers);
        self.repair(commit.shard, missing, deadline).await;
        let why = format!("a key or a right was changed while orders were committed: {why}");
        Some(CommitResult::Unknown(why))
    }
}

/// Whether it is a number that `HINCRBY` can move.
fn is_count(text: &String) -> bool {
    text.len() <= 16 && text.parse::<i64>().is_ok_and(|number| number.to_string() == *text)
}

fn error_text(answer: &Value) -> Option<String> {
    match answer {
        Value::ServerError(error) => Some(server_text(error)),
        _ => None,
    }
}

/// The orders that there are, with the version that each record begins with.
fn versions(ids: &[OrderId], records: &Value) -> Option<Vec<(OrderId, u64)>> {
    let version = |record: &Value| as_text(record)?.split_once('|')?.0.parse().ok();
    let Value::Array(records) = records else { return None };
    let found = ids.iter().zip(records);
    Some(found.filter_map(|(id, record)| Some((id.clone(), version(record)?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_caller_in_ten_seconds_checks() {
        let (alone, start) = (ScriptAlone::default(), Instant::now());
        assert_eq!(alone.check_is_due(start), None);
        alone.begin(start);
        assert_eq!(alone.check_is_due(start), Some(false));
        let later = start + CHECK_EVERY;
        assert_eq!(alone.check_is_due(later), Some(true));
        assert_eq!(alone.check_is_due(later), Some(false));
        assert_eq!(alone.check_is_due(later + CHECK_EVERY), Some(true));
        alone.end();
        assert_eq!(alone.check_is_due(later), None);
    }

    #[test]
    fn a_count_is_what_hincrby_takes() {
        let is = |text: &str| is_count(&text.to_owned());
        assert!(is("0") && is("-12") && is("1234567890"));
        for wrong in ["", "many", "1.5", "007", "+1", "99999999999999999"] {
            assert!(!is(wrong), "{wrong}");
        }
    }
}
