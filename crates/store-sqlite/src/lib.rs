//! The store in one SQLite file: for one machine, with nothing to install.
//!
//! | module | does |
//! |---|---|
//! | [`open`] | one process at a time, and only a file of ours |
//! | [`threads`] | own the connections: one writes, two read; what waits together is committed together |
//! | [`clock`] | the time, and the offset of a store for tests |
//! | [`commit`] | writes what was decided, whole or not at all |
//! | [`read`], [`page`] | orders by id, by due time, and in lists |
//! | [`outbox`] | entries that wait, and dead letters |
//! | [`register`], [`log`] | small facts that all workers share, and capped lists |
//! | [`stats`] | the figures of the whole |

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::{ActionName, OrderId, Revision, Shard, ShardCount, Span, Terms, Time};
use autoreceive_store::{
    About, At, Cas, Claimed, Commit, CommitResult, DueShard, Entry, EntryRef, Format, List, Log,
    Look, NewEntry, OpenError, Operations, Orders, Outbox, Page, Queue, Refusal, Register, Row,
    Settlement, ShardState, Slot, Space, Stats, Store, StoreError, TestClock, View, Which, Why,
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior};

use self::clock::Clock;
use self::commit::Prepared;
use self::page::{Paged, Place};
use self::threads::{Duty, Failure, Threads};

mod clock;
mod commit;
mod log;
mod open;
mod outbox;
mod page;
mod read;
mod register;
mod stats;
#[cfg(test)]
mod tests;
mod threads;

/// Enough that some shards are read and decided while others are written. Part of the layout: every
/// order carries its shard.
const SHARD_COUNT: ShardCount = match ShardCount::new(8) {
    Some(count) => count,
    None => unreachable!(),
};

const WRITER: Duty =
    Duty { name: "sqlite-writer", behavior: TransactionBehavior::Immediate, group: 64 };
const READER: Duty =
    Duty { name: "sqlite-reader", behavior: TransactionBehavior::Deferred, group: 1 };

/// A reader more than is needed to keep the writer busy, so that a long count delays no order.
const READERS: usize = 2;

/// Orders in an SQLite file. What it answered is on the disk. Dropping it waits until the file is
/// closed.
pub struct SqliteStore {
    /// None in memory, where one connection sees the data and does everything. Closed before the
    /// writer, so that the writer can tidy up.
    readers: Option<Threads>,
    writer: Threads,
    clock: Clock,
    /// What every shard is: the file is one store, and nobody pauses it.
    state: Arc<ShardState>,
    /// Signs of life; not in the file, because no other process can be using it.
    workers: Mutex<HashMap<String, Time>>,
    /// Released last.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the file, and makes it where there is none. No call waits longer than `timeout`.
    ///
    /// # Errors
    /// Where another process uses the file, it is not one of ours, another version wrote it in
    /// another layout, or it was created with a test clock. The text says what to do.
    pub fn open(path: &Path, timeout: Duration) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_as(path, timeout, false)
    }

    /// The same for a file whose time can be put forward: one that was created so, or a new one.
    ///
    /// # Errors
    /// The same, and where the file was created without a test clock.
    pub fn open_with_test_clock(path: &Path, timeout: Duration) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_as(path, timeout, true)
    }

    fn open_as(path: &Path, timeout: Duration, test_clock: bool) -> Result<SqliteStore, OpenError> {
        let lock = open::lock(path)?;
        let (writer, clock, identity) = open::writer(path, timeout, test_clock)?;
        let state = Arc::new(ShardState::new(identity, Format::CURRENT));
        let writer = Threads::start(vec![writer], WRITER, timeout).map_err(no_thread)?;
        let readers =
            (0..READERS).map(|_| open::reader(path, timeout)).collect::<Result<_, _>>()?;
        let readers = Threads::start(readers, READER, timeout).map_err(no_thread)?;
        Ok(SqliteStore {
            readers: Some(readers),
            writer,
            clock,
            state,
            workers: Mutex::default(),
            _lock: Some(lock),
        })
    }

    /// A store that is gone when it is dropped, for tests.
    ///
    /// # Errors
    /// Where there is no memory or thread for it.
    pub fn in_memory() -> Result<SqliteStore, OpenError> {
        let (connection, identity) =
            open::memory().map_err(|error| OpenError::Unfit(error.to_string()))?;
        let state = Arc::new(ShardState::new(identity, Format::CURRENT));
        let writer =
            Threads::start(vec![connection], WRITER, Duration::from_secs(5)).map_err(no_thread)?;
        Ok(SqliteStore {
            readers: None,
            writer,
            clock: Clock::real(),
            state,
            workers: Mutex::default(),
            _lock: None,
        })
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection, &Clock) -> rusqlite::Result<T> + Send + 'static,
    {
        let clock = self.clock.clone();
        let threads = self.readers.as_ref().unwrap_or(&self.writer);
        threads.run(move |connection| work(connection, &clock)).await.map_err(unavailable)
    }

    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection, &Clock) -> rusqlite::Result<T> + Send + 'static,
    {
        let clock = self.clock.clone();
        self.writer.run(move |connection| work(connection, &clock)).await.map_err(unavailable)
    }

    async fn commit_one(&self, commit: Commit) -> CommitResult {
        if let Some(result) = self.not_ours(&commit) {
            return result;
        }
        let (prepared, clock) = (Prepared::new(commit), self.clock.clone());
        match self.writer.run(move |connection| prepared.write(connection, clock.now())).await {
            Ok(result) => result,
            Err(Failure::Refused(why)) => CommitResult::Refused(Refusal::Unavailable(why)),
            Err(Failure::Unknown(why)) => CommitResult::Unknown(why),
        }
    }

    /// What becomes of a commit that follows from another store, another layout or other pauses.
    /// None of them can change while the file is open, so the file is not asked.
    fn not_ours(&self, commit: &Commit) -> Option<CommitResult> {
        let (here, there) = (&self.state, &commit.state);
        if (&here.id, here.format) != (&there.id, there.format) {
            let why = format!(
                "this is store {} in layout {}, and what was read came from {} in layout {}",
                here.id.as_str(),
                here.format.0,
                there.id.as_str(),
                there.format.0
            );
            return Some(CommitResult::Refused(Refusal::Gone(why)));
        }
        let other_pauses = commit.epoch.is_some_and(|epoch| epoch != here.epoch);
        other_pauses.then(|| CommitResult::Conflict { losers: Vec::new(), why: Why::Epoch })
    }

    /// An answer of one shard. All of them have the same state.
    fn at<T>(&self, now: Time, value: T) -> At<T> {
        At { now, shard: Arc::clone(&self.state), value }
    }

    /// The answers of one read to each of `count` questions: all of them fail together.
    fn each<T>(
        &self,
        answer: Result<(Time, Vec<T>), StoreError>,
        count: usize,
    ) -> Vec<Result<At<T>, StoreError>> {
        match answer {
            Ok((now, values)) => values.into_iter().map(|value| Ok(self.at(now, value))).collect(),
            Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
        }
    }
}

fn unavailable(failure: Failure) -> StoreError {
    StoreError::Unavailable(failure.into_text())
}

fn no_thread(error: std::io::Error) -> OpenError {
    OpenError::Unfit(format!("cannot start a thread for the store: {error}"))
}

#[async_trait]
impl Orders for SqliteStore {
    async fn load(&self, ids: &[OrderId]) -> Vec<Result<At<Slot>, StoreError>> {
        let (count, ids) = (ids.len(), ids.to_vec());
        let read = move |connection: &Connection, clock: &Clock| {
            let orders = read::load(connection, &ids)?;
            Ok((clock.now(), orders))
        };
        self.each(self.read(read).await, count)
    }

    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError> {
        // All shards share one file, and so what one knows all know.
        let revisions: Vec<Revision> =
            wanted.iter().map(|(_, revision)| revision.clone()).collect();
        self.read(move |connection, _| read::terms(connection, &revisions)).await
    }

    async fn due(&self, looks: &[Look], limit: usize) -> Vec<Result<At<DueShard>, StoreError>> {
        let (count, looks) = (looks.len(), looks.to_vec());
        let read = move |connection: &Connection, clock: &Clock| {
            let now = clock.now();
            Ok((now, read::due(connection, &looks, limit, now)?))
        };
        self.each(self.read(read).await, count)
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitResult> {
        join_all(commits.into_iter().map(|commit| self.commit_one(commit))).await
    }

    async fn list(
        &self,
        view: View,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError> {
        let paged = match (view, cursor) {
            (View::Upcoming, _) => Paged::Upcoming,
            (View::Overdue, _) => Paged::Overdue,
            (View::Held, _) => Paged::Held,
            (View::All, _) => Paged::All,
            (View::Resting, None) => {
                return self
                    .read(move |connection, clock| page::resting(connection, limit, clock.now()))
                    .await;
            }
            (View::Resting, Some(cursor)) => return Err(StoreError::wrong_cursor(cursor)),
            _ => return Err(StoreError::Unavailable(format!("it has no list of {view} orders"))),
        };
        let after = Place::parse(&view.to_string(), cursor)?;
        self.read(move |connection, clock| page::page(connection, paged, after, limit, clock.now()))
            .await
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn claim(
        &self,
        action: &ActionName,
        limit: usize,
        lease: Span,
    ) -> Result<Claimed, StoreError> {
        let action = action.clone();
        self.write(move |connection, clock| {
            outbox::claim(connection, action.as_str(), limit, lease, clock.now())
        })
        .await
    }

    async fn renew(
        &self,
        action: &ActionName,
        entries: &[EntryRef],
        lease: Span,
    ) -> Result<(), StoreError> {
        let (action, entries) = (action.clone(), entries.to_vec());
        self.write(move |connection, clock| {
            outbox::renew(connection, action.as_str(), &entries, clock.now().after(lease))
        })
        .await
    }

    async fn settle(&self, queue: &Queue, done: Vec<Settlement>) -> Result<u64, StoreError> {
        let queue = queue.clone();
        self.write(move |connection, _| outbox::settle(connection, &queue, &done)).await
    }

    async fn put(&self, queue: &Queue, entries: Vec<NewEntry>) -> Result<u64, StoreError> {
        let queue = queue.clone();
        self.write(move |connection, _| outbox::put(connection, &queue, &entries)).await
    }

    async fn entries(&self, queue: &Queue, which: Which<'_>) -> Result<Page<Entry>, StoreError> {
        let queue = queue.clone();
        match which {
            Which::Page { cursor, limit } => {
                let after = Place::parse(&outbox::cursors(&queue), cursor)?;
                self.read(move |connection, clock| {
                    outbox::page(connection, &queue, after, limit, clock.now())
                })
                .await
            }
            Which::Named(names) => {
                let names = names.to_vec();
                self.read(move |connection, clock| {
                    outbox::named(connection, &queue, &names, clock.now())
                })
                .await
            }
        }
    }
}

#[async_trait]
impl Register for SqliteStore {
    async fn get(
        &self,
        space: Space,
        keys: &[String],
    ) -> Result<(Time, Vec<Option<String>>), StoreError> {
        let keys = keys.to_vec();
        self.read(move |connection, clock| {
            Ok((clock.now(), register::get(connection, space, &keys)?))
        })
        .await
    }

    async fn compare_and_set(
        &self,
        space: Space,
        changes: &[Cas<'_>],
    ) -> Result<Vec<bool>, StoreError> {
        let changes: Vec<register::Change> = changes.iter().map(register::Change::from).collect();
        self.write(move |connection, _| register::compare_and_set(connection, space, &changes))
            .await
    }

    async fn heartbeat(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError> {
        let now = clock::machine();
        let mut workers = self.workers.lock();
        workers.insert(me.to_owned(), now);
        workers.retain(|_, seen| now.since(*seen) <= Span::from_hours(1));
        let living = workers.iter().filter(|(_, seen)| now.since(**seen) <= within);
        let mut names: Vec<String> = living.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn leave(&self, me: &str) -> Result<(), StoreError> {
        self.workers.lock().remove(me);
        Ok(())
    }
}

#[async_trait]
impl Log for SqliteStore {
    async fn append(&self, list: &List, rows: &[String], cap: usize) -> Result<(), StoreError> {
        let (list, rows) = (list.clone(), rows.to_vec());
        self.write(move |connection, _| log::append(connection, &list, &rows, cap)).await
    }

    async fn page(
        &self,
        list: &List,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, StoreError> {
        let before = log::before(list, cursor)?;
        let list = list.clone();
        self.read(move |connection, clock| log::page(connection, &list, before, limit, clock.now()))
            .await
    }
}

#[async_trait]
impl Operations for SqliteStore {
    async fn now(&self) -> Result<Time, StoreError> {
        // The time is this machine's; that the file answers is found out by reading from it.
        self.read(|connection, clock| open::identity(connection).map(|_| clock.now())).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.read(|connection, clock| stats::stats(connection, clock.now())).await
    }

    async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        if !self.clock.is_for_tests() {
            return Err(StoreError::NO_TEST_CLOCK);
        }
        let ahead = self
            .write(move |connection, _| clock::advance(connection, by))
            .await?
            .ok_or(StoreError::TOO_FAR)?;
        self.clock.raise(ahead);
        Ok(TestClock { now: self.clock.now(), ahead })
    }
}

impl Store for SqliteStore {
    fn about(&self) -> About {
        About::new(SHARD_COUNT, self.clock.is_for_tests())
    }
}
