//! The exact layout of the file, because other programs and later versions read it. A change needs
//! another layout number, and a migration of older files.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::decide::decide_place;
use autoreceive_domain::{
    Cause, Command, Decision, Event, Order, Place, Policy, Span, Terms, Time, decide,
};
use autoreceive_store::{
    ActionName, Cas, Change, Commit, CommitResult, EntryRef, EventSelection, Expected, FollowUp,
    History, Log, Look, Operations, Orders, Outbox, OutboxEntry, Queue, Register, RetentionNote,
    Round, Settlement, Shard, ShardState, Space, Store, entry,
};
use autoreceive_store_sqlite::SqliteStore;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

const GOLDEN: &str = include_str!("golden.txt");

/// The time of everything in this test.
fn now() -> Time {
    Time::from_ms(1_800_000_000_000)
}

fn hours(hours: i64) -> Span {
    Span::from_hours(hours)
}

fn policy() -> Policy {
    Policy::new("default", Terms::default()).unwrap()
}

/// A new order that was paid at [`now`], after `commands`.
fn paid(id: &str, commands: &[Command]) -> Change {
    let buyer = "buyer-1".parse().unwrap();
    let currency = "KRW".parse().unwrap();
    let place = Place::new().buyer_id(buyer).amount(59_000).currency(currency).paid_at(now());
    let id = id.parse().unwrap();
    let mut order = changed(decide_place(&id, &place, now(), &policy()));
    let mut events = vec![Event(Arc::clone(&order))];
    for command in commands {
        order = changed(decide(&order, command, now().after(hours(1)), &policy().terms));
        events.push(Event(Arc::clone(&order)));
    }
    Change { id, expected: 0, was: None, order: Some(order), events }
}

fn changed(decision: Decision) -> Arc<Order> {
    let Decision::Changed(order) = decision else { panic!("nothing was changed") };
    order
}

async fn state(store: &SqliteStore, shard: Shard) -> Arc<ShardState> {
    store.due(&[Look { shard, extra: 0 }], 0).await.remove(0).unwrap().shard
}

async fn commit(store: &SqliteStore, change: Change, entry_id: &str, rests: bool) -> EntryRef {
    let shard = store.about().shards.of(&change.id);
    let entry = OutboxEntry {
        action: action(),
        id: entry_id.to_owned(),
        at: now(),
        events: EventSelection::All,
    };
    let note = RetentionNote { look_at: now().after(hours(720)), members: vec![0] };
    let round = Round {
        changes: vec![change],
        entries: vec![entry],
        policies: vec![policy()],
        notes: if rests { vec![note] } else { Vec::new() },
        notes_done: Vec::new(),
    };
    let decided = store.now().await.unwrap();
    let commit = Commit {
        shard,
        now: decided,
        state: state(store, shard).await,
        epoch: None,
        read: None,
        round: Arc::new(round),
    };
    assert_eq!(store.commit(vec![commit]).await, [CommitResult::Committed]);
    EntryRef { shard, id: entry_id.to_owned() }
}

fn action() -> ActionName {
    "sync".parse().unwrap()
}

/// Data of every kind.
async fn fill(store: &SqliteStore) {
    let hold = Command::Hold { id: "dispute".parse().unwrap(), reason: "damaged".parse().unwrap() };
    commit(store, paid("A-1", &[]), "e1", false).await;
    commit(store, paid("주문-2", &[hold]), "e2", false).await;
    let received = paid("A-3", &[Command::Receive { by: Cause::Buyer }]);
    let event = received.events[1].clone();
    let entry = commit(store, received, "e3", true).await;

    let history = History {
        attempts: 17,
        first_at: now(),
        errors: vec![(now().after(hours(2)), "HTTP 503".to_owned())],
    };
    let dead = FollowUp {
        queue: Queue::dead(&action()),
        id: event.id(),
        at: now().after(hours(2)),
        text: entry::encode(Some(&history), [&event]),
        only_if_absent: false,
    };
    let settlement = Settlement { entry, follow_ups: vec![dead] };
    assert_eq!(store.settle(&Queue::pending(&action()), vec![settlement]).await, Ok(1));

    let named = Cas { key: "sync", expected: Expected::Nothing, value: Some("1") };
    assert_eq!(store.compare_and_set(Space::Actions, &[named]).await, Ok(vec![true]));
    let rows = ["first", "second", "third"].map(str::to_owned);
    store.append(&"audit".parse().unwrap(), &rows, 2).await.unwrap();
}

/// The schema of the file, and its rows.
fn dump(path: &Path) -> String {
    let file = Connection::open(path).unwrap();
    let number = |name: &str| -> i64 {
        file.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
    };
    let mut out = format!(
        "application_id {:#x}\nuser_version {}\n",
        number("application_id"),
        number("user_version")
    );
    let mut schema =
        file.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").unwrap();
    for sql in schema.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let _ = write!(out, "\n{};\n", sql.unwrap());
    }
    let mut tables =
        file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").unwrap();
    for table in tables.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        dump_table(&file, &table.unwrap(), &mut out);
    }
    out
}

fn dump_table(file: &Connection, table: &str, out: &mut String) {
    let _ = write!(out, "\n{table}\n");
    let mut statement = file.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        for column in 0..columns {
            let _ = match row.get_ref(column).unwrap() {
                ValueRef::Null => write!(out, " NULL"),
                ValueRef::Integer(number) => write!(out, " {number}"),
                ValueRef::Text(text) => write!(out, " {:?}", std::str::from_utf8(text).unwrap()),
                other => panic!("{other:?}"),
            };
        }
        out.push('\n');
    }
}

#[tokio::test]
async fn the_layout_of_the_file_has_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("orders.db");
    let store = SqliteStore::open(&path, Duration::from_secs(30)).unwrap();
    fill(&store).await;
    let identity = state(&store, 0).await.id.as_str().to_owned();
    drop(store);

    assert!(
        identity.len() == 16
            && identity.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        "{identity}"
    );
    let found = dump(&path).replace(&identity, "IDENTITY");
    assert!(found == GOLDEN, "the file is now\n{found}");
}
