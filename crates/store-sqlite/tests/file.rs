//! Tests for the SQLite store alone: refused files, and durability.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::{Order, Status};
use autoreceive_store::conformance::kit::*;
use autoreceive_store::{CommitResult, EventSelection, Refusal, Row, Slot, View};
use autoreceive_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

fn open(path: &Path) -> SharedStore {
    Arc::new(SqliteStore::open(path, Duration::from_secs(30)).unwrap())
}

/// Why the file was refused. The text must name the file.
fn refusal(path: &Path) -> String {
    let Err(error) = SqliteStore::open(path, Duration::from_secs(1)) else {
        panic!("{} was opened", path.display())
    };
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    text
}

fn directory() -> (TempDir, std::path::PathBuf) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("orders.db");
    (directory, path)
}

#[tokio::test]
async fn a_file_in_use_is_refused_until_it_is_closed() {
    let (_directory, path) = directory();
    let store = open(&path);
    let text = refusal(&path);
    assert!(text.contains("another process") && text.contains("orders.db.lock"), "{text}");
    drop(store);
    open(&path);
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused_and_not_changed() {
    let (_directory, path) = directory();
    let content = "order_id,status\nA-1,PAID\n".repeat(200);
    fs::write(&path, &content).unwrap();
    assert!(refusal(&path).contains("not an SQLite database"));
    assert_eq!(fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn another_programs_database_is_refused_and_not_changed() {
    let (_directory, path) = directory();
    let shop = Connection::open(&path).unwrap();
    shop.execute_batch("CREATE TABLE orders (id TEXT); INSERT INTO orders VALUES ('A-1');")
        .unwrap();
    shop.close().unwrap();
    let content = fs::read(&path).unwrap();
    assert!(refusal(&path).contains("another program"));
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        2,
        "only the file and its lock exist"
    );
}

/// Why a file with this layout number is refused. The file is not changed.
fn refusal_of_layout(layout: i32) -> String {
    let (_directory, path) = directory();
    drop(open(&path));
    let file = Connection::open(&path).unwrap();
    file.execute_batch(&format!("PRAGMA user_version = {layout}; PRAGMA journal_mode = DELETE;"))
        .unwrap();
    file.close().unwrap();
    let content = fs::read(&path).unwrap();
    let text = refusal(&path);
    assert_eq!(fs::read(&path).unwrap(), content);
    text
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_not_changed() {
    for layout in [11, 99, -1] {
        let text = refusal_of_layout(layout);
        assert!(text.contains("newer version") && text.contains(&layout.to_string()), "{text}");
    }
}

#[tokio::test]
async fn a_file_of_an_unreleased_version_is_refused_and_not_changed() {
    for layout in [1, 3, 9] {
        let text = refusal_of_layout(layout);
        assert!(
            text.contains("an unreleased version") && text.contains("begin with a new file"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_file_keeps_its_identity_and_another_file_has_another() {
    let (_directory, path) = directory();
    let first = state(&open(&path), 0).await;
    assert_eq!(state(&open(&path), 7).await, first);
    let (_directory, path) = directory();
    assert_ne!(state(&open(&path), 0).await.id, first.id);
}

#[tokio::test]
async fn a_file_in_a_missing_directory_is_refused() {
    let (_directory, path) = directory();
    refusal(&path.join("orders.db"));
    fs::create_dir(&path).unwrap();
    refusal(&path);
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let (_directory, path) = directory();
    fs::write(&path, "").unwrap();
    assert_eq!(open(&path).stats().await.unwrap().waiting, 0);
}

/// A waiting order, an overdue order, a held order, and an entry.
async fn fill(store: &SharedStore) -> Vec<Arc<Order>> {
    let now = now(store).await;
    let held = and_then(paid(&id("held"), now, now), &hold("dispute"), now);
    let changes = vec![paid(&id("waits"), now, now), overdue(&id("late"), hours(1), now), held];
    keep(store, changes.clone()).await;
    keep_entry(store, "e1", now.after(hours(1))).await;
    changes.iter().map(after).collect()
}

async fn assert_whole(store: &SharedStore, orders: &[Arc<Order>]) {
    for order in orders {
        assert_eq!(loaded(store, &order.id).await.as_ref(), Some(&**order));
    }
    assert_eq!(due_ids(store).await, ["late"]);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.overdue, stats.held), (2, 1, 1));
    assert_eq!(
        stats.orders.iter().find(|(status, _)| *status == Status::Paid),
        Some(&(Status::Paid, 3))
    );
    assert_eq!(lanes(store, &sync()).await, (1, 0));
}

#[tokio::test]
async fn all_data_is_there_after_closing_and_opening_again() {
    let (_directory, path) = directory();
    let store = open(&path);
    let orders = fill(&store).await;
    drop(store);
    for _ in 0..2 {
        assert_whole(&open(&path), &orders).await;
    }
}

/// The files are copied while the store is open, as a killed process leaves them.
#[tokio::test]
async fn all_acknowledged_data_is_there_after_a_kill() {
    let (directory, path) = directory();
    let store = open(&path);
    let orders = fill(&store).await;
    let copy = directory.path().join("copy.db");
    for ending in ["", "-wal"] {
        fs::copy(format!("{}{ending}", path.display()), format!("{}{ending}", copy.display()))
            .unwrap();
    }
    assert_whole(&open(&copy), &orders).await;
    assert_whole(&store, &orders).await;
}

/// If a commit is cut off anywhere in the log, the file has all of it or nothing: the order, its
/// count and its entry.
#[tokio::test]
async fn a_commit_cut_off_by_a_power_loss_is_all_or_nothing() {
    let (directory, path) = directory();
    let store = open(&path);
    keep(&store, vec![placed(&id("first"), now(&store).await)]).await;
    let log = |path: &Path| std::path::PathBuf::from(format!("{}-wal", path.display()));
    let before = fs::read(log(&path)).unwrap().len();
    keep_entry(&store, "e1", now(&store).await).await;
    let whole = fs::read(log(&path)).unwrap();
    assert!(whole.len() > before);

    let copy = directory.path().join("copy.db");
    let mut seen = [0, 0];
    for end in (before..whole.len()).step_by(509).chain([whole.len()]) {
        fs::copy(&path, &copy).unwrap();
        fs::write(log(&copy), &whole[..end]).unwrap();
        let cut = open(&copy);
        assert!(loaded(&cut, &id("first")).await.is_some());
        let is_there = loaded(&cut, &id("order-of-e1")).await.is_some();
        let stats = cut.stats().await.unwrap();
        assert_eq!(
            stats.orders,
            [(Status::PendingPayment, 1 + u64::from(is_there))],
            "cut at {end}"
        );
        assert_eq!(lanes(&cut, &sync()).await, (usize::from(is_there), 0), "cut at {end}");
        seen[usize::from(is_there)] += 1;
    }
    assert!(seen[0] > 3 && seen[1] > 0, "{seen:?}");
}

async fn slots(store: &SharedStore, ids: &[OrderId]) -> Vec<Slot> {
    store.load(ids).await.into_iter().map(|order| order.unwrap().value).collect()
}

/// Damaged rows are reported and unchanged, and affect nothing else.
#[tokio::test]
async fn unreadable_data_is_reported_and_not_changed() {
    let (_directory, path) = directory();
    let store = open(&path);
    let now = now(&store).await;
    let neighbours = neighbours(&store, 2);
    keep(&store, neighbours.iter().map(|id| overdue(id, hours(1), now)).collect()).await;
    keep_entry(&store, "good", now).await;
    keep_entry(&store, "bad", now).await;
    let vandal = Connection::open(&path).unwrap();
    vandal
        .execute("UPDATE orders SET record = '1|?|nonsense' WHERE id = ?", [neighbours[0].as_str()])
        .unwrap();
    vandal.execute("UPDATE outbox SET text = CAST(x'ff' AS TEXT) WHERE id = 'bad'", []).unwrap();

    let mut slots = slots(&store, &neighbours).await;
    assert!(slots.remove(1).unwrap().is_some());
    assert_eq!(slots.remove(0).unwrap_err().id, neighbours[0].as_str());
    assert_eq!(due_ids(&store).await.len(), 2);
    for view in [View::Overdue, View::All] {
        let rows = store.list(view, None, 10).await.unwrap().items;
        let unreadable: Vec<&Row> = rows.iter().filter(|row| row.order.is_err()).collect();
        assert_eq!((unreadable.len(), &unreadable[0].id), (1, &neighbours[0]), "{view}");
    }
    let claimed = claim(&store, hours(1)).await.entries;
    assert_eq!(entry_ids(&claimed), ["bad", "good"]);
    for entry in &claimed {
        let is_good = entry.entry.id == "good";
        assert_eq!((entry.text.is_some(), entry.read().is_ok()), (is_good, is_good));
    }
    assert!(claim(&store, hours(1)).await.entries.is_empty(), "leased like the others");
    let record: String = vandal
        .query_row("SELECT record FROM orders WHERE id = ?", [neighbours[0].as_str()], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(record, "1|?|nonsense");
}

/// While a `sqlite3` shell writes, commits are refused and write nothing. Later commits succeed.
#[tokio::test]
async fn a_commit_is_refused_while_another_program_writes_and_succeeds_afterwards() {
    let (_directory, path) = directory();
    let store: SharedStore = Arc::new(SqliteStore::open(&path, Duration::from_secs(1)).unwrap());
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let at = now(&store).await;
    let mut commit = commit(&store, at, vec![placed(&id("A-1"), at)]).await;
    round(&mut commit).entries.push(entry("sync", "e1", at, EventSelection::All));
    let refused = result(&store, commit).await;
    assert!(matches!(refused, CommitResult::Refused(Refusal::Unavailable(_))), "{refused:?}");
    assert_eq!(loaded(&store, &id("A-1")).await, None);
    shell.execute_batch("ROLLBACK").unwrap();
    keep(&store, vec![placed(&id("A-1"), at)]).await;
    assert_eq!(lanes(&store, &sync()).await, (0, 0));
}

#[tokio::test]
async fn calls_made_before_closing_are_finished_even_if_no_caller_waits() {
    let (_directory, path) = directory();
    let store = open(&path);
    let now = now(&store).await;
    let ids: Vec<_> = (0..10).map(|i| id(&format!("A-{i}"))).collect();
    let mut commits = Vec::new();
    for id in &ids {
        commits.push(commit(&store, now, vec![placed(id, now)]).await);
    }
    tokio::select! {
        biased;
        _ = store.commit(commits) => panic!("answered at once"),
        () = std::future::ready(()) => {}
    }
    drop(store);
    assert!(slots(&open(&path), &ids).await.into_iter().all(|order| order.unwrap().is_some()));
}
