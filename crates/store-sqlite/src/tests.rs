//! What can be brought about only from inside: a full disk, and jobs that wait together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use autoreceive_domain::decide::decide_place;
use autoreceive_domain::{Decision, Event, Place, Policy};
use rusqlite::TransactionBehavior;
use tempfile::tempdir;

use super::clock::machine;
use super::*;
use autoreceive_store::{Change, Members, NewEntry};

/// A new order of about 5 KB with its entry.
fn large_commit(store: &SqliteStore, id: &str) -> Commit {
    let id: OrderId = id.parse().unwrap();
    let policy = Policy::new("default", Terms::default()).unwrap();
    let data = autoreceive_domain::words::Data::new(&format!("\"{}\"", "x".repeat(4_000))).unwrap();
    let place = Place::new().data(data);
    let decision = decide_place(&id, &place, machine(), &policy);
    let Decision::Changed(order) = decision else { panic!("not placed") };
    let event = Event(Arc::clone(&order));
    let entry = NewEntry { action: "sync".parse().unwrap(), id: format!("e-{id}"), at: machine(), members: Members::All };
    Commit {
        shard: store.shard_of(&id),
        now: machine(),
        changes: vec![Change { id, expected: 0, was: None, order: Some(order), events: vec![event] }],
        entries: vec![entry],
        policies: Vec::new(),
        notes: Vec::new(),
        notes_done: Vec::new(),
    }
}

#[tokio::test]
async fn what_finds_the_disk_full_is_refused_whole_and_later_commits_succeed() {
    let directory = tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("orders.db"), Duration::from_secs(30)).unwrap();
    let limit_pages = |pages: u32| store.write(move |connection, _| connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")));
    limit_pages(40).await.unwrap();
    let (mut done, mut refused) = (0, 0);
    for round in 0..20 {
        let commits = (0..4).map(|i| large_commit(&store, &format!("A-{round}-{i}"))).map(Into::into).collect();
        for verdict in store.commit(commits).await {
            match verdict {
                Verdict::Done { losers } => done += u64::from(losers.is_empty()),
                Verdict::Refused(why) => refused += u64::from(why.contains("full")),
                Verdict::Unknown(why) => panic!("{why}"),
            }
        }
    }
    assert!(done > 2 && refused > 40 && done + refused == 80, "{done} done, {refused} refused");
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.orders[0].1, stats.actions[0].pending), (done, done));

    limit_pages(100_000).await.unwrap();
    let again = large_commit(&store, "again");
    assert_eq!(store.commit(vec![again.into()]).await, [Verdict::Done { losers: Vec::new() }]);
}

/// A thread that writes to a table of numbers, and is kept waiting until something is sent.
async fn numbers() -> (Threads, mpsc::Sender<()>) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE numbers (number INTEGER UNIQUE)").unwrap();
    let threads = Threads::start(vec![connection], WRITER, Duration::from_secs(30)).unwrap();
    let (go, wait) = mpsc::channel();
    let (wait, (started, begun)) = (Mutex::new(wait), tokio::sync::oneshot::channel());
    let started = Mutex::new(Some(started));
    let blocker = threads.run(move |_| {
        let _ = started.lock().unwrap().take().unwrap().send(());
        let _ = wait.lock().unwrap().recv();
        Ok(())
    });
    tokio::select! {
        _ = blocker => panic!("the thread was not kept waiting"),
        _ = begun => {}
    }
    (threads, go)
}

fn insert(connection: &Connection, number: i64) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO numbers VALUES (?)", [number])
}

fn all(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection.prepare("SELECT number FROM numbers ORDER BY number")?.query_map([], |row| row.get(0))?.collect()
}

/// SQLite forgets `defer_foreign_keys` at the end of a transaction, so it shows whether two jobs share one.
#[tokio::test]
async fn what_waits_together_is_one_transaction() {
    let (threads, go) = numbers().await;
    let mark = threads.run(|connection| connection.execute_batch("PRAGMA defer_foreign_keys = ON"));
    let look = || threads.run(|connection| connection.query_row("PRAGMA defer_foreign_keys", [], |row| row.get::<_, bool>(0)));
    let (mark, together, ()) = tokio::join!(mark, look(), async { go.send(()).unwrap() });
    assert!(mark.is_ok() && together.unwrap());
    assert!(!look().await.unwrap());
}

#[tokio::test]
async fn a_job_that_fails_harms_no_other_of_its_group() {
    let (threads, go) = numbers().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let good = threads.run(move |connection| {
        counted.fetch_add(1, Ordering::Relaxed);
        insert(connection, 1)
    });
    let twice = threads.run(|connection| insert(connection, 2).and_then(|_| insert(connection, 2)));
    let late = threads.run(|connection| insert(connection, 3));
    let (good, twice, late, ()) = tokio::join!(good, twice, late, async { go.send(()).unwrap() });
    assert_eq!((good.unwrap(), late.unwrap()), (1, 1));
    assert!(matches!(twice, Err(Failure::Refused(why)) if why.contains("UNIQUE")));
    assert_eq!(runs.load(Ordering::Relaxed), 2, "once with the group, once alone");
    assert_eq!(threads.run(all).await.unwrap(), [1, 3]);
}

#[tokio::test]
async fn a_call_that_is_not_answered_in_time_says_that_its_outcome_is_unknown() {
    let connection = Connection::open_in_memory().unwrap();
    let duty = Duty { behavior: TransactionBehavior::Deferred, ..WRITER };
    let threads = Threads::start(vec![connection], duty, Duration::from_millis(20)).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let slow = threads.run(move |_| {
        let _ = wait.lock().unwrap().recv();
        Ok(())
    });
    assert!(matches!(slow.await, Err(Failure::Unknown(_))));
    go.send(()).unwrap();
}
