//! What only the Redis store has to get right.

use std::sync::Arc;

use autoreceive::domain::{
    Cause, Clock, ClockKind, Command, Decision, Event, EventKind, Order, OrderId, Place, Policy, Span, Status, Terms, Time, decide,
};
use autoreceive::store::redis::{RedisSettings, RedisStore};
use autoreceive::store::{
    ActionName, After, Change, Commit, EntryRef, History, Look, Members, NewEntry, RestNote, Settlement, Shard, Store, Verdict, View,
};

use crate::support::redis_server::RedisServer;

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
    let place = Place {
        buyer_id: Some("buyer-000001".parse().unwrap()),
        policy: policy(),
        amount: Some(59_000),
        currency: Some("KRW".parse().unwrap()),
        data: None,
        receive_after: None,
        at: Some(at),
        paid_at: Some(at),
    };
    match decide::decide_absent(id, &Command::Place(Box::new(place)), now) {
        Decision::Changed(order) => *order,
        other => panic!("{other:?}"),
    }
}

/// `order` after `command`.
fn after(order: &Order, command: &Command, now: Time) -> Order {
    match decide::decide(order, command, now, &Terms::default()) {
        Decision::Changed(order) => *order,
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
    NewEntry { action: action.into(), id: id.into(), at, members: Members::All }
}

fn all_done() -> Verdict {
    Verdict::Done { losers: vec![] }
}

async fn now(store: &RedisStore) -> Time {
    store.heads().await.expect("the store answers").now
}

#[tokio::test]
async fn an_order_is_committed_found_due_received_and_settled() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let (now, id) = (now(&store).await, id("A-1"));
    let shard = store.shard_of(&id);
    let order = paid(&id, now, 25 * HOUR);
    let mut first = commit(shard, now, vec![change(None, order.clone())]);
    first.entries = vec![entry("log", "e1", now)];
    first.policies = vec![policy()];
    assert_eq!(store.commit(vec![Arc::new(first)]).await, [all_done()]);
    let loaded = store.load(&[id.clone(), "none".parse().unwrap()]).await.unwrap();
    assert_eq!(loaded.orders[0].as_ref().unwrap().as_ref(), Some(&order));
    assert_eq!(loaded.orders[1], Ok(None));
    assert_eq!(store.terms(&[(shard, policy().revision)]).await.unwrap(), [Some(Terms::default())]);

    let due = store.due(&[Look { shard, extra: 0 }], 10).await.unwrap();
    assert_eq!(due.shards[0].orders[0].order.as_ref().unwrap().as_ref(), Some(&order));
    let received = after(&order, &Command::Due, due.now);
    let mut second = commit(shard, due.now, vec![change(Some(&order), received.clone())]);
    second.entries = vec![entry("log", "e2", due.now)];
    second.notes = vec![RestNote { look_at: due.now, members: vec![0] }];
    assert_eq!(store.commit(vec![Arc::new(second)]).await, [all_done()]);

    let log: ActionName = "log".into();
    let claimed = store.claim(&log, 10, Span::from_secs(30)).await.unwrap();
    assert_eq!(claimed.entries.len(), 2);
    assert_eq!(claimed.entries[1].events, [Event(Arc::new(received.clone()))]);
    assert_eq!(claimed.next_at, None);
    let settled = claimed.entries.into_iter().map(|claimed| Settlement { entry: claimed.entry, after: vec![] }).collect();
    store.settle(&log, settled).await.unwrap();
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.actions[0].pending, stats.waiting, stats.actions[0].dead), (0, 0, 0));
    assert_eq!(stats.totals, [(EventKind::Placed, Cause::Shop, 1), (EventKind::Received, Cause::Timer, 1)]);
    let rested = store.rested(10).await.unwrap();
    assert_eq!(rested.notes[0].orders, [received]);
}
