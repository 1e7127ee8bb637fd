//! A commit of the timer without a script: the read is watched, and the commit is one transaction.
//! Redis drops the transaction if anything that was read has changed. It takes Redis half the time
//! of the script (docs/benchmarks.md). Falls back to the script if the commit does not qualify or
//! EXEC was aborted.
//!
//! Why it is safe:
//!
//! - A commit qualifies only if every change expects the version that was read. WATCH begins before
//!   that read, on a connection that no other caller uses in between. It never reconnects silently,
//!   because a new connection watches nothing.
//! - Every commit in a shard writes its orders, and those keys are watched. The key of the test
//!   clock is watched as well.
//! - A missing permission or a full memory fails the whole transaction while it is queued, so
//!   permissions need no check with the read.
//! - Types are checked with the read. All keys except the outbox's are watched; settling changes
//!   the outbox's keys all the time.
//! - The time is read again with the orders, so a clock that was advanced or a worker that was
//!   suspended is noticed, as in the script.
//!
//! The script does one thing that a transaction cannot: Redis checks permissions and types of a
//! transaction command by command. If an operator removes a permission or replaces an outbox key
//! during EXEC, a part of the transaction is not written. `repair` writes that part.

use std::time::Duration;

use autoreceive_domain::{ActionName, OrderId, Shard, Time};
use autoreceive_redis_connection::redis::{Pipeline, Value};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::RedisStore;
use super::commit::failed;
use super::pinned::PinnedConnection;
use super::repair::MissingWrites;
use super::reply::{Replies, as_text};
use super::writes::Writes;
use autoreceive_redis_connection::server_text;
use autoreceive_store::now::span;
use autoreceive_store::{At, Change, Commit, CommitResult, ReadToken, STALE_AFTER, StoreError};

/// With fewer due orders the script is used.
pub(super) const MIN_ORDERS: usize = 32;
/// How often permissions and types are checked after a partly failed transaction.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// A watched read: the content of this store's [`ReadToken`].
struct WatchedRead {
    connection: PinnedConnection,
    shard: Shard,
    /// The shard's time, and when this process read it.
    now: Time,
    read_at: Instant,
    /// The orders as they were read, with their versions.
    versions: Vec<(OrderId, u64)>,
    /// The actions whose outbox keys have the right types.
    actions: Vec<ActionName>,
}

impl WatchedRead {
    /// Whether the commit changes only orders of this read and writes only what follows from them,
    /// and the read is at most 10 s old.
    fn allows(&self, commit: &Commit) -> bool {
        let round = &commit.round;
        let mut versions = self.versions.iter();
        let mut was_read = |change: &Change| {
            versions.any(|(id, version)| *id == change.id && *version == change.expected)
        };
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

/// After a partly failed transaction only the script commits, until a check succeeds.
#[derive(Default)]
pub(super) struct ScriptFallback(Mutex<Option<Instant>>);

impl ScriptFallback {
    fn next_check(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock()
    }

    fn begin(&self, now: Instant) {
        *self.next_check() = Some(now + CHECK_EVERY);
    }

    fn end(&self) {
        *self.next_check() = None;
    }

    /// `None` if transactions can be used. Otherwise whether a check is due; only one caller gets
    /// `true`.
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
    /// Whether a read can be watched. After a partly failed transaction, permissions and types are
    /// checked first.
    async fn may_watch(&self, shard: Shard) -> bool {
        match self.script_fallback.check_is_due(Instant::now()) {
            None => true,
            Some(false) => false,
            Some(true) => {
                let check = self.check_again(shard, &self.known_actions()).await;
                match &check {
                    Ok(()) => self.script_fallback.end(),
                    Err(why) => tracing::warn!(
                        %why,
                        "orders are still committed by the script only, which is slower"
                    ),
                }
                check.is_ok()
            }
        }
    }

    /// Runs `reads` and watches their keys; the first read loads the records of `ids`. `None` if
    /// that failed; no token if the read cannot be watched.
    pub(super) async fn read_watching(
        &self,
        shard: Shard,
        ids: &[OrderId],
        reads: &Pipeline,
    ) -> Option<(Replies, Option<ReadToken>)> {
        if !self.may_watch(shard).await {
            return None;
        }
        let mut connection = self.pinned.take(self.link.era())?;
        let actions = self.known_actions();
        let was_open = connection.is_open();
        let pipe = self.watching(shard, was_open, &actions, reads);
        let deadline = self.link.deadline();
        let read_at = Instant::now();
        let mut answers = connection.exchange(&self.link, deadline, &pipe).await.ok()?;
        let begun = answers.iter().take(1 + usize::from(was_open));
        if !begun.into_iter().all(|answer| *answer == Value::Okay) {
            // Without DISCARD the open transaction has queued the reads.
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
                Some(ReadToken::new(WatchedRead {
                    connection,
                    shard,
                    now,
                    read_at,
                    versions,
                    actions,
                }))
            }
            _ => None,
        };
        Some((Replies::new(records), token))
    }

    /// Discards the previous transaction, watches, checks the keys of a commit, reads, and opens
    /// the transaction.
    fn watching(
        &self,
        shard: Shard,
        was_open: bool,
        actions: &[ActionName],
        reads: &Pipeline,
    ) -> Pipeline {
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

    /// The shard's time, if all types and counts are right.
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

    /// Commits after a watched read. `None` if nothing was written; then the script must be called.
    pub(super) async fn commit_watched(
        &self,
        read: ReadToken,
        commit: &Commit,
    ) -> Option<CommitResult> {
        let mut read = read.into_read::<WatchedRead>()?;
        let is_ours = self.pinned.owns(&read.connection);
        if !is_ours || read.connection.era() != self.link.era() || !read.allows(commit) {
            return None;
        }
        let writes = Writes::of(&self.keys, commit.shard, &commit.round);
        let mut pipe = Pipeline::with_capacity(writes.list.len() + 1);
        for write in writes.list {
            pipe.add_command(write.command);
        }
        pipe.cmd("EXEC");
        let begun = Instant::now();
        let deadline = self.link.deadline();
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
        self.batch_size.record(commit.round.changes.len(), answered - begun, answered.into_std());
        let Some(why) = answers.iter().find_map(error_text) else {
            return Some(CommitResult::Committed);
        };
        self.script_fallback.begin(answered);
        tracing::error!(
            shard = commit.shard,
            why,
            "a key or a permission was changed during a commit; its failed part is written \
                again"
        );
        let writes = Writes::of(&self.keys, commit.shard, &commit.round);
        let missing = MissingWrites::of(&commit.round, &writes, &answers);
        self.repair(commit.shard, missing, deadline).await;
        let why = format!("a key or a permission was changed during the commit: {why}");
        Some(CommitResult::Unknown(why))
    }
}

/// Whether `HINCRBY` accepts this number.
fn is_count(text: &String) -> bool {
    text.len() <= 16 && text.parse::<i64>().is_ok_and(|number| number.to_string() == *text)
}

fn error_text(answer: &Value) -> Option<String> {
    match answer {
        Value::ServerError(error) => Some(server_text(error)),
        _ => None,
    }
}

/// The existing orders, with the version from each record.
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
    fn after_a_failure_one_caller_checks_every_ten_seconds() {
        let fallback = ScriptFallback::default();
        let start = Instant::now();
        assert_eq!(fallback.check_is_due(start), None);
        fallback.begin(start);
        assert_eq!(fallback.check_is_due(start), Some(false));
        let later = start + CHECK_EVERY;
        assert_eq!(fallback.check_is_due(later), Some(true));
        assert_eq!(fallback.check_is_due(later), Some(false));
        assert_eq!(fallback.check_is_due(later + CHECK_EVERY), Some(true));
        fallback.end();
        assert_eq!(fallback.check_is_due(later), None);
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
