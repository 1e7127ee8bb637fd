//! What only the Redis store has to get right.

use std::sync::Arc;

use autoreceive::domain::{Cause, Command, Decision, Event, EventKind, Order, OrderId, Place, Policy, Span, Status, Terms, Time, decide};
use autoreceive::store::{
    ActionName, After, Change, Commit, EntryRef, History, Look, Members, NewEntry, RestNote, Settlement, Shard, Store, Verdict, View,
};
use autoreceive_store_redis::{RedisSettings, RedisStore};

use crate::support::redis_server::RedisServer;

mod failing;
mod opening;
mod watched;
mod working;

const HOUR: i64 = 3_600_000;

fn settings(server: &RedisServer) -> RedisSettings {
    RedisSettings { url: server.url(), ..RedisSettings::default() }
}

async fn open(server: &RedisServer) -> RedisStore {
    RedisStore::open(settings(server)).await.expect("the store opens")
}

fn id(text: &str) -> OrderId {
    text.parse().expect("an order id")
}

fn policy() -> Policy {
    Policy::new("default", Terms::default()).expect("a policy")
}

/// An order that was placed and paid `ago` ms before `now`, due 24 hours after that.
fn paid(id: &OrderId, now: Time, ago: i64) -> Order {
    let at = Time::from_ms(now.ms() - ago);
    let place = Place::new().buyer_id("buyer-000001".parse().unwrap()).amount(59_000);
    let place = place.currency("KRW".parse().unwrap()).at(at).paid_at(at);
    match decide::decide_place(id, &place, now, &policy()) {
        Decision::Changed(order) => Arc::unwrap_or_clone(order),
        other => panic!("{other:?}"),
    }
}

/// `order` after `command`.
fn after(order: &Order, command: &Command, now: Time) -> Order {
    match decide::decide(order, command, now, &Terms::default()) {
        Decision::Changed(order) => Arc::unwrap_or_clone(order),
        other => panic!("{other:?}"),
    }
}

fn change(was: Option<&Order>, order: Order) -> Change {
    let order = Arc::new(order);
    let counted = was.filter(|was| !was.is_resting()).map(|was| was.status);
    Change {
        id: order.id.clone(),
        expected: was.map_or(0, |was| was.version),
        was: counted,
        events: vec![Event(order.clone())],
        order: Some(order),
    }
}

fn commit(shard: Shard, now: Time, changes: Vec<Change>) -> Commit {
    Commit { shard, now, changes, entries: vec![], policies: vec![], notes: vec![], notes_done: vec![] }
}

fn entry(action: &str, id: &str, at: Time) -> NewEntry {
    NewEntry { action: action.parse().unwrap(), id: id.into(), at, members: Members::All }
}

fn all_done() -> Verdict {
    Verdict::Done { losers: vec![] }
}

async fn now(store: &RedisStore) -> Time {
    store.heads().await.expect("the store answers").now
}

/// Every key with its whole content, to compare before and after.
fn everything(server: &RedisServer) -> Vec<(String, redis::Value)> {
    let keys: Vec<String> = redis::from_redis_value(server.cli(&["KEYS", "*"]).unwrap()).unwrap();
    let mut all: Vec<_> = keys.into_iter().map(|key| (key.clone(), server.cli(&["DUMP", &key]).unwrap())).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// A commit that touches every key that a commit can touch: an order due at once, a held one, entries, terms and notes.
fn full_commit(store: &RedisStore, now: Time) -> Commit {
    let due = paid(&id("A-1"), now, 25 * HOUR);
    let placed = (0..).map(|i| id(&format!("H-{i}"))).find(|other| store.shard_of(other) == store.shard_of(&due.id)).unwrap();
    let placed = paid(&placed, now, HOUR);
    let hold = Command::Hold { id: "dispute".parse().unwrap(), reason: "dispute".parse().unwrap() };
    let held = after(&placed, &hold, now);
    let mut second = change(None, held.clone());
    second.events.insert(0, Event(Arc::new(placed)));
    let mut full = commit(store.shard_of(&due.id), now, vec![change(None, due), second]);
    full.entries = vec![entry("log", "e1", now), entry("webhook", "e1", now)];
    full.policies = vec![policy()];
    full.notes = vec![RestNote { look_at: now, members: vec![0] }];
    full
}

fn history(now: Time) -> History {
    History { attempts: 1, first_at: now, errors: vec![(now, "answered 500".into())] }
}

async fn why_refused(settings: RedisSettings) -> String {
    RedisStore::open(settings).await.err().expect("the store does not open").to_string()
}

/// Orders that all lie in shard 0.
fn in_one_shard(store: &RedisStore, now: Time, count: usize) -> Vec<Order> {
    let ids = (0..).map(|i| id(&format!("S-{i}"))).filter(|id| store.shard_of(id) == 0);
    ids.take(count).map(|id| paid(&id, now, 25 * HOUR)).collect()
}

/// What `look` finds, as soon as it finds something.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nothing came within ten seconds");
}
