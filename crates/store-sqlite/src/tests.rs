//! Tests that need the inside of the store: a full disk, waiting jobs, and losers in a shared
//! transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use autoreceive_domain::decide::decide_place;
use autoreceive_domain::{Decision, Event, Place, Policy};
use autoreceive_store::{Change, Epoch, EventSelection, Identity, OutboxEntry, Round};
use rusqlite::TransactionBehavior;
use tempfile::tempdir;

use super::clock::machine;
use super::*;

/// A new order with `data`.
fn placed(id: &str, data: &str) -> Change {
    let id: OrderId = id.parse().unwrap();
    let policy = Policy::new("default", Terms::default()).unwrap();
    let data = autoreceive_domain::words::Data::new(&format!("\"{data}\"")).unwrap();
    let place = Place::new().data(data);
    let decision = decide_place(&id, &place, machine(), &policy);
    let Decision::Changed(order) = decision else { panic!("not placed") };
    let event = Event(Arc::clone(&order));
    Change { id, expected: 0, was: None, order: Some(order), events: vec![event] }
}

/// A commit of all `changes`; their shards may differ, because all are in one file.
fn commit(store: &SqliteStore, changes: Vec<Change>) -> Commit {
    let first = changes[0].id.clone();
    let entry = OutboxEntry {
        action: "sync".parse().unwrap(),
        id: format!("e-{first}"),
        at: machine(),
        events: EventSelection::All,
    };
    let round = Arc::new(Round { changes, entries: vec![entry], ..Round::default() });
    Commit {
        shard: SHARD_COUNT.of(&first),
        now: machine(),
        state: Arc::clone(&store.state),
        epoch: None,
        read: None,
        round,
    }
}

/// A new order of about 5 KB with its entry.
fn large_commit(store: &SqliteStore, id: &str) -> Commit {
    commit(store, vec![placed(id, &"x".repeat(4_000))])
}

/// The numbers of orders and entries.
async fn counted(store: &SqliteStore) -> (u64, u64) {
    let count = |connection: &Connection, table| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0).map(i64::unsigned_abs)
        })
    };
    store
        .read(move |connection, _| Ok((count(connection, "orders")?, count(connection, "outbox")?)))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_commit_on_a_full_disk_writes_nothing_and_later_commits_succeed() {
    let directory = tempdir().unwrap();
    let store =
        SqliteStore::open(&directory.path().join("orders.db"), Duration::from_secs(30)).unwrap();
    let limit_pages = |pages: u32| {
        store.write(move |connection, _| {
            connection.execute_batch(&format!("PRAGMA max_page_count = {pages}"))
        })
    };
    limit_pages(40).await.unwrap();
    let mut done = 0;
    let mut refused = 0;
    for round in 0..20 {
        let commits = (0..4).map(|i| large_commit(&store, &format!("A-{round}-{i}"))).collect();
        for result in store.commit(commits).await {
            match result {
                CommitResult::Committed => done += 1,
                CommitResult::Refused(Refusal::Unavailable(why)) => {
                    refused += u64::from(why.contains("full"))
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(done > 2 && refused > 40 && done + refused == 80, "{done} done, {refused} refused");
    assert_eq!(counted(&store).await, (done, done));
    assert_eq!(store.stats().await.unwrap().orders[0].1, done);

    limit_pages(100_000).await.unwrap();
    let again = large_commit(&store, "again");
    assert_eq!(store.commit(vec![again]).await, [CommitResult::Committed]);
}

/// Many commits share a transaction here.
#[tokio::test]
async fn a_losing_commit_writes_nothing_in_a_shared_transaction() {
    let store = SqliteStore::in_memory().unwrap();
    let taken = ["taken-1", "taken-2"].map(|id| placed(id, ""));
    assert_eq!(store.commit(vec![commit(&store, taken.to_vec())]).await, [CommitResult::Committed]);

    let commits = (0..60).map(|i| {
        let mut changes = vec![placed(&format!("A-{i}"), ""), placed(&format!("B-{i}"), "")];
        if i % 3 == 0 {
            changes.insert(1, taken[0].clone());
            changes.push(taken[1].clone());
        }
        commit(&store, changes)
    });
    let results = store.commit(commits.collect()).await;
    for (i, result) in results.into_iter().enumerate() {
        let losers = taken.iter().map(|change| change.id.clone()).collect();
        let expected = if i % 3 == 0 {
            CommitResult::Conflict { losers, why: Why::Version }
        } else {
            CommitResult::Committed
        };
        assert_eq!(result, expected, "{i}");
    }
    assert_eq!(counted(&store).await, (2 + 40 * 2, 1 + 40));
    assert_eq!(store.stats().await.unwrap().orders[0].1, 2 + 40 * 2);
}

#[tokio::test]
async fn a_commit_for_another_store_layout_or_pause_writes_nothing() {
    let store = SqliteStore::in_memory().unwrap();
    let other = SqliteStore::in_memory().unwrap();
    assert_ne!(store.state.id, other.state.id);
    let of_another =
        Commit { state: Arc::clone(&other.state), ..commit(&store, vec![placed("A-1", "")]) };
    let of_nobody = Arc::new(ShardState::new(Identity::from(""), Format::CURRENT));
    let of_nobody = Commit { state: of_nobody, ..commit(&store, vec![placed("A-1", "")]) };
    let older = Arc::new(ShardState::new(store.state.id.clone(), Format(1)));
    let older = Commit { state: older, ..commit(&store, vec![placed("A-1", "")]) };
    for result in store.commit(vec![of_another, of_nobody, older]).await {
        assert!(matches!(result, CommitResult::Refused(Refusal::Gone(_))), "{result:?}");
    }
    let paused = Commit { epoch: Some(Epoch(7)), ..commit(&store, vec![placed("A-1", "")]) };
    assert_eq!(
        store.commit(vec![paused]).await,
        [CommitResult::Conflict { losers: Vec::new(), why: Why::Epoch }]
    );
    assert_eq!(counted(&store).await, (0, 0));
    let unpaused = Commit { epoch: Some(Epoch::NONE), ..commit(&store, vec![placed("A-1", "")]) };
    assert_eq!(store.commit(vec![unpaused]).await, [CommitResult::Committed]);
}

/// A plan that sorts or reads the table would slow the timer's polls.
#[tokio::test]
async fn the_next_due_time_and_the_queues_are_read_from_an_index() {
    let store = SqliteStore::in_memory().unwrap();
    let plan = |sql: &'static str| {
        store.read(move |connection, _| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let mut found = statement.raw_query();
            let mut plan = Vec::new();
            while let Some(row) = found.next()? {
                plan.push(row.get::<_, String>(3)?);
            }
            Ok(plan.join("; "))
        })
    };
    let next = plan(read::NEXT_DUE).await.unwrap();
    assert!(
        next.contains("USING COVERING INDEX orders_by_due") && !next.contains("B-TREE"),
        "{next}"
    );
    let first = plan(outbox::FIRST).await.unwrap();
    assert!(first.contains("USING INDEX outbox_by_time") && !first.contains("B-TREE"), "{first}");
    let newest = plan(log::NEWEST).await.unwrap();
    assert!(newest.contains("PRIMARY KEY"), "{newest}");
}

/// A thread that writes to a table of numbers, and is blocked until the sender sends.
async fn numbers() -> (Threads, mpsc::Sender<()>) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE numbers (number INTEGER UNIQUE)").unwrap();
    let threads = Threads::start(vec![connection], WRITER, Duration::from_secs(30)).unwrap();
    let (go, wait) = mpsc::channel();
    let (wait, (started, begun)) = (Mutex::new(wait), tokio::sync::oneshot::channel());
    let started = Mutex::new(Some(started));
    let blocker = threads.run(move |_| {
        let _ = started.lock().take().unwrap().send(());
        let _ = wait.lock().recv();
        Ok(())
    });
    tokio::select! {
        _ = blocker => panic!("the thread was not blocked"),
        _ = begun => {}
    }
    (threads, go)
}

fn insert(connection: &Connection, number: i64) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO numbers VALUES (?)", [number])
}

fn all(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare("SELECT number FROM numbers ORDER BY number")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// SQLite resets `defer_foreign_keys` at the end of a transaction, so the test can see whether two
/// jobs share one.
#[tokio::test]
async fn waiting_jobs_share_one_transaction() {
    let (threads, go) = numbers().await;
    let mark = threads.run(|connection| connection.execute_batch("PRAGMA defer_foreign_keys = ON"));
    let look = || {
        threads.run(|connection| {
            connection.query_row("PRAGMA defer_foreign_keys", [], |row| row.get::<_, bool>(0))
        })
    };
    let (mark, together, ()) = tokio::join!(mark, look(), async { go.send(()).unwrap() });
    assert!(mark.is_ok() && together.unwrap());
    assert!(!look().await.unwrap());
}

#[tokio::test]
async fn a_failing_job_fails_no_other_job_of_its_transaction() {
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
    assert!(matches!(twice, Err(JobError::Refused(why)) if why.contains("UNIQUE")));
    assert_eq!(runs.load(Ordering::Relaxed), 2, "once with the group, once alone");
    assert_eq!(threads.run(all).await.unwrap(), [1, 3]);
}

#[tokio::test]
async fn an_unanswered_call_has_an_unknown_outcome() {
    let connection = Connection::open_in_memory().unwrap();
    let settings = ThreadSettings { behavior: TransactionBehavior::Deferred, ..WRITER };
    let threads = Threads::start(vec![connection], settings, Duration::from_millis(20)).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let slow = threads.run(move |_| {
        let _ = wait.lock().recv();
        Ok(())
    });
    assert!(matches!(slow.await, Err(JobError::Unknown(_))));
    go.send(()).unwrap();
}
