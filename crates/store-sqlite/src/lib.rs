//! The store in one SQLite file: for one machine, without a server.
//!
//! | module | does |
//! |---|---|
//! | [`open`] | checks and locks the file |
//! | [`threads`] | own the connections: one writer, two readers; waiting jobs share a commit |
//! | [`clock`] | the time, and the offset of a test clock |
//! | [`commit`] | writes a round, all or nothing |
//! | [`read`], [`page`] | orders by id, by due time, and in lists |
//! | [`outbox`] | pending entries and dead letters |
//! | [`register`], [`log`] | small values that all workers share, and capped lists |
//! | [`stats`] | the store's figures |

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

use self::clock::StoreClock;
use self::commit::PreparedCommit;
use self::page::{PagedView, RowPosition};
use self::threads::{JobError, ThreadSettings, Threads};

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

/// Enough to read and decide some shards while others are written. Part of the layout, because
/// every order has its shard.
const SHARD_COUNT: ShardCount = match ShardCount::new(8) {
    Some(count) => count,
    None => unreachable!(),
};

const WRITER: ThreadSettings =
    ThreadSettings { name: "sqlite-writer", behavior: TransactionBehavior::Immediate, group: 64 };
const READER: ThreadSettings =
    ThreadSettings { name: "sqlite-reader", behavior: TransactionBehavior::Deferred, group: 1 };

/// One more reader than the writer needs, so that a long count delays no order.
const READERS: usize = 2;

/// Orders in an SQLite file. Every acknowledged write is on the disk. Dropping the store waits
/// until the file is closed.
pub struct SqliteStore {
    /// `None` for a store in memory, which has one connection for everything. Closed before the
    /// writer, so that the writer can checkpoint.
    readers: Option<Threads>,
    writer: Threads,
    clock: StoreClock,
    /// The state of every shard; the file is one store, without pauses.
    state: Arc<ShardState>,
    /// The workers' heartbeats. Not in the file, because no other process can use it.
    workers: Mutex<HashMap<String, Time>>,
    /// Dropped last.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the file, or creates it. No call waits longer than `timeout`.
    ///
    /// # Errors
    /// If another process uses the file, another program or another layout wrote it, or it was
    /// created with a test clock. The text says what to do.
    pub fn open(path: &Path, timeout: Duration) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_as(path, timeout, false)
    }

    /// The same for a file with a test clock: one that was created with it, or a new one.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`], and if the file was created without a test clock.
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

    /// A store in memory, for tests. Its data is lost when it is dropped.
    ///
    /// # Errors
    /// If there is no memory or thread for it.
    pub fn in_memory() -> Result<SqliteStore, OpenError> {
        let (connection, identity) =
            open::memory().map_err(|error| OpenError::Unfit(error.to_string()))?;
        let state = Arc::new(ShardState::new(identity, Format::CURRENT));
        let writer =
            Threads::start(vec![connection], WRITER, Duration::from_secs(5)).map_err(no_thread)?;
        Ok(SqliteStore {
            readers: None,
            writer,
            clock: StoreClock::real(),
            state,
            workers: Mutex::default(),
            _lock: None,
        })
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection, &StoreClock) -> rusqlite::Result<T> + Send + 'static,
    {
        let clock = self.clock.clone();
        let threads = self.readers.as_ref().unwrap_or(&self.writer);
        threads.run(move |connection| work(connection, &clock)).await.map_err(unavailable)
    }

    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection, &StoreClock) -> rusqlite::Result<T> + Send + 'static,
    {
        let clock = self.clock.clone();
        self.writer.run(move |connection| work(connection, &clock)).await.map_err(unavailable)
    }

    async fn commit_one(&self, commit: Commit) -> CommitResult {
        if let Some(result) = self.not_ours(&commit) {
            return result;
        }
        let prepared = PreparedCommit::new(commit);
        let clock = self.clock.clone();
        match self.writer.run(move |connection| prepared.write(connection, clock.now())).await {
            Ok(result) => result,
            Err(JobError::Refused(why)) => CommitResult::Refused(Refusal::Unavailable(why)),
            Err(JobError::Unknown(why)) => CommitResult::Unknown(why),
        }
    }

    /// The result of a commit for another store, layout or pause state. These cannot change while
    /// the file is open, so no read is needed.
    fn not_ours(&self, commit: &Commit) -> Option<CommitResult> {
        let here = &self.state;
        let there = &commit.state;
        if here.id != there.id || here.format != there.format {
            let why = format!(
                "the commit was decided on another store: expected store {} with layout {}, \
                    found {} with layout {}",
                there.id.as_str(),
                there.format.0,
                here.id.as_str(),
                here.format.0
            );
            return Some(CommitResult::Refused(Refusal::Gone(why)));
        }
        let other_pauses = commit.epoch.is_some_and(|epoch| epoch != here.epoch);
        other_pauses.then(|| CommitResult::Conflict { losers: Vec::new(), why: Why::Epoch })
    }

    /// An answer of one shard. All shards have the same state.
    fn at<T>(&self, now: Time, value: T) -> At<T> {
        At { now, shard: Arc::clone(&self.state), value }
    }

    /// The answers to `count` questions of one read, which fail together.
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

fn unavailable(failure: JobError) -> StoreError {
    StoreError::Unavailable(failure.into_text())
}

fn no_thread(error: std::io::Error) -> OpenError {
    OpenError::Unfit(format!("cannot start a thread for the store: {error}"))
}

#[async_trait]
impl Orders for SqliteStore {
    async fn load(&self, ids: &[OrderId]) -> Vec<Result<At<Slot>, StoreError>> {
        let count = ids.len();
        let ids = ids.to_vec();
        let read = move |connection: &Connection, clock: &StoreClock| {
            let orders = read::load(connection, &ids)?;
            Ok((clock.now(), orders))
        };
        self.each(self.read(read).await, count)
    }

    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError> {
        // All shards are in one file, so the revisions are enough.
        let revisions: Vec<Revision> =
            wanted.iter().map(|(_, revision)| revision.clone()).collect();
        self.read(move |connection, _| read::terms(connection, &revisions)).await
    }

    async fn due(&self, looks: &[Look], limit: usize) -> Vec<Result<At<DueShard>, StoreError>> {
        let count = looks.len();
        let looks = looks.to_vec();
        let read = move |connection: &Connection, clock: &StoreClock| {
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
            (View::Upcoming, _) => PagedView::Upcoming,
            (View::Overdue, _) => PagedView::Overdue,
            (View::Held, _) => PagedView::Held,
            (View::All, _) => PagedView::All,
            (View::Resting, None) => {
                return self
                    .read(move |connection, clock| page::resting(connection, limit, clock.now()))
                    .await;
            }
            (View::Resting, Some(cursor)) => return Err(StoreError::wrong_cursor(cursor)),
            _ => {
                let why = format!("this version has no list of {view} orders");
                return Err(StoreError::Unavailable(why));
            }
        };
        let after = RowPosition::parse(&view.to_string(), cursor)?;
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
        let action = action.clone();
        let entries = entries.to_vec();
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
                let after = RowPosition::parse(&outbox::cursors(&queue), cursor)?;
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
        let changes: Vec<register::OwnedCas> =
            changes.iter().map(register::OwnedCas::from).collect();
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
        let list = list.clone();
        let rows = rows.to_vec();
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
        // The time is this machine's. The read checks that the file answers.
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
