//! What only the Redis store has to get right.

use std::sync::Arc;

use autoreceive::domain::{Cause, Command, Decision, Event, EventKind, Order, OrderId, Place, Policy, Span, Status, Terms, Time, decide};
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

#[tokio::test]
async fn a_changed_order_takes_all_its_events_along_and_a_loser_leaves_nothing() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let mut full = full_commit(&store, now);
    let (shard, held) = (full.shard, full.changes[1].clone());
    full.entries.push(NewEntry { action: "some".into(), id: "s".into(), at: now, members: Members::Some(vec![(1, 0), (0, 0), (7, 7)]) });
    full.entries.push(NewEntry { action: "gone".into(), id: "g".into(), at: now, members: Members::Some(vec![(0, 0)]) });
    // The first order is already there in another version, so that its change loses.
    let other = paid(&id("A-1"), now, HOUR);
    assert_eq!(store.commit(vec![commit(shard, now, vec![change(None, other.clone())]).into()]).await, [all_done()]);
    assert_eq!(store.commit(vec![full.into()]).await, [Verdict::Done { losers: vec![0] }]);

    let loaded = store.load(&[id("A-1"), held.id.clone()]).await.unwrap();
    assert_eq!(loaded.orders, [Ok(Some(other)), Ok(held.order.as_deref().cloned())]);
    for (action, events) in [("log", &held.events[..]), ("webhook", &held.events[..]), ("some", &held.events[..1])] {
        let claimed = store.claim(&action.into(), 10, Span::from_secs(30)).await.unwrap();
        assert_eq!(claimed.entries.len(), 1, "{action}");
        assert_eq!(claimed.entries[0].events, events, "{action}");
    }
    assert!(store.claim(&"gone".into(), 10, Span::from_secs(30)).await.unwrap().entries.is_empty());
    assert!(store.rested(10).await.unwrap().notes.is_empty());
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.orders, [(Status::Paid, 2)]);
    assert_eq!(stats.totals.iter().map(|(_, _, count)| count).sum::<u64>(), 3);
    assert_eq!((stats.waiting, stats.overdue, stats.held), (1, 0, 1));
}

#[tokio::test]
async fn a_removed_order_leaves_no_trace_and_a_lost_removal_removes_nothing() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let full = full_commit(&store, now);
    let (shard, changes) = (full.shard, full.changes.clone());
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    let removal = |change: &Change, expected| Change { expected, was: Some(Status::Paid), order: None, events: vec![], ..change.clone() };
    let note = store.rested(10).await.unwrap().notes.remove(0).note;
    let newcomer = (0..).map(|i| id(&format!("N-{i}"))).find(|other| store.shard_of(other) == shard).unwrap();
    let newcomer = change(None, paid(&newcomer, now, HOUR));
    let mut removals = commit(shard, now, vec![removal(&changes[0], 9), removal(&changes[1], 2), newcomer]);
    removals.notes_done = vec![note];
    assert_eq!(store.commit(vec![removals.into()]).await, [Verdict::Done { losers: vec![0] }]);
    let loaded = store.load(&[changes[0].id.clone(), changes[1].id.clone()]).await.unwrap();
    assert_eq!(loaded.orders, [Ok(changes[0].order.as_deref().cloned()), Ok(None)]);
    assert!(store.rested(10).await.unwrap().notes.is_empty());
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.held, stats.waiting, stats.orders), (0, 2, vec![(Status::Paid, 2)]));
}

#[tokio::test]
async fn a_stale_decision_is_not_committed() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let before = everything(&server);
    for skew in [-10_100, 11_000] {
        let mut stale = full_commit(&store, now);
        stale.entries.clear();
        stale.now = Time::from_ms(now.ms() + skew);
        assert_eq!(store.commit(vec![stale.into()]).await, [Verdict::Done { losers: vec![0, 1] }]);
    }
    assert_eq!(everything(&server), before);
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again_with_every_call() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    for round in 0..5 {
        server.cli(&["SCRIPT", "FLUSH"]).unwrap();
        let orders: Vec<Order> = (0..20).map(|i| paid(&id(&format!("{round}-{i}")), now, 25 * HOUR)).collect();
        let commits = orders.iter().map(|order| {
            let mut one = commit(store.shard_of(&order.id), now, vec![change(None, order.clone())]);
            one.entries = vec![entry("log", order.id.as_str(), now)];
            one
        });
        assert_eq!(store.commit(commits.map(Into::into).collect()).await, vec![all_done(); 20]);
        server.cli(&["SCRIPT", "FLUSH"]).unwrap();
        let claimed = store.claim(&"log".into(), 100, Span::from_secs(30)).await.unwrap();
        assert_eq!(claimed.entries.len(), 20);
        server.cli(&["SCRIPT", "FLUSH"]).unwrap();
        let dead = |event: &Event| After::Dead { event: event.clone(), history: history(now), at: now };
        let settled =
            claimed.entries.iter().map(|claimed| Settlement { entry: claimed.entry.clone(), after: vec![dead(&claimed.events[0])] });
        store.settle(&"log".into(), settled.collect()).await.unwrap();
    }
    assert_eq!(store.stats().await.unwrap().actions[0].dead, 100);
}

fn history(now: Time) -> History {
    History { attempts: 1, first_at: now, errors: vec![(now, "answered 500".into())] }
}

#[tokio::test]
async fn a_wrong_type_on_any_key_fails_before_anything_is_written_and_is_named() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let shard = full_commit(&store, now).shard;
    // The names of the actions are noted apart from the commit.
    let mut names = commit(shard, now, vec![]);
    names.entries = full_commit(&store, now).entries;
    assert_eq!(store.commit(vec![names.into()]).await, [all_done()]);
    for what in ["orders", "due", "counts", "held", "purge", "terms", "out:log", "outdata:log", "out:webhook", "outdata:webhook"] {
        let key = format!("ar:{{{shard}}}:{what}");
        server.cli(&["SET", &key, "x"]).unwrap();
        let before = everything(&server);
        match store.commit(vec![full_commit(&store, now).into()]).await.remove(0) {
            Verdict::Refused(why) => assert!(why.contains("WRONGTYPE") && why.contains(&key), "{why}"),
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(everything(&server), before, "{what}");
        let refused = RedisStore::open(settings(&server)).await.err().map(|error| error.to_string());
        if !what.contains("out") {
            assert!(refused.is_some_and(|why| why.contains(&key)), "{what}");
        }
        server.cli(&["DEL", &key]).unwrap();
    }
    server.cli(&["HSET", &format!("ar:{{{shard}}}:counts"), "PAID", "many"]).unwrap();
    let before = everything(&server);
    let verdict = store.commit(vec![full_commit(&store, now).into()]).await.remove(0);
    assert!(matches!(&verdict, Verdict::Refused(why) if why.contains("not a number")), "{verdict:?}");
    assert_eq!(everything(&server), before);
}

#[tokio::test]
async fn settling_with_a_wrong_type_on_any_key_writes_nothing() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let full = full_commit(&store, now);
    let shard = full.shard;
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    let log: ActionName = "log".into();
    let claimed = store.claim(&log, 1, Span::from_secs(30)).await.unwrap().entries.remove(0);
    let after = vec![
        After::Retry { event: claimed.events[0].clone(), history: history(now), at: now },
        After::Dead { event: claimed.events[1].clone(), history: history(now), at: now },
    ];
    let settlement = Settlement { entry: claimed.entry, after };
    for what in ["dead:log", "deaddata:log"] {
        let key = format!("ar:{{{shard}}}:{what}");
        server.cli(&["SET", &key, "x"]).unwrap();
        let before = everything(&server);
        assert!(store.settle(&log, vec![settlement.clone()]).await.is_err(), "{what}");
        assert_eq!(everything(&server), before, "{what}");
        server.cli(&["DEL", &key]).unwrap();
    }
    store.settle(&log, vec![settlement.clone()]).await.unwrap();
    let before = everything(&server);
    store.settle(&log, vec![settlement]).await.unwrap();
    assert_eq!(everything(&server), before, "an entry that is gone is passed over with all that follows");
    let retried = store.claim(&log, 10, Span::from_secs(30)).await.unwrap().entries;
    assert_eq!((retried.len(), retried[0].history.clone()), (1, Some(history(now))));
}

#[tokio::test]
async fn without_memory_nothing_is_committed_and_the_outbox_still_drains() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let full = full_commit(&store, now);
    let shard = full.shard;
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let before = everything(&server);
    let verdict = store.commit(vec![commit(shard, now, vec![change(None, paid(&id("B"), now, HOUR))]).into()]).await.remove(0);
    assert!(matches!(&verdict, Verdict::Refused(why) if why.starts_with("OOM")), "{verdict:?}");
    assert_eq!(everything(&server), before);

    let (log, lease) = ("log".into(), Span::from_secs(30));
    let claimed = store.claim(&log, 10, lease).await.unwrap().entries.remove(0);
    store.renew(&log, std::slice::from_ref(&claimed.entry), lease).await.unwrap();
    assert_eq!(store.workers("w1", lease).await.unwrap(), ["w1"]);
    let retry = After::Retry { event: claimed.events[0].clone(), history: history(now), at: now };
    store.settle(&log, vec![Settlement { entry: claimed.entry, after: vec![retry] }]).await.unwrap();
    let claimed = store.claim(&log, 10, lease).await.unwrap().entries.remove(0);
    store.settle(&log, vec![Settlement { entry: claimed.entry, after: vec![] }]).await.unwrap();
    assert_eq!(store.stats().await.unwrap().actions[0].pending, 0);
}

async fn why_refused(settings: RedisSettings) -> String {
    RedisStore::open(settings).await.err().expect("the store does not open").to_string()
}

#[tokio::test]
async fn a_server_or_store_that_does_not_fit_is_refused_with_the_way_out() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("allkeys-lru") && why.contains("noeviction"), "{why}");
    assert!(everything(&server).is_empty());
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).unwrap();
    open(&server).await;

    let why = why_refused(RedisSettings { shards: 32, ..settings(&server) }).await;
    assert!(why.contains("64") && why.contains("32"), "{why}");
    server.cli(&["HSET", "ar:meta", "format", "2"]).unwrap();
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("format 2") && why.contains("newer"), "{why}");
    server.cli(&["HDEL", "ar:meta", "program"]).unwrap();
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("ar:meta") && why.contains("another prefix"), "{why}");
    server.cli(&["SET", "ar:meta", "x"]).unwrap();
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("WRONGTYPE") && why.contains("ar:meta"), "{why}");
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    assert!(why_refused(settings(&server)).await.contains("replica"));
    for wrong in [
        RedisSettings { prefix: "{x}".into(), ..settings(&server) },
        RedisSettings { prefix: String::new(), ..settings(&server) },
        RedisSettings { shards: 0, ..settings(&server) },
        RedisSettings { connections: 0, ..settings(&server) },
        RedisSettings { timeout: Span::ZERO, ..settings(&server) },
    ] {
        why_refused(wrong).await;
    }
}

#[tokio::test]
async fn a_password_opens_the_store_and_never_stands_in_a_message() {
    let server = RedisServer::start(&["--requirepass", "s3cr3t"]);
    let with = |user: &str, password: &str| RedisSettings {
        url: format!("redis://{user}:{password}@127.0.0.1:{}/1", server.port),
        ..settings(&server)
    };
    RedisStore::open(with("", "s3cr3t")).await.unwrap();
    RedisStore::open(with("default", "s3cr3t")).await.unwrap();
    let mut messages = vec![why_refused(settings(&server)).await, format!("{:?}", with("", "s3cr3t"))];
    for wrong in ["c4n4ry", "c4n4ry@x:y/z", "c4n4ry%"] {
        messages.push(why_refused(with("", wrong)).await);
    }
    messages.push(why_refused(RedisSettings { url: "c4n4ry://s3cr3t".into(), ..settings(&server) }).await);
    for message in messages {
        assert!(!message.contains("c4n4ry") && !message.contains("s3cr3t"), "{message}");
    }
}

#[tokio::test]
async fn a_secured_address_is_never_served_in_the_clear() {
    let server = RedisServer::start(&[]);
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let why = why_refused(RedisSettings { url, ..settings(&server) }).await;
    assert!(why.contains("cannot be reached"), "{why}");
    assert!(everything(&server).is_empty());
}

#[tokio::test]
async fn a_missing_right_is_found_at_the_start_and_one_taken_away_later_leaves_no_half_state() {
    let server = RedisServer::start(&["--user", "default", "on", "nopass", "~*", "&*", "+@all"]);
    let user = RedisSettings { url: format!("redis://shop:pw@127.0.0.1:{}", server.port), ..settings(&server) };
    let grant = |rights: &[&str]| {
        server.cli(&[&["ACL", "SETUSER", "shop", "reset", "on", ">pw", "~ar:*", "+@all", "-@dangerous", "+info"], rights].concat()).unwrap()
    };
    for command in ["HSET", "HSETNX", "HDEL", "ZADD", "ZREM", "HMGET", "ZRANGE", "EVALSHA", "SADD"] {
        grant(&[&format!("-{}", command.to_lowercase())]);
        let why = why_refused(user.clone()).await;
        assert!(why.to_uppercase().contains(command), "{why}");
        assert!(everything(&server).is_empty());
    }
    grant(&[]);
    let store = RedisStore::open(user).await.unwrap();
    let now = now(&store).await;
    let mut full = full_commit(&store, now);
    full.changes.truncate(1);
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    let before = everything(&server);
    for command in ["-hset", "-hdel", "-zadd", "-zrem", "-hsetnx", "-hmget", "-type"] {
        grant(&[command]);
        let mut full = full_commit(&store, now);
        full.changes.remove(0);
        full.notes.clear();
        let verdict = store.commit(vec![full.into()]).await.remove(0);
        assert!(matches!(verdict, Verdict::Refused(_)), "{command}: {verdict:?}");
        assert_eq!(everything(&server), before, "{command}");
    }
}

#[tokio::test]
async fn every_key_is_documented_and_carries_its_shard() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    store.workers("w1", Span::from_secs(10)).await.unwrap();
    assert_eq!(store.commit(vec![full_commit(&store, now).into()]).await, [all_done()]);
    let claimed = store.claim(&"log".into(), 1, Span::from_secs(30)).await.unwrap().entries.remove(0);
    let dead = After::Dead { event: claimed.events[0].clone(), history: history(now), at: now };
    store.settle(&"log".into(), vec![Settlement { entry: claimed.entry, after: vec![dead] }]).await.unwrap();
    let shard = format!("ar:{{{}}}:", store.shard_of(&id("A-1")));
    let known = ["orders", "due", "counts", "held", "purge", "terms", "dead:log", "deaddata:log", "out:webhook", "outdata:webhook"];
    let mut expected: Vec<String> = known.iter().map(|what| format!("{shard}{what}")).collect();
    expected.extend(["ar:meta", "ar:workers", "ar:actions"].map(String::from));
    expected.sort();
    let keys: Vec<String> = everything(&server).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, expected);
}

/// Orders that all lie in shard 0.
fn in_one_shard(store: &RedisStore, now: Time, count: usize) -> Vec<Order> {
    let ids = (0..).map(|i| id(&format!("S-{i}"))).filter(|id| store.shard_of(id) == 0);
    ids.take(count).map(|id| paid(&id, now, 25 * HOUR)).collect()
}

#[tokio::test]
async fn a_commit_of_a_thousand_changes_is_carried_out_and_a_larger_one_is_refused() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let orders = in_one_shard(&store, now, 1_001);
    let mut changes: Vec<Change> = orders.iter().map(|order| change(None, order.clone())).collect();
    let refused = store.commit(vec![commit(0, now, changes.clone()).into()]).await.remove(0);
    assert!(matches!(&refused, Verdict::Refused(why) if why.contains("1001")), "{refused:?}");
    changes.pop();
    let mut largest = commit(0, now, changes);
    largest.entries = vec![entry("log", "e", now)];
    assert_eq!(store.commit(vec![largest.into()]).await, [all_done()]);
    let due = store.due(&[Look { shard: 0, extra: 1 }], 998).await.unwrap();
    assert_eq!((due.shards[0].orders.len(), due.shards[0].next_at), (999, orders[0].wake()));
    let claimed = store.claim(&"log".into(), 1, Span::from_secs(30)).await.unwrap();
    assert_eq!(claimed.entries[0].events.len(), 1_000);
    // Every second one has another version by now.
    let moved: Vec<Change> = orders.iter().take(1_000).map(|order| change(Some(order), after(order, &Command::Due, now))).collect();
    let half = moved.iter().step_by(2).cloned().collect();
    assert_eq!(store.commit(vec![commit(0, now, half).into()]).await, [all_done()]);
    let losers = (0..1_000).step_by(2).collect();
    assert_eq!(store.commit(vec![commit(0, now, moved).into()]).await, [Verdict::Done { losers }]);
}

#[tokio::test]
async fn two_hundred_orders_with_four_kibibytes_of_data_are_committed_at_once() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let data = format!("\"{}\"", "가|%~".repeat(682));
    let mut orders = in_one_shard(&store, now, 200);
    for order in &mut orders {
        order.data = Some(autoreceive::domain::words::Data::new(&data).unwrap());
    }
    let mut large = commit(0, now, orders.iter().map(|order| change(None, order.clone())).collect());
    large.entries = vec![entry("log", "e", now)];
    assert_eq!(store.commit(vec![large.into()]).await, [all_done()]);
    let ids: Vec<OrderId> = orders.iter().map(|order| order.id.clone()).collect();
    let loaded = store.load(&ids).await.unwrap().orders;
    assert!(loaded.into_iter().zip(&orders).all(|(loaded, order)| loaded.as_ref() == Ok(&Some(order.clone()))));
    let claimed = store.claim(&"log".into(), 1, Span::from_secs(30)).await.unwrap();
    assert_eq!(claimed.entries[0].events.len(), 200);
}

#[tokio::test]
async fn a_commit_that_is_not_answered_in_time_is_unknown_and_loading_shows_what_became_of_it() {
    let server = Arc::new(RedisServer::start(&["--enable-debug-command", "yes"]));
    let store = RedisStore::open(RedisSettings { timeout: Span::from_ms(200), ..settings(&server) }).await.unwrap();
    let now = now(&store).await;
    let order = paid(&id("A-1"), now, HOUR);
    // A server that did not know the script would answer so after waking, and nothing would come of it.
    for _ in 0..8 {
        assert_eq!(store.commit(vec![commit(0, now, vec![]).into()]).await, [all_done()]);
    }
    let asleep = server.clone();
    let sleep = std::thread::spawn(move || asleep.cli(&["DEBUG", "SLEEP", "2"]));
    until(async || store.heads().await.err()).await;
    let verdict = store.commit(vec![commit(store.shard_of(&order.id), now, vec![change(None, order.clone())]).into()]).await.remove(0);
    assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    let found = until(async || store.load(std::slice::from_ref(&order.id)).await.ok()?.orders.remove(0).ok()?).await;
    assert_eq!(found, order);
    sleep.join().unwrap().unwrap();
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

#[tokio::test]
async fn a_killed_server_refuses_and_serves_again_by_itself_with_all_that_was_acknowledged() {
    let mut server = RedisServer::start(&["--appendfsync", "always"]);
    let store = open(&server).await;
    let now = now(&store).await;
    let order = paid(&id("A-1"), now, HOUR);
    let one = || vec![commit(store.shard_of(&order.id), now, vec![change(None, order.clone())]).into()];
    assert_eq!(store.commit(one()).await, [all_done()]);
    server.kill();
    assert!(store.load(std::slice::from_ref(&order.id)).await.is_err());
    assert!(!matches!(store.commit(one()).await[0], Verdict::Done { .. }));
    server.restart();
    let found = until(async || store.load(std::slice::from_ref(&order.id)).await.ok()?.orders.remove(0).ok()?).await;
    assert_eq!(found, order);
}

#[tokio::test]
async fn pages_go_through_all_shards_without_a_gap_even_where_all_fall_due_in_one_millisecond() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let mut expected: Vec<OrderId> = Vec::new();
    for i in 0..500 {
        let order = paid(&id(&format!("P-{i}")), now, 25 * HOUR);
        expected.push(order.id.clone());
        assert_eq!(store.commit(vec![commit(store.shard_of(&order.id), now, vec![change(None, order)]).into()]).await, [all_done()]);
    }
    expected.sort();
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.page(View::Overdue, cursor.as_deref(), 7).await.unwrap();
        found.extend(page.items.into_iter().map(|item| item.id));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
        assert!(store.page(View::Upcoming, cursor.as_deref(), 7).await.is_err(), "a cursor belongs to its view");
    }
    assert_eq!(found, expected);
    assert!(store.page(View::Upcoming, None, 7).await.unwrap().items.is_empty());
    for wrong in ["", "x", "b3ZlcmR1ZQ", "가"] {
        assert!(store.page(View::Overdue, Some(wrong), 7).await.is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_claim_never_takes_more_than_its_limit_and_reaches_every_shard() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let (now, log) = (now(&store).await, "log".into());
    let orders: Vec<Order> = (0..100).map(|i| paid(&id(&format!("C-{i}")), now, HOUR)).collect();
    let commits = orders.iter().map(|order| {
        let mut one = commit(store.shard_of(&order.id), now, vec![change(None, order.clone())]);
        one.entries = vec![entry("log", order.id.as_str(), now)];
        one
    });
    assert_eq!(store.commit(commits.map(Into::into).collect()).await, vec![all_done(); 100]);
    let mut taken: Vec<EntryRef> = Vec::new();
    while taken.len() < 98 {
        let claimed = store.claim(&log, 7, Span::from_secs(60)).await.unwrap();
        assert_eq!(claimed.entries.len(), 7);
        assert!(claimed.next_at.is_some_and(|at| at <= claimed.now));
        taken.extend(claimed.entries.into_iter().map(|claimed| claimed.entry));
    }
    let last = store.claim(&log, 7, Span::from_secs(60)).await.unwrap();
    assert_eq!(last.entries.len(), 2);
    assert!(last.next_at.is_some_and(|at| at > last.now));
    taken.extend(last.entries.into_iter().map(|claimed| claimed.entry));
    let different: std::collections::HashSet<EntryRef> = taken.iter().cloned().collect();
    assert_eq!(different.len(), 100);
    let (kept, removed) = taken.split_at(50);
    store.settle(&log, removed.iter().map(|entry| Settlement { entry: entry.clone(), after: vec![] }).collect()).await.unwrap();
    store.renew(&log, &taken, Span::ZERO).await.unwrap();
    let again = store.claim(&log, 100, Span::from_secs(60)).await.unwrap();
    assert_eq!(again.entries.len(), kept.len(), "a renewal must not bring back what was settled");
}

#[tokio::test]
async fn what_cannot_be_read_is_listed_and_harms_nothing_else() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let full = full_commit(&store, now);
    let shard = full.shard;
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    let key = |what: &str| format!("ar:{{{shard}}}:{what}");
    server.cli(&["HSET", &key("orders"), "A-1", "1|?|nonsense"]).unwrap();
    server.cli(&["HSET", &key("outdata:log"), "e1", "nonsense"]).unwrap();
    server.cli(&["ZADD", &key("due"), "1", "not\nan id"]).unwrap();
    assert!(store.load(&[id("A-1")]).await.unwrap().orders[0].is_err());
    let due = store.due(&[Look { shard, extra: 0 }], 10).await.unwrap();
    assert!(due.shards[0].orders.len() == 1 && due.shards[0].orders[0].order.is_err());
    assert!(store.page(View::Overdue, None, 10).await.unwrap().items[0].order.is_err());
    let claimed = store.claim(&"log".into(), 10, Span::from_secs(30)).await.unwrap();
    assert_eq!((claimed.entries.len(), claimed.unreadable.len()), (0, 1));
    assert!(store.claim(&"log".into(), 10, Span::from_secs(30)).await.unwrap().unreadable.is_empty(), "it is under lease");
}

#[tokio::test]
async fn a_waiting_order_takes_at_most_310_bytes() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let used = || -> i64 {
        let info: String = redis::from_redis_value(server.cli(&["INFO", "memory"]).unwrap()).unwrap();
        info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap()
    };
    let before = used();
    let mut shards: Vec<Vec<Change>> = vec![vec![]; 64];
    let count = 50_000;
    for i in 0..count {
        let order = paid(&id(&format!("20261122{i:010}")), now, HOUR);
        shards[usize::from(store.shard_of(&order.id))].push(change(None, order));
    }
    for (shard, changes) in shards.into_iter().enumerate() {
        let commits = changes.chunks(500).map(|changes| commit(shard as Shard, now, changes.to_vec()));
        assert!(store.commit(commits.map(Into::into).collect()).await.iter().all(|verdict| *verdict == all_done()));
    }
    let each = (used() - before) / count;
    println!("{each} bytes for a waiting order");
    assert!(each <= 310, "{each}");
}
