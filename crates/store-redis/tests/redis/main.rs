//! Tests for the Redis store alone.

use std::sync::Arc;

use autoreceive_domain::{
    ActionName, Command, Decision, Event, Order, OrderId, Place, Policy, Shard, Span, Status,
    Terms, Time, decide,
};
use autoreceive_store::{
    At, Change, Commit, CommitResult, DueShard, EntryRef, EventSelection, FollowUp, History, Look,
    Operations, Orders, Outbox, OutboxEntry, Queue, ReadToken, Refusal, Register, RetentionNote,
    Round, Settlement, Space, Store, View, Which, Why, entry as entry_text,
};
use autoreceive_store_redis::{RedisSettings, RedisStore};

#[path = "../support/redis_server.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod redis_server;
#[path = "../support/shared.rs"]
mod shared;

mod failing;
mod opening;
mod proxy;
mod repaired;
mod watched;
mod working;

use redis_server::RedisServer;

const HOUR: i64 = 3_600_000;
const LEASE: Span = Span::from_ms(30_000);

/// A store with its server and prefix.
struct TestStore {
    server: Arc<RedisServer>,
    prefix: String,
    store: RedisStore,
}

impl TestStore {
    /// On the server that the tests share.
    async fn shared() -> TestStore {
        TestStore::on(shared::server(), shared::prefix(), false).await
    }

    /// On a server of its own, which the test may break.
    async fn own(args: &[&str]) -> TestStore {
        TestStore::on(Arc::new(RedisServer::start(args)), "ar".to_owned(), false).await
    }

    async fn on(server: Arc<RedisServer>, prefix: String, test_clock: bool) -> TestStore {
        let prefix_of = prefix.clone();
        let settings = RedisSettings { prefix: prefix_of, test_clock, ..settings(&server) };
        let store = RedisStore::open(settings).await.expect("the store opens");
        TestStore { server, prefix, store }
    }

    fn key(&self, shard: Shard, what: &str) -> String {
        format!("{}:{{{shard}}}:{what}", self.prefix)
    }

    fn cli(&self, command: &[&str]) -> redis::Value {
        self.server.cli(command).expect("an answer")
    }

    fn shard_of(&self, id: &OrderId) -> Shard {
        self.store.about().shards.of(id)
    }

    /// Every key with its content, to compare before and after.
    fn everything(&self) -> Vec<(String, redis::Value)> {
        everything(&self.server, &format!("{}:", self.prefix))
    }

    async fn now(&self) -> Time {
        self.store.now().await.expect("the store answers")
    }

    /// A commit of this store.
    async fn commit_of(&self, shard: Shard, now: Time, round: Round) -> Commit {
        let look = Look { shard, extra: 0 };
        let at = self.store.due(&[look], 0).await.remove(0).expect("the shard answers");
        Commit { shard, now, state: at.shard, epoch: None, read: None, round: Arc::new(round) }
    }

    async fn commit(&self, shard: Shard, now: Time, round: Round) -> CommitResult {
        let commit = self.commit_of(shard, now, round).await;
        self.store.commit(vec![commit]).await.remove(0)
    }

    async fn keep(&self, shard: Shard, now: Time, changes: Vec<Change>) {
        let round = Round { changes, ..Round::default() };
        assert_eq!(self.commit(shard, now, round).await, CommitResult::Committed);
    }

    async fn load(&self, id: &OrderId) -> Option<Order> {
        let mut slots = self.store.load(std::slice::from_ref(id)).await;
        slots.remove(0).expect("the shard answers").value.expect("a readable record")
    }

    async fn due(&self, shard: Shard, limit: usize) -> At<DueShard> {
        let look = Look { shard, extra: 0 };
        self.store.due(&[look], limit).await.remove(0).expect("the shard answers")
    }

    /// A round that writes every kind of key of a commit, with its shard: an order due at once, a
    /// held one, entries, terms and notes.
    fn full_round(&self, now: Time) -> (Shard, Round) {
        let due = paid(&id("A-1"), now, 25 * HOUR);
        let shard = self.shard_of(&due.id);
        let mut others = (0..).map(|i| id(&format!("H-{i}")));
        let placed = others.find(|other| self.shard_of(other) == shard).unwrap();
        let placed = paid(&placed, now, HOUR);
        let hold = Command::Hold { id: word("dispute"), reason: word("dispute") };
        let mut second = change(None, after(&placed, &hold, now));
        second.events.insert(0, Event(Arc::new(placed)));
        let round = Round {
            changes: vec![change(None, due), second],
            entries: vec![entry("log", "e1", now), entry("webhook", "e1", now)],
            policies: vec![policy()],
            notes: vec![RetentionNote { look_at: now, members: vec![0] }],
            notes_done: vec![],
        };
        (shard, round)
    }

    /// Orders in one shard, due for an hour.
    fn in_shard(&self, shard: Shard, now: Time, count: usize) -> Vec<Order> {
        let ids = (0..).map(|i| id(&format!("S-{i}"))).filter(|id| self.shard_of(id) == shard);
        ids.take(count).map(|id| paid(&id, now, 25 * HOUR)).collect()
    }
}

fn settings(server: &RedisServer) -> RedisSettings {
    RedisSettings { url: server.url(), ..RedisSettings::default() }
}

fn everything(server: &RedisServer, prefix: &str) -> Vec<(String, redis::Value)> {
    let keys = server.cli(&["KEYS", &format!("{prefix}*")]).unwrap();
    let keys: Vec<String> = redis::from_redis_value(keys).unwrap();
    let dump = |key: String| {
        let dump = server.cli(&["DUMP", &key]).unwrap();
        (key, dump)
    };
    let mut all: Vec<_> = keys.into_iter().map(dump).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn id(text: &str) -> OrderId {
    text.parse().expect("an order id")
}

fn word<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("a valid text")
}

fn log() -> ActionName {
    word("log")
}

fn policy() -> Policy {
    Policy::new("default", Terms::default()).expect("a policy")
}

/// An order that was placed and paid `ago` ms before `now`, due 24 hours after that.
fn paid(id: &OrderId, now: Time, ago: i64) -> Order {
    let at = Time::from_ms(now.ms() - ago);
    let buyer = word("buyer-000001");
    let currency = word("KRW");
    let place = Place::new().buyer_id(buyer).amount(59_000).currency(currency).at(at).paid_at(at);
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
    Change {
        id: order.id.clone(),
        expected: was.map_or(0, |was| was.version),
        was: was.filter(|was| !was.is_resting()).map(|was| was.status),
        events: vec![Event(order.clone())],
        order: Some(order),
    }
}

fn entry(action: &str, id: &str, at: Time) -> OutboxEntry {
    OutboxEntry { action: word(action), id: id.into(), at, events: EventSelection::All }
}

fn unavailable(result: &CommitResult) -> Option<&str> {
    match result {
        CommitResult::Refused(Refusal::Unavailable(why)) => Some(why),
        _ => None,
    }
}

fn history(now: Time) -> History {
    History { attempts: 1, first_at: now, errors: vec![(now, "answered 500".into())] }
}

async fn why_refused(settings: RedisSettings) -> String {
    RedisStore::open(settings).await.err().expect("the store does not open").to_string()
}

/// The first result of `look`, polled for up to 10 s.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no result within ten seconds");
}
