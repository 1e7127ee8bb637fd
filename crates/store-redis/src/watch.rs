//! A commit of the timer without a script: what it read is watched, and what follows is written as one transaction, which Redis
//! drops whole where anything that was read has changed since. It takes Redis half the time that the script takes
//! (docs/benchmarks.md). Where it does not fit, or nothing came of it, the script is called.
//!
//! Why it is safe:
//!
//! - A commit goes this way only if every change in it expects the version that was read. The watch begins before that read, on a
//!   connection that nobody else uses in between and that is never made again silently: a new one watches nothing.
//! - Every commit in a shard writes its orders, and those are watched; so is the clock of a store for tests.
//! - `MULTI` is answered before anything is written, so no write stands alone where the right to it was lost before. A user without
//!   the right to one of the writes, or a server without memory, fails the transaction whole.
//! - Types are looked at with the read, and all but the outbox's are watched: settling changes that all the time.
//! - The time is read again with the orders, so that a clock that was moved, or a worker that was stopped, is noticed as by the script.
//!
//! What the script does and this cannot: Redis looks at rights and types of a transaction command by command. An operator who takes
//! a right away, or puts something else in the place of an outbox, in the moment in which a transaction is on its way, may leave
//! its orders received without their entry. The commit's outcome is called unknown then, and the log says what was in the way.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use autoreceive_domain::{OrderId, Time, record};
use autoreceive_redis_connection::redis::{Cmd, Pipeline, Value};
use autoreceive_redis_connection::{DedicatedConnection, Failure, server_text};
use tokio::time::Instant;

use super::RedisStore;
use super::commit::{Columns, Piece};
use super::reply::{Replies, as_text};
use autoreceive_store::now::span;
use autoreceive_store::{ActionName, Change, Commit, STALE_AFTER, Shard, StoreError, Verdict};

/// The fewest due orders for which it pays.
pub(super) const LEAST: usize = 32;
/// How many reads are watched at a time. With one more the oldest is forgotten, and its commit goes by the script.
const MOST: usize = 16;
/// For how long a connection that nobody needs is trusted: one can be cut off without a word.
const IDLE: Duration = Duration::from_secs(10);

/// How many there are of what is counted.
type Counts = HashMap<String, i64>;

/// Connections that watch, or could; the one that was used last is the last.
#[derive(Default)]
pub(super) struct Watches(Mutex<Vec<Watch>>);

struct Watch {
    connection: DedicatedConnection,
    /// How often the server was gone before it was made.
    era: u64,
    used: Instant,
    /// What it watches; the transaction is open then.
    read: Option<Read>,
}

/// What a commit needs of the read that it follows.
struct Read {
    shard: Shard,
    /// The store's time.
    now: Time,
    /// The orders in the order in which they were read, with their versions.
    versions: Vec<(OrderId, u64)>,
    counts: Counts,
    /// The actions whose outbox has the right types.
    actions: Vec<ActionName>,
}

impl Watches {
    /// A connection for a read in `shard`: the one whose read is over with that, one without a read, or the oldest of too many.
    fn take(&self, era: u64, shard: Shard) -> Option<Watch> {
        let mut all = self.trusted(era);
        let of_shard = all.iter().position(|watch| watch.read.as_ref().is_some_and(|read| read.shard == shard));
        let free = of_shard.or_else(|| all.iter().position(|watch| watch.read.is_none()));
        let place = free.or((all.len() >= MOST).then_some(0))?;
        Some(all.remove(place))
    }

    /// The watch of the read that a commit follows from.
    fn take_for(&self, era: u64, commit: &Commit) -> Option<(Watch, Read)> {
        let mut all = self.trusted(era);
        let place = all.iter().position(|watch| watch.read.as_ref().is_some_and(|read| read.is_before(commit)))?;
        let mut watch = all.remove(place);
        watch.read.take().map(|read| (watch, read))
    }

    fn trusted(&self, era: u64) -> MutexGuard<'_, Vec<Watch>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|watch| watch.era == era && watch.used.elapsed() < IDLE);
        all
    }

    fn put(&self, watch: Watch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(watch);
    }
}

impl Read {
    /// Whether a commit consists of nothing but orders that were read and are kept, and what follows from them.
    fn is_before(&self, commit: &Commit) -> bool {
        let mut versions = self.versions.iter();
        let mut was_read = |change: &Change| versions.any(|(id, version)| *id == change.id && *version == change.expected);
        // An order that was held once may stand in the list of the held.
        let is_plain = |change: &Change| change.order.as_ref().is_some_and(|order| order.holds.is_empty());
        self.shard == commit.shard
            && commit.changes.len() >= LEAST
            && commit.policies.is_empty()
            && commit.notes_done.is_empty()
            && commit.entries.iter().all(|entry| self.actions.contains(&entry.action))
            && commit.changes.iter().all(|change| was_read(change) && is_plain(change))
    }
}

impl RedisStore {
    /// Reads the records of `ids`, and with `reads` what else is asked for, and watches what was read. None where it cannot be
    /// watched, for whatever reason.
    pub(super) async fn read_watching(&self, shard: Shard, ids: &[OrderId], reads: &Pipeline) -> Option<Replies> {
        let (deadline, era) = (self.link.deadline(), self.link.era());
        let (mut connection, was_open) = match self.watches.take(era, shard) {
            Some(watch) => (watch.connection, watch.read.is_some()),
            None => (self.link.connect_by(deadline).await.ok()?, false),
        };
        let actions = self.noted_actions();
        let pipe = self.watching(shard, was_open, &actions, reads);
        let used = Instant::now();
        let mut answers = connection.exchange(deadline, &pipe).await.ok()?;
        let is_open = answers.pop() == Some(Value::Okay);
        let records = answers.split_off(pipe.len() - 1 - reads.len());
        let (now, counts) = self.checked(answers, was_open, actions.len()).ok()??;
        let versions = versions(ids, records.first()?)?;
        if is_open {
            self.watches.put(Watch { connection, era, used, read: Some(Read { shard, now, versions, counts, actions }) });
        }
        Some(Replies::new(records))
    }

    /// Ends the transaction before, watches, looks at what a commit would change, reads, and opens the transaction.
    fn watching(&self, shard: Shard, was_open: bool, actions: &[ActionName], reads: &Pipeline) -> Pipeline {
        let (due, counts, purge) = (self.keys.due(shard), self.keys.counts(shard), self.keys.purge(shard));
        let mut pipe = Pipeline::with_capacity(12 + 2 * actions.len());
        if was_open {
            pipe.cmd("DISCARD");
        }
        pipe.cmd("WATCH").arg(self.keys.orders(shard)).arg(&due).arg(&counts).arg(&purge).arg(self.keys.clock(shard));
        self.ask_time(&mut pipe);
        pipe.cmd("HGETALL").arg(counts);
        pipe.cmd("TYPE").arg(due);
        pipe.cmd("TYPE").arg(purge);
        for action in actions {
            pipe.cmd("TYPE").arg(self.keys.out(shard, action));
            pipe.cmd("TYPE").arg(self.keys.outdata(shard, action));
        }
        reads.cmd_iter().for_each(|read| {
            pipe.add_command(read.clone());
        });
        pipe.cmd("MULTI");
        pipe
    }

    /// The time and the counts of the shard, where the watch began and everything has its type.
    fn checked(&self, answers: Vec<Value>, was_open: bool, actions: usize) -> Result<Option<(Time, Counts)>, StoreError> {
        let mut replies = Replies::new(answers);
        let mut is_right = (!was_open || replies.is_okay()) && replies.is_okay();
        let now = self.time_of(&mut replies)?;
        let mut fields = replies.nested()?;
        let mut counts = Counts::new();
        while let Some((count, is)) = fields.pair()? {
            counts.insert(count, is);
        }
        for want in ["zset", "zset"].into_iter().chain(["zset", "hash"].into_iter().cycle().take(2 * actions)) {
            is_right &= replies.text()?.is_some_and(|is| is == want || is == "none");
        }
        Ok(is_right.then_some((now, counts)))
    }

    /// Commits what follows from a watched read. None where nothing was written, and the script is to be called.
    pub(super) async fn commit_watched(&self, commit: &Commit) -> Option<Verdict> {
        let (mut watch, read) = self.watches.take_for(self.link.era(), commit)?;
        let now = read.now.after(span(watch.used.elapsed()));
        if now.since(commit.now).max(commit.now.since(now)) > STALE_AFTER {
            return None;
        }
        let pipe = self.transaction(commit, &read.counts);
        watch.used = Instant::now();
        let answers = watch.connection.exchange(self.link.deadline(), &pipe).await;
        let took = watch.used.elapsed();
        match answers {
            Ok(mut answers) => {
                self.watches.put(watch);
                let outcome = outcome(answers.pop()?)?;
                self.pace.answered(commit.changes.len(), took);
                Some(outcome)
            }
            Err(Failure::Unreachable(why) | Failure::Refused(why)) => Some(Verdict::Refused(why.into())),
            Err(Failure::Unanswered(why)) => {
                self.pace.answered(commit.changes.len(), took);
                Some(Verdict::Unknown(why.into()))
            }
        }
    }

    fn transaction(&self, commit: &Commit, counts: &Counts) -> Pipeline {
        let (columns, lines, shard) = (Columns::new(commit), Lines::of(commit), commit.shard);
        let mut pipe = Pipeline::with_capacity(8);
        let mut set = Cmd::with_capacity(2 + 2 * commit.changes.len(), 64 + lines.text.len());
        set.arg("HSET").arg(self.keys.orders(shard));
        lines.iter().for_each(|(id, record)| {
            set.arg(id).arg(record);
        });
        pipe.add_command(set);
        write_wakes(&mut pipe, &self.keys.due(shard), commit);
        let mut moved = columns.sums().into_iter().filter(|(_, by)| *by != 0).peekable();
        if moved.peek().is_some() {
            let is = |(count, by): (String, i64)| (by.saturating_add(*counts.get(&count).unwrap_or(&0)), count);
            let set = pipe.cmd("HSET").arg(self.keys.counts(shard));
            moved.map(is).fold(set, |set, (is, count)| set.arg(count).arg(is));
        }
        for note in &commit.notes {
            let ids: Vec<&str> = note.members.iter().filter_map(|&i| Some(commit.changes.get(i as usize)?.id.as_str())).collect();
            if !ids.is_empty() {
                pipe.cmd("ZADD").arg(self.keys.purge(shard)).arg(note.look_at.ms()).arg(ids.join("\n"));
            }
        }
        for entry in &commit.entries {
            let pieces = columns.event_pieces(&entry.members);
            let text = lines.text(&pieces);
            if !text.is_empty() {
                pipe.cmd("HSET").arg(self.keys.outdata(shard, &entry.action)).arg(&entry.id).arg(&*text);
                pipe.cmd("ZADD").arg(self.keys.out(shard, &entry.action)).arg(entry.at.ms()).arg(&entry.id);
            }
        }
        pipe.cmd("EXEC");
        pipe
    }
}

fn write_wakes(pipe: &mut Pipeline, key: &str, commit: &Commit) {
    let wakes = commit.changes.iter().filter_map(|change| Some((change.id.as_str(), change.order.as_ref()?.wake())));
    let (waking, resting): (Vec<_>, Vec<_>) = wakes.partition(|(_, wake)| wake.is_some());
    if !waking.is_empty() {
        let moments = waking.into_iter().filter_map(|(id, wake)| Some((wake?.ms(), id)));
        moments.fold(pipe.cmd("ZADD").arg(key), |add, (at, id)| add.arg(at).arg(id));
    }
    if !resting.is_empty() {
        resting.into_iter().fold(pipe.cmd("ZREM").arg(key), |remove, (id, _)| remove.arg(id));
    }
}

/// The orders that there are, with the version that each record begins with.
fn versions(ids: &[OrderId], records: &Value) -> Option<Vec<(OrderId, u64)>> {
    let version = |record: &Value| as_text(record)?.split_once('|')?.0.parse().ok();
    let Value::Array(records) = records else { return None };
    Some(ids.iter().zip(records).filter_map(|(id, record)| Some((id.clone(), version(record)?))).collect())
}

/// What `EXEC` answered. None where nothing was written.
fn outcome(answer: Value) -> Option<Verdict> {
    let Value::Array(answers) = answer else { return None };
    let error = answers.into_iter().find_map(|answer| match answer {
        Value::ServerError(error) => Some(server_text(&error)),
        _ => None,
    });
    match error {
        None => Some(Verdict::Done { losers: Vec::new() }),
        Some(why) => Some(Verdict::Unknown(format!("a key or a right was changed by hand while orders were committed: {why}"))),
    }
}

/// The records of a commit as an entry has them, an id and its record on a line each.
struct Lines {
    text: String,
    /// Where each id begins and ends, and where its record ends.
    places: Vec<[usize; 3]>,
}

impl Lines {
    fn of(commit: &Commit) -> Lines {
        let mut lines = Lines { text: String::with_capacity(commit.changes.len() * 160), places: Vec::with_capacity(commit.changes.len()) };
        for change in &commit.changes {
            let begin = lines.text.len();
            lines.text.push_str(change.id.as_str());
            let id_end = lines.text.len();
            lines.text.push('\n');
            change.order.iter().for_each(|order| record::write(&mut lines.text, order));
            lines.places.push([begin, id_end, lines.text.len()]);
            lines.text.push('\n');
        }
        lines
    }

    /// Each id with its record.
    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.places.iter().map(|&[begin, id_end, end]| (&self.text[begin..id_end], &self.text[id_end + 1..end]))
    }

    /// The text of an entry. All changes are kept, so positions are indices.
    fn text<'a>(&'a self, pieces: &'a [Piece]) -> Cow<'a, str> {
        let piece = |piece: &'a Piece| match piece {
            Piece::Range(first, last) => &self.text[self.places[*first][0]..self.places[*last][2]],
            Piece::Text(_, text) => text,
        };
        match pieces {
            [one] => Cow::Borrowed(piece(one)),
            _ => Cow::Owned(pieces.iter().map(piece).collect::<Vec<_>>().join("\n")),
        }
    }
}
