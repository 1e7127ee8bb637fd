//! Many clients send commands to several workers at the moment of the deadline. Each order has
//! exactly one legal history, and every version has exactly one event.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoreceive::action::{Action, Outcome, Subscription};
use autoreceive::domain::{
    Cause, Command, Event, EventKind, Order, OrderId, Place, Policy, Span, Status, Terms,
};
use autoreceive::engine::{Engine, SubmitError};
use autoreceive::store::Store;
use autoreceive_store_redis::{RedisSettings, RedisStore};
use autoreceive_store_sqlite::SqliteStore;

use crate::support::process::eventually;
use crate::support::redis_server::RedisServer;

const ORDERS: usize = 2_000;
const SILENCE_MS: i64 = 1_500;

/// Remembers every event that was attempted.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<Event>>>);

#[async_trait]
impl Action for Witness {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(events);
        vec![Outcome::Done; events.len()]
    }
}

type OrderEvents = BTreeMap<u64, Arc<Order>>;

impl Witness {
    /// The versions of each order. Fails if two different events have the same version.
    fn histories(&self) -> HashMap<OrderId, OrderEvents> {
        let mut histories: HashMap<OrderId, OrderEvents> = HashMap::new();
        for event in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let known = histories
                .entry(event.0.id.clone())
                .or_default()
                .entry(event.0.version)
                .or_insert_with(|| event.0.clone());
            assert_eq!(*known, event.0, "one version, two events");
        }
        histories
    }
}

fn policy() -> Policy {
    let terms = Terms {
        receive_after: Span::from_ms(SILENCE_MS),
        max_extensions: 1,
        extend_by: Span::from_ms(200),
        release_grace: Span::from_ms(100),
        settle_after: Some(Span::from_ms(300)),
        ..Terms::default()
    };
    Policy::new("default", terms).unwrap()
}

fn engine(store: Arc<dyn Store>, witness: &Witness) -> Engine {
    let action = Subscription::new("witness".parse().unwrap(), witness.clone()).on(&EventKind::ALL);
    Engine::builder(store).policy(policy()).action(action).start()
}

fn id(i: usize) -> OrderId {
    format!("race:{i}").parse().unwrap()
}

fn place() -> Command {
    Place::new().into()
}

/// The command that client `client` sends to order `i`.
fn shot(i: usize, client: usize) -> Command {
    match (i + client) % 6 {
        0 => Command::Cancel { reason: "regret".parse().unwrap() },
        1 => Command::Receive { by: Cause::Buyer },
        2 => Command::Extend { number: 1 },
        3 => Command::Hold { id: "dispute".parse().unwrap(), reason: "dispute".parse().unwrap() },
        4 => Command::Refund { reason: None },
        _ => Command::Release { id: "dispute".parse().unwrap() },
    }
}

async fn submit(engine: &Engine, id: OrderId, command: Command) {
    loop {
        match engine.submit(id.clone(), command.clone()).await {
            Ok(_) => return,
            Err(SubmitError::Overloaded | SubmitError::Store(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Places and pays all orders, sends commands from three clients when each falls due, and releases
/// all holds at the end.
async fn race(engines: &[Engine]) {
    let mut clients = tokio::task::JoinSet::new();
    for i in 0..ORDERS {
        let engines = engines.to_vec();
        clients.spawn(async move {
            let of = |client: usize| engines[(i + client) % engines.len()].clone();
            // Both are queued before the first is answered: two commands of one order in one batch.
            let pending = [
                of(0).enqueue(id(i), place()).await.unwrap(),
                of(0).enqueue(id(i), Command::Pay { at: None }).await.unwrap(),
            ];
            let [_, paid] =
                futures_util::future::try_join_all(pending).await.unwrap().try_into().unwrap();
            let (order, _) = paid.order.unwrap();
            let wait = order.clock.deadline().unwrap().since(order.changed_at).to_std();
            tokio::time::sleep(wait.saturating_sub(Duration::from_millis((i % 5) as u64))).await;
            let shots = (0..3).map(|client| {
                let engine = of(client);
                async move { submit(&engine, id(i), shot(i, client)).await }
            });
            futures_util::future::join_all(shots).await;
            submit(&of(1), id(i), Command::Release { id: "dispute".parse().unwrap() }).await;
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

/// True if `to` may follow `from` in an order's life.
fn is_legal(from: &Order, to: &Order) -> bool {
    use Status::{Cancelled, Completed, Paid, PendingPayment, Received, Refunded};
    match (from.status, to.status, to.kind) {
        (PendingPayment, Paid, EventKind::Paid) => true,
        (Paid, Received, EventKind::Received) if to.cause == Cause::Timer => {
            from.clock.deadline().is_some_and(|at| at <= to.changed_at)
        }
        (Paid, Received, EventKind::Received) => to.cause == Cause::Buyer,
        (Paid, Cancelled, EventKind::Cancelled)
        | (Paid | Received | Completed, Refunded, EventKind::Refunded) => true,
        (Received, Completed, EventKind::Completed) => {
            from.clock.deadline().is_some_and(|at| at <= to.changed_at)
        }
        (a, b, EventKind::Held | EventKind::Released) => a == b && matches!(a, Paid | Received),
        (Paid, Paid, EventKind::Extended) => from.extensions == 0 && to.extensions == 1,
        _ => false,
    }
}

async fn check(engines: &[Engine], witness: &Witness) {
    eventually("every order is finished and every event was attempted", 60, async || {
        let stats = engines[0].stats().await.unwrap();
        stats.waiting == 0
            && stats.held == 0
            && stats.actions.iter().all(|action| action.pending == 0)
    })
    .await;
    let histories = witness.histories();
    assert_eq!(histories.len(), ORDERS);
    for (id, history) in &histories {
        let (order, _) = engines[0].show(id).await.unwrap().unwrap();
        assert_eq!(
            history.keys().copied().collect::<Vec<_>>(),
            (1..=order.version).collect::<Vec<_>>(),
            "{id}: one event for each version"
        );
        assert_eq!(history[&order.version], order);
        assert!(order.is_resting(), "{order:?}");
        for pair in history.values().collect::<Vec<_>>().windows(2) {
            assert!(is_legal(pair[0], pair[1]), "{:?}\n→ {:?}", pair[0], pair[1]);
        }
    }
    let received = histories
        .values()
        .map(|history| history.values().filter(|order| order.kind == EventKind::Received).count())
        .max();
    assert_eq!(received, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_each_order_has_one_legal_history_with_three_workers() {
    let redis = RedisServer::start(&[]);
    let witness = Witness::default();
    let mut engines = Vec::new();
    for _ in 0..3 {
        let store =
            RedisStore::open(RedisSettings { url: redis.url(), ..RedisSettings::default() })
                .await
                .unwrap();
        engines.push(engine(Arc::new(store), &witness));
    }
    race(&engines).await;
    check(&engines, &witness).await;
    for engine in engines {
        engine.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_each_order_has_one_legal_history() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        SqliteStore::open(&directory.path().join("race.db"), Duration::from_secs(5)).unwrap();
    let witness = Witness::default();
    let engines = [engine(Arc::new(store), &witness)];
    race(&engines).await;
    check(&engines, &witness).await;
    engines[0].stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_queued_commands_of_one_order_are_executed_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        SqliteStore::open(&directory.path().join("race.db"), Duration::from_secs(5)).unwrap();
    let witness = Witness::default();
    let engine = engine(Arc::new(store), &witness);
    let hold = |i: usize| Command::Hold {
        id: format!("h{i}").parse().unwrap(),
        reason: "x".parse().unwrap(),
    };
    let release = |i: usize| Command::Release { id: format!("h{i}").parse().unwrap() };
    let mut commands = vec![place(), Command::Pay { at: None }];
    commands.extend((0..10).flat_map(|i| [hold(i), release(i), hold(i)]));
    let mut pending = Vec::new();
    for command in commands {
        pending.push(engine.enqueue(id(0), command).await.unwrap());
    }
    let versions: Vec<u64> = futures_util::future::try_join_all(pending)
        .await
        .unwrap()
        .iter()
        .map(|r| r.order.as_ref().unwrap().0.version)
        .collect();
    let mut expected = vec![1, 2];
    expected.extend((0..10).flat_map(|i| [3 + 2 * i, 4 + 2 * i, 4 + 2 * i]));
    assert_eq!(versions, expected);
    eventually("all 22 versions were attempted", 20, async || {
        witness.histories().get(&id(0)).is_some_and(|history| history.len() == 22)
    })
    .await;
    engine.stop(Duration::from_secs(5)).await;
}
