//! All interleavings of one write of the shop, the guard and the commit of two workers, and a crash
//! between these two, with the guard's real script on a real Redis and with real stores. Two
//! planted bugs (a guard without a mark, and a write-back after the commit) must be detected.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use autoreceive::action::{Action, Outcome, Subscription};
use autoreceive::domain::decide::decide_absent;
use autoreceive::domain::{
    Cause, Command, Decision, Event, EventKind, Observation, Order, OrderId, Policy, Span, Status,
    Terms,
};
use autoreceive::engine::Metrics;
use autoreceive::engine::{Engine, Guard, ShopDecision};
use autoreceive::intake::shapes::Shape;
use autoreceive::intake::shop::Shop;
use autoreceive::intake::words::StatusWords;
use autoreceive::intake::{CountFrom, Intake, guard};
use autoreceive::store::{Change, Commit, CommitResult, Round, Store};
use autoreceive_store_redis::{RedisSettings, RedisStore};
use autoreceive_store_sqlite::SqliteStore;
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::kit::id;
use crate::support::process::eventually;
use crate::support::redis_server::RedisServer;

/// The shop's single write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShopWrite {
    Cancelled,
    Refunded,
    Received,
    PaidAgain,
    Shipped,
    Removed,
}

const WRITES: [ShopWrite; 6] = [
    ShopWrite::Cancelled,
    ShopWrite::Refunded,
    ShopWrite::Received,
    ShopWrite::PaidAgain,
    ShopWrite::Shipped,
    ShopWrite::Removed,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InterleavingStep {
    Ask(usize),
    Commit(usize),
    Shop,
}

/// All merges of sequences that keep the order within each.
fn merges(parts: &[Vec<InterleavingStep>]) -> Vec<Vec<InterleavingStep>> {
    if parts.iter().all(Vec::is_empty) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (i, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        let mut rest = parts.to_vec();
        rest[i] = part[1..].to_vec();
        all.extend(merges(&rest).into_iter().map(|merged| [&[part[0]], &merged[..]].concat()));
    }
    all
}

/// One worker; one that dies between guard and commit, and another one; two workers.
fn sequences() -> Vec<Vec<InterleavingStep>> {
    use InterleavingStep::{Ask, Commit, Shop};
    let one = merges(&[vec![Ask(0), Commit(0)], vec![Shop]]);
    let crash = merges(&[vec![Ask(0)], vec![Ask(1), Commit(1)], vec![Shop]]);
    let two = merges(&[vec![Ask(0), Commit(0)], vec![Ask(1), Commit(1)], vec![Shop]]);
    [one, crash, two].concat()
}

/// A guard that waits for a permission before it asks and before the commit. A worker that never
/// gets it acts as a dead one.
#[derive(Debug)]
struct Gated {
    inner: Arc<dyn Guard>,
    ask: Semaphore,
    commit: Semaphore,
    asked: AtomicUsize,
    done: AtomicUsize,
}

#[async_trait]
impl Guard for Gated {
    async fn ask(&self, orders: &[OrderId]) -> Vec<ShopDecision> {
        self.ask.acquire().await.unwrap().forget();
        let words = self.inner.ask(orders).await;
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.commit.acquire().await.unwrap().forget();
        words
    }

    async fn done(&self, orders: &[OrderId]) {
        self.inner.done(orders).await;
        self.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// The planted bugs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// The script writes no mark.
    NoMark,
    /// The receipt is committed without the guard, and written back later if the key is still PAID.
    WriteBackAfterCommit,
}

#[derive(Debug)]
struct Buggy {
    bug: Bug,
    url: String,
    shape: Shape,
}

const WITHOUT_MARK: &str = "local s = redis.call('GET', KEYS[1]) \
    if s == 'PAID' then redis.call('SET', KEYS[1], 'RECEIVED') return 'ours' end return s";

impl Buggy {
    async fn status_after_write(&self, id: &OrderId) -> Option<String> {
        let mut redis = redis::Client::open(self.url.as_str())
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .unwrap();
        redis::cmd("EVAL")
            .arg(WITHOUT_MARK)
            .arg(1)
            .arg(self.shape.key(id))
            .query_async(&mut redis)
            .await
            .unwrap()
    }
}

#[async_trait]
impl Guard for Buggy {
    async fn ask(&self, orders: &[OrderId]) -> Vec<ShopDecision> {
        let mut said = Vec::new();
        for order in orders {
            said.push(match self.bug {
                Bug::WriteBackAfterCommit => ShopDecision::Ours,
                _ => match self.status_after_write(order).await.as_deref() {
                    Some("ours") => ShopDecision::Ours,
                    Some("RECEIVED") => ShopDecision::Shop(Observation::Received),
                    Some("CANCELLED") => {
                        ShopDecision::Shop(Observation::Cancelled("cancelled".parse().unwrap()))
                    }
                    Some("REFUNDED") => {
                        ShopDecision::Shop(Observation::Refunded("refunded".parse().unwrap()))
                    }
                    _ => ShopDecision::Shop(Observation::Other("other".parse().unwrap())),
                },
            });
        }
        said
    }

    async fn done(&self, orders: &[OrderId]) {
        for order in orders.iter().filter(|_| self.bug == Bug::WriteBackAfterCommit) {
            self.status_after_write(order).await;
        }
    }
}

/// The attempted events, by id.
#[derive(Clone, Default)]
struct AttemptedEvents(Arc<Mutex<BTreeMap<String, Event>>>);

#[async_trait]
impl Action for AttemptedEvents {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        let mut attempted = self.0.lock().unwrap();
        for event in events {
            attempted.insert(event.id(), event.clone());
        }
        vec![Outcome::Done; events.len()]
    }
}

struct Worker {
    engine: Engine,
    gate: Arc<Gated>,
    metrics: Arc<Metrics>,
}

/// One order of a shop, on its own store, with its own prefix.
struct Interleaving {
    name: String,
    shop: Arc<Shop>,
    store: Arc<dyn Store>,
    shop_url: String,
    attempted: AttemptedEvents,
    bug: Bug,
}

fn policy() -> Policy {
    Policy::new("default", Terms::default()).unwrap()
}

fn the_order() -> OrderId {
    id("A:1 {x}")
}

impl Interleaving {
    async fn open(number: usize, redis: &RedisServer, on_redis: bool, bug: Bug) -> Interleaving {
        let name = format!("{number}-{}", if on_redis { "redis" } else { "sqlite" });
        let shape = |kind: &str| Shape { prefix: format!("{kind}:{name}:"), suffix: String::new() };
        let words = StatusWords {
            paid: "PAID".into(),
            received: "RECEIVED".into(),
            cancelled: vec!["CANCELLED".into()],
            refunded: vec!["REFUNDED".into()],
        };
        let shop = Shop::new(
            &redis.url(),
            Duration::from_secs(20),
            shape("status"),
            shape("trigger"),
            words,
        )
        .unwrap();
        let store: Arc<dyn Store> = if on_redis {
            let settings = RedisSettings {
                url: redis.url(),
                prefix: format!("ar-{name}"),
                shards: 1,
                connections: 2,
                ..RedisSettings::default()
            };
            Arc::new(RedisStore::open(settings).await.unwrap())
        } else {
            Arc::new(SqliteStore::in_memory().unwrap())
        };
        Interleaving {
            name,
            shop: Arc::new(shop),
            store,
            shop_url: redis.url(),
            attempted: AttemptedEvents::default(),
            bug,
        }
    }

    async fn command(&self, command: &[&str]) -> Option<String> {
        let mut redis = redis::Client::open(self.shop_url.as_str())
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .unwrap();
        redis::cmd(command[0]).arg(&command[1..]).query_async(&mut redis).await.unwrap()
    }

    fn status_key(&self) -> String {
        self.shop.statuses.key(&the_order())
    }

    /// An order that was adopted an hour ago. With a short window it is so overdue that any worker
    /// may receive it.
    async fn adopt(&self, silence: Span) {
        self.command(&["SET", &self.status_key(), "PAID"]).await;
        self.command(&["SET", &self.shop.triggers.key(&the_order()), "trigger", "EX", "1000"])
            .await;
        let now = self.store.now().await.unwrap();
        let observation =
            Observation::Paid { policy: policy().name(), receive_after: Some(silence) };
        let decided = decide_absent(
            &the_order(),
            &Command::Observe(Box::new(observation)),
            now.before(Span::from_hours(1)),
            Some(&policy()),
        );
        let Decision::Changed(order) = decided else { panic!("not adopted") };
        let change = Change {
            id: the_order(),
            expected: 0,
            was: None,
            order: Some(order),
            events: Vec::new(),
        };
        let shard = self.store.about().shards.of(&the_order());
        let state = self.store.load(&[the_order()]).await.remove(0).unwrap().shard;
        let round = Round { changes: vec![change], policies: vec![policy()], ..Round::default() };
        let commit = Commit { shard, now, state, epoch: None, read: None, round: round.into() };
        assert_eq!(self.store.commit(vec![commit]).await, [CommitResult::Committed]);
    }

    fn engine(&self, guard: Arc<dyn Guard>, metrics: &Arc<Metrics>) -> Engine {
        let action = Subscription {
            on: EventKind::ALL.to_vec(),
            ..Subscription::new("attempts".parse().unwrap(), self.attempted.clone())
        };
        let builder =
            Engine::builder(self.store.clone()).policy(policy()).action(action).guard(guard);
        builder.check_every(Duration::from_millis(50)).metrics(metrics.clone()).start()
    }

    fn worker(&self) -> Worker {
        let metrics = Arc::new(Metrics::default());
        let inner: Arc<dyn Guard> = match self.bug {
            Bug::None => guard(&self.shop, &policy(), &Arc::default()),
            bug => Arc::new(Buggy {
                bug,
                url: self.shop_url.clone(),
                shape: self.shop.statuses.clone(),
            }),
        };
        let ask = Semaphore::new(0);
        let commit = Semaphore::new(0);
        let gate = Arc::new(Gated {
            inner,
            ask,
            commit,
            asked: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        });
        Worker { engine: self.engine(gate.clone(), &metrics), gate, metrics }
    }

    async fn order(&self) -> Order {
        self.store.load(&[the_order()]).await.remove(0).unwrap().value.unwrap().unwrap()
    }

    async fn write(&self, write: ShopWrite) {
        let key = self.status_key();
        let word = match write {
            ShopWrite::Cancelled => "CANCELLED",
            ShopWrite::Refunded => "REFUNDED",
            ShopWrite::Received => "RECEIVED",
            ShopWrite::PaidAgain => "PAID",
            ShopWrite::Shipped => "SHIPPED",
            ShopWrite::Removed => return drop(self.command(&["GETDEL", &key]).await),
        };
        self.command(&["SET", &key, word]).await;
    }

    async fn take(&self, step: InterleavingStep, write: ShopWrite, workers: &[Worker]) {
        match step {
            InterleavingStep::Shop => self.write(write).await,
            InterleavingStep::Ask(w) => {
                workers[w].gate.ask.add_permits(1);
                eventually("the guard has answered", 30, async || {
                    workers[w].gate.asked.load(Ordering::SeqCst) > 0
                })
                .await;
            }
            InterleavingStep::Commit(w) => {
                let before = self.order().await.version;
                workers[w].gate.commit.add_permits(1);
                let lost = || workers[w].metrics.conflicts_of("guarded") > 0;
                eventually("the commit has won or lost", 30, async || {
                    lost() || self.order().await.version > before
                })
                .await;
            }
        }
    }

    /// A living worker finishes all work: scans and receipts until nothing changes.
    async fn settle(&self) {
        let metrics = Arc::new(Metrics::default());
        let real = guard(&self.shop, &policy(), &Arc::default());
        let settings = autoreceive::intake::IntakeSettings {
            scan_every: Duration::from_secs(60),
            notifications: false,
            set_notifications: false,
            count_from: CountFrom::Payment,
            policy: policy(),
        };
        let engine = match self.bug {
            Bug::None => self.engine(real, &metrics),
            bug => self.engine(
                Arc::new(Buggy {
                    bug,
                    url: self.shop_url.clone(),
                    shape: self.shop.statuses.clone(),
                }),
                &metrics,
            ),
        };
        let is_settled = async || {
            let order = self.order().await;
            let now = self.store.now().await.unwrap();
            let stats = self.store.stats().await.unwrap();
            order.next_due_at().is_none_or(|at| at > now)
                && stats.actions.iter().all(|action| action.pending == 0)
        };
        // First the due order, as after a restart, then the shop's write. The reverse order is
        // below.
        eventually("nothing is due", 30, is_settled).await;
        let intake = Intake::new(self.shop.clone(), settings, engine.clone(), Arc::default());
        for _ in 0..2 {
            intake.scan().await.unwrap();
            eventually("nothing is due", 30, is_settled).await;
        }
        engine.stop(Duration::from_secs(1)).await;
    }

    /// The error in the final state, if any.
    async fn verdict(&self, steps: &[InterleavingStep], write: ShopWrite) -> Option<String> {
        let asked = steps.iter().position(|step| matches!(step, InterleavingStep::Ask(_))).unwrap();
        let wrote = steps.iter().position(|step| *step == InterleavingStep::Shop).unwrap();
        let order = self.order().await;
        let shop = self.command(&["GET", &self.status_key()]).await;
        let attempted = self.attempted.0.lock().unwrap();
        let receipts: Vec<&Event> =
            attempted.values().filter(|event| event.kind() == EventKind::Received).collect();
        let cause = receipts.first().map(|event| event.cause());
        let ended = (order.status, receipts.len(), cause, order.is_held(), shop.as_deref());
        let timer = Some(Cause::Timer);
        let by_shop = Some(Cause::Shop);
        let expected = match (write, wrote < asked) {
            (ShopWrite::Cancelled, true) => (Status::Cancelled, 0, None, false, Some("CANCELLED")),
            (ShopWrite::Refunded, true) => (Status::Refunded, 0, None, false, Some("REFUNDED")),
            (ShopWrite::Received, true) => (Status::Received, 1, by_shop, false, Some("RECEIVED")),
            (ShopWrite::Shipped, true) => (Status::Paid, 0, None, true, Some("SHIPPED")),
            (ShopWrite::Removed, true) => (Status::Paid, 0, None, true, None),
            (ShopWrite::PaidAgain, true) => (Status::Received, 1, timer, false, Some("RECEIVED")),
            (ShopWrite::Cancelled, false) => (Status::Refunded, 1, timer, false, Some("CANCELLED")),
            (ShopWrite::Refunded, false) => (Status::Refunded, 1, timer, false, Some("REFUNDED")),
            (ShopWrite::Received, false) => (Status::Received, 1, timer, false, Some("RECEIVED")),
            (ShopWrite::PaidAgain, false) => (Status::Received, 1, timer, false, Some("PAID")),
            (ShopWrite::Shipped, false) => (Status::Received, 1, timer, false, Some("SHIPPED")),
            (ShopWrite::Removed, false) => (Status::Received, 1, timer, false, None),
        };
        (ended != expected)
            .then(|| format!("{} {write:?} {steps:?}: {ended:?}, not {expected:?}", self.name))
    }

    async fn run(self, steps: &[InterleavingStep], write: ShopWrite) -> Option<String> {
        self.adopt(Span::from_secs(1)).await;
        let count = steps
            .iter()
            .filter_map(|step| if let InterleavingStep::Ask(w) = step { Some(w + 1) } else { None })
            .max()
            .unwrap();
        let workers: Vec<Worker> = (0..count).map(|_| self.worker()).collect();
        for step in steps {
            self.take(*step, write, &workers).await;
        }
        self.settle().await;
        let wrong = self.verdict(steps, write).await;
        for worker in workers {
            // Dead workers wait in their gate until the end of the test.
            worker.engine.stop(Duration::ZERO).await;
        }
        wrong
    }
}

/// Runs every case. Returns their number and the errors.
async fn every_case(bug: Bug, stores: &[bool]) -> (usize, Vec<String>) {
    let redis = RedisServer::start(&["--appendonly", "no"]);
    let sequences = sequences();
    let cases =
        WRITES.iter().flat_map(|write| sequences.iter().map(move |steps| (*write, steps.clone())));
    let cases: Vec<_> = cases
        .flat_map(|(write, steps)| {
            stores.iter().map(move |on_redis| (write, steps.clone(), *on_redis))
        })
        .enumerate()
        .collect();
    let start = Instant::now();
    let count = cases.len();
    let run =
        |(number, (write, steps, on_redis)): (usize, (ShopWrite, Vec<InterleavingStep>, bool))| {
            let redis = &redis;
            async move {
                Interleaving::open(number, redis, on_redis, bug).await.run(&steps, write).await
            }
        };
    let wrong: Vec<String> = stream::iter(cases)
        .map(run)
        .buffer_unordered(16)
        .filter_map(std::future::ready)
        .collect()
        .await;
    println!(
        "{bug:?}: {count} interleavings, {} wrong, {:.1} s",
        wrong.len(),
        start.elapsed().as_secs_f64()
    );
    (count, wrong)
}

/// A worker reads the status from before the payment. Before it submits this, another one sees the
/// payment and adopts the order.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_from_before_the_payment_stops_no_clock() {
    let redis = RedisServer::start(&["--appendonly", "no"]);
    let case = Interleaving::open(0, &redis, false, Bug::None).await;
    case.adopt(Span::from_hours(24)).await;
    case.command(&["SET", &case.status_key(), "PENDING_PAYMENT"]).await;
    case.settle().await;
    assert!(!case.order().await.is_held());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_interleaving_the_shops_status_wins_and_no_receipt_is_lost_or_doubled() {
    let (count, wrong) = every_case(Bug::None, &[false, true]).await;
    assert_eq!(count, 45 * WRITES.len() * 2);
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_detects_a_guard_without_a_mark_and_a_late_write_back() {
    for bug in [Bug::NoMark, Bug::WriteBackAfterCommit] {
        let (count, wrong) = every_case(bug, &[false]).await;
        assert!(!wrong.is_empty() && wrong.len() < count, "{bug:?}: {} of {count}", wrong.len());
        println!("{}", wrong.first().unwrap());
    }
}
