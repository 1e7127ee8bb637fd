//! A commit of the timer without a script: what it read is watched, and what follows is written as one transaction, which Redis
//! drops whole where anything that was read has changed since. It takes Redis half the time that the script takes
//! (docs/benchmarks.md). Where it does not fit, or nothing came of it, the script is called.
//!
//! Why it is safe:
//!
//! - A commit goes this way only if every change in it expects the version that was read. The watch begins before that read, on a
//!   connection that nobody else uses in between and that is never made again silently: a new one watches nothing.
//! - Every commit in a shard writes its orders, and those are watched; so is the clock of a store for tests.
//! - `MULTI` is answered before anything is written, so no write stands alone where the right to it was lost. A user without the
//!   right to one of the writes, or a server without memory, fails the transaction whole.
//! - Types are looked at with the read. The outbox alone is not watched, for settling changes it all the time: who replaces it by
//!   hand in these milliseconds loses the entries of this commit with those that were there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use autoreceive_domain::{OrderId, record};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};

use super::RedisStore;
use super::commit::{Columns, Piece};
use super::link::{Failure, server_text};
use super::reply::{Replies, as_text};
use crate::store::{ActionName, Change, Commit, STALE_AFTER, Shard, StoreError, Verdict};

/// The fewest due orders for which it pays.
pub(super) const LEAST: usize = 32;
/// How many reads are watched at a time. With one more the oldest is forgotten, and its commit goes by the script.
const MOST: usize = 16;

/// Connections that watch, or could; the one that was used last is the last.
#[derive(Default)]
pub(super) struct Watches(Mutex<Vec<Watch>>);

struct Watch {
    connection: MultiplexedConnection,
    /// What it watches; the transaction is open then.
    read: Option<Read>,
}

/// What a commit needs of the read that it follows.
struct Read {
    shard: Shard,
    /// The orders in the order in which they were read, with their versions.
    versions: Vec<(OrderId, u64)>,
    counts: HashMap<String, i64>,
    /// The actions whose outbox has the right types.
    actions: Vec<ActionName>,
}

impl Watches {
    /// A connection for a read in `shard`: the one whose read is over with that, one without a read, or the oldest of too many.
    fn take(&self, shard: Shard) -> Option<Watch> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_shard = all.iter().position(|watch| watch.read.as_ref().is_some_and(|read| read.shard == shard));
        let free = of_shard.or_else(|| all.iter().position(|watch| watch.read.is_none()));
        let place = free.or((all.len() >= MOST).then_some(0))?;
        Some(all.remove(place))
    }

    /// The watch of the read that a commit follows from.
    fn take_for(&self, commit: &Commit) -> Option<(MultiplexedConnection, Read)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|watch| watch.read.as_ref().is_some_and(|read| read.is_before(commit)))?;
        let watch = all.remove(place);
        watch.read.map(|read| (watch.connection, read))
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
    /// Reads the records of `ids`, and with `rest` what else is asked for, and watches what was read. None where it cannot be
    /// watched, for whatever reason.
    pub(super) async fn read_watching(&self, shard: Shard, ids: &[OrderId], reads: &Pipeline) -> Option<Replies> {
        let (mut connection, was_open) = match self.watches.take(shard) {
            Some(watch) => (watch.connection, watch.read.is_some()),
            None => (self.link.connect().await.ok()?, false),
        };
        let actions = self.noted_actions();
        let pipe = self.watching(shard, was_open, &actions, reads);
        let mut answers = self.link.exchange(&mut connection, &pipe).await.ok()?;
        let is_open = answers.pop() == Some(Value::Okay);
        let records = answers.split_off(pipe.len() - 1 - reads.len());
        let counts = checked(answers, was_open, actions.len()).ok()??;
        let versions = versions(ids, records.first()?)?;
        if is_open {
            self.watches.put(Watch { connection, read: Some(Read { shard, versions, counts, actions }) });
        }
        Some(Replies::new(records))
    }

    /// Ends the transaction before, watches, looks at what a commit would change, reads, and opens the transaction.
    fn watching(&self, shard: Shard, was_open: bool, actions: &[ActionName], reads: &Pipeline) -> Pipeline {
        let (orders, counts, purge) = (self.keys.orders(shard), self.keys.counts(shard), self.keys.purge(shard));
        let mut pipe = Pipeline::with_capacity(8 + 2 * actions.len());
        if was_open {
            pipe.cmd("DISCARD");
        }
        pipe.cmd("WATCH").arg(orders).arg(self.keys.due(shard)).arg(&counts).arg(&purge).arg(self.keys.clock(shard));
        pipe.cmd("HGETALL").arg(counts);
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

    /// Commits what follows from a watched read. None where nothing was written, and the script is to be called.
    pub(super) async fn commit_watched(&self, commit: &Commit) -> Option<Verdict> {
        let (mut connection, read) = self.watches.take_for(commit)?;
        if self.time.estimate().since(commit.now) > STALE_AFTER {
            return None;
        }
        let pipe = self.transaction(commit, &read.counts);
        let begun = Instant::now();
        let answers = self.link.exchange(&mut connection, &pipe).await;
        self.pace.answered(commit.changes.len(), begun.elapsed());
        match answers {
            Ok(mut answers) => {
                self.watches.put(Watch { connection, read: None });
                outcome(answers.pop()?)
            }
            Err(Failure::Unreachable(why) | Failure::Refused(why)) => Some(Verdict::Refused(why)),
            Err(Failure::Unanswered(why)) => Some(Verdict::Unknown(why)),
        }
    }

    fn transaction(&self, commit: &Commit, counts: &HashMap<String, i64>) -> Pipeline {
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
            let is = |(count, by): (String, i64)| (by + counts.get(&count).unwrap_or(&0), count);
            let set = pipe.cmd("HSET").arg(self.keys.counts(shard));
            moved.map(is).fold(set, |set, (is, count)| set.arg(count).arg(is));
        }
        for note in &commit.notes {
            let ids: Vec<&str> = note.members.iter().filter_map(|&i| Some(commit.changes.get(i as usize)?.id.as_str())).collect();
            pipe.cmd("ZADD").arg(self.keys.purge(shard)).arg(note.look_at.ms()).arg(ids.join("\n"));
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

/// The counts of the shard, where the watch began and everything has its type.
fn checked(answers: Vec<Value>, was_open: bool, actions: usize) -> Result<Option<HashMap<String, i64>>, StoreError> {
    let mut replies = Replies::new(answers);
    let mut is_right = (!was_open || replies.is_okay()) && replies.is_okay();
    let mut fields = replies.nested()?;
    let mut counts = HashMap::new();
    while let Some((count, is)) = fields.pair()? {
        counts.insert(count, is);
    }
    for want in ["zset"].into_iter().chain(["zset", "hash"].into_iter().cycle().take(2 * actions)) {
        is_right &= replies.text()?.is_some_and(|is| is == want || is == "none");
    }
    Ok(is_right.then_some(counts))
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
