//! The store in one SQLite file: for one machine, with nothing to install.
//!
//! | module | does |
//! |---|---|
//! | [`open`] | one process at a time, only a file of ours, brought to the newest layout |
//! | [`threads`] | own the connections: one writes, two read; what waits together is committed together |
//! | [`clock`] | the time, and the offset of a store for tests |
//! | [`commit`] | writes what was decided |
//! | [`outbox`] | claims, renews and settles entries |
//! | [`dead`] | dead letters: shown, replayed, discarded |
//! | [`backfill`] | entries added for orders that there are, and given to another action |
//! | [`circuit`] | how receivers are doing |
//! | [`read`], [`page`] | read |
//! | [`remembered`] | names that are kept in mind |

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::{Circuit, Event, OrderId, Revision, ShardCount, Span, Terms, Time};
use futures_util::future::join_all;
use rusqlite::{Connection, TransactionBehavior};

use self::clock::Clock;
use self::commit::Prepared;
use self::page::Place;
use self::threads::{Duty, Failure, Threads};
use autoreceive_store::{
    ActionName, Claimed, Commit, DeadLetter, DeadPage, Due, EntryRef, Heads, Loaded, Look, OpenError, Page, Relocated, Resolution, Rested,
    Scan, Settlement, Shard, Stats, Store, StoreError, TestClock, Verdict, View,
};

mod backfill;
mod circuit;
mod clock;
mod commit;
mod dead;
mod open;
mod outbox;
mod page;
mod read;
mod remembered;
#[cfg(test)]
mod tests;
mod threads;

/// Enough that some shards are read and decided while others are written. Part of the layout: every order carries its shard.
const SHARDS: Shard = 8;
const SHARD_COUNT: ShardCount = match ShardCount::new(SHARDS) {
    Some(count) => count,
    None => unreachable!(),
};

const WRITER: Duty = Duty { name: "sqlite-writer", behavior: TransactionBehavior::Immediate, group: 64 };
const READER: Duty = Duty { name: "sqlite-reader", behavior: TransactionBehavior::Deferred, group: 1 };

/// A reader more than is needed to keep the writer busy, so that a long count delays no order.
const READERS: usize = 2;

/// Orders in an SQLite file. What it answered is on the disk. Dropping it waits until the file is closed.
pub struct SqliteStore {
    /// None in memory, where one connection sees the data and does everything. Closed before the writer, so that the
    /// writer can tidy up.
    readers: Option<Threads>,
    writer: Threads,
    clock: Clock,
    /// Signs of life; not in the file, because no other process can be using it.
    workers: Mutex<HashMap<String, Time>>,
    /// Released last.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the file, and makes it where there is none. No call waits longer than `timeout`.
    ///
    /// # Errors
    /// Where another process uses the file, it is not one of ours, a newer version wrote it, or it was created with a test
    /// clock. The text says what to do.
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
        let (writer, clock) = open::writer(path, timeout, test_clock)?;
        let writer = Threads::start(vec![writer], WRITER, timeout).map_err(no_thread)?;
        let readers = (0..READERS).map(|_| open::reader(path, timeout)).collect::<Result<_, _>>()?;
        let readers = Threads::start(readers, READER, timeout).map_err(no_thread)?;
        Ok(SqliteStore { readers: Some(readers), writer, clock, workers: Mutex::default(), _lock: Some(lock) })
    }

    /// A store that is gone when it is dropped, for tests.
    ///
    /// # Errors
    /// Where there is no memory or thread for it.
    pub fn in_memory() -> Result<SqliteStore, OpenError> {
        let connection = open::memory().map_err(|error| OpenError::Unfit(error.to_string()))?;
        let writer = Threads::start(vec![connection], WRITER, Duration::from_secs(5)).map_err(no_thread)?;
        Ok(SqliteStore { readers: None, writer, clock: Clock::real(), workers: Mutex::default(), _lock: None })
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

    async fn commit_one(&self, commit: Arc<Commit>) -> Verdict {
        let (prepared, clock) = (Prepared::new(commit), self.clock.clone());
        match self.writer.run(move |connection| prepared.write(connection, clock.now())).await {
            Ok(losers) => Verdict::Done { losers },
            Err(Failure::Refused(why)) => Verdict::Refused(why),
            Err(Failure::Unknown(why)) => Verdict::Unknown(why),
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
impl Store for SqliteStore {
    fn shards(&self) -> Shard {
        SHARDS
    }

    fn shard_of(&self, id: &OrderId) -> Shard {
        SHARD_COUNT.of(id)
    }

    /// Nobody else writes to the file, and who reads it does not wait for writers.
    fn at_once(&self) -> usize {
        usize::MAX
    }

    async fn load(&self, ids: &[OrderId]) -> Result<Loaded, StoreError> {
        let ids = ids.to_vec();
        self.read(move |connection, clock| read::load(connection, &ids, clock)).await
    }

    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError> {
        // All shards share one file, and so what one knows all know.
        let revisions: Vec<Revision> = wanted.iter().map(|(_, revision)| revision.clone()).collect();
        self.read(move |connection, _| read::terms(connection, &revisions)).await
    }

    async fn commit(&self, commits: Vec<Arc<Commit>>) -> Vec<Verdict> {
        join_all(commits.into_iter().map(|commit| self.commit_one(commit))).await
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        self.read(read::heads).await
    }

    async fn due(&self, looks: &[Look], limit: usize) -> Result<Due, StoreError> {
        let looks = looks.to_vec();
        self.read(move |connection, clock| read::due(connection, &looks, limit, clock.now())).await
    }

    async fn rested(&self, limit: usize) -> Result<Rested, StoreError> {
        self.read(move |connection, clock| read::rested(connection, limit, clock.now())).await
    }

    async fn claim(&self, action: &ActionName, limit: usize, lease: Span) -> Result<Claimed, StoreError> {
        let action = ActionName::clone(action);
        let leased = self.write(move |connection, clock| outbox::claim(connection, action.as_str(), limit, lease, clock.now())).await?;
        Ok(leased.read())
    }

    async fn settle(&self, action: &ActionName, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        let action = ActionName::clone(action);
        self.write(move |connection, _| outbox::settle(connection, action.as_str(), &settlements)).await
    }

    async fn renew(&self, action: &ActionName, entries: &[EntryRef], lease: Span) -> Result<(), StoreError> {
        let (action, entries) = (ActionName::clone(action), entries.to_vec());
        self.write(move |connection, clock| outbox::renew(connection, action.as_str(), &entries, clock.now().after(lease))).await
    }

    async fn dead_page(&self, action: &ActionName, cursor: Option<&str>, limit: usize) -> Result<DeadPage, StoreError> {
        let action = ActionName::clone(action);
        let after = Place::parse(&dead::list(action.as_str()), cursor)?;
        self.read(move |connection, clock| dead::page(connection, action.as_str(), after, limit, clock.now())).await
    }

    async fn dead_letters(&self, action: &ActionName, letters: &[EntryRef]) -> Result<Vec<DeadLetter>, StoreError> {
        let (action, letters) = (ActionName::clone(action), letters.to_vec());
        self.read(move |connection, _| dead::find(connection, action.as_str(), &letters)).await
    }

    async fn resolve(&self, action: &ActionName, letters: &[EntryRef], how: Resolution) -> Result<u64, StoreError> {
        let (action, letters) = (ActionName::clone(action), letters.to_vec());
        self.write(move |connection, clock| dead::resolve(connection, action.as_str(), &letters, how, clock.now())).await
    }

    async fn add(&self, action: &ActionName, events: Vec<Event>) -> Result<u64, StoreError> {
        let action = ActionName::clone(action);
        let events: Vec<(Shard, Event)> = events.into_iter().map(|event| (self.shard_of(&event.0.id), event)).collect();
        self.write(move |connection, clock| backfill::add(connection, action.as_str(), &events, clock.now())).await
    }

    async fn relocate(&self, from: &ActionName, to: Option<&ActionName>, limit: usize) -> Result<Relocated, StoreError> {
        let (from, to) = (ActionName::clone(from), to.cloned());
        self.write(move |connection, _| backfill::relocate(connection, from.as_str(), to.as_ref().map(ActionName::as_str), limit)).await
    }

    async fn circuit(&self, action: &ActionName) -> Result<(Time, Circuit), StoreError> {
        let action = ActionName::clone(action);
        self.read(move |connection, clock| circuit::of(connection, action.as_str(), clock.now())).await
    }

    async fn set_circuit(&self, action: &ActionName, known: Option<&Circuit>, next: &Circuit) -> Result<bool, StoreError> {
        let (action, known, next) = (ActionName::clone(action), known.cloned(), next.clone());
        self.write(move |connection, _| circuit::set(connection, action.as_str(), known.as_ref(), &next)).await
    }

    async fn scan(&self, cursor: Option<&str>, limit: usize) -> Result<Scan, StoreError> {
        let after = backfill::place(cursor)?;
        self.read(move |connection, clock| backfill::scan(connection, after, limit, clock.now())).await
    }

    async fn page(&self, view: View, cursor: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let after = Place::parse(&view.to_string(), cursor)?;
        self.read(move |connection, clock| page::page(connection, view, after, limit, clock.now())).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.read(|connection, clock| page::stats(connection, clock.now())).await
    }

    fn has_test_clock(&self) -> bool {
        self.clock.is_for_tests()
    }

    async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        if !self.has_test_clock() {
            return Err(StoreError::NO_TEST_CLOCK);
        }
        let ahead = self.write(move |connection, _| clock::advance(connection, by)).await?.ok_or(StoreError::TOO_FAR)?;
        self.clock.raise(ahead);
        Ok(TestClock { now: self.clock.now(), ahead })
    }

    async fn remember(&self, names: &[String]) -> Result<(), StoreError> {
        let names = names.to_vec();
        self.write(move |connection, _| remembered::remember(connection, &names)).await
    }

    async fn remembered(&self, names: &[String]) -> Result<Vec<bool>, StoreError> {
        let names = names.to_vec();
        self.read(move |connection, _| remembered::remembered(connection, &names)).await
    }

    async fn forget(&self, names: &[String]) -> Result<(), StoreError> {
        let names = names.to_vec();
        self.write(move |connection, _| remembered::forget(connection, &names)).await
    }

    async fn workers(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError> {
        let now = clock::machine();
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.insert(me.to_owned(), now);
        workers.retain(|_, seen| now.since(*seen) <= Span::from_hours(1));
        let living = workers.iter().filter(|(_, seen)| now.since(**seen) <= within);
        let mut names: Vec<String> = living.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn leave(&self, me: &str) -> Result<(), StoreError> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).remove(me);
        Ok(())
    }
}
