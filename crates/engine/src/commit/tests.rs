use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use autoreceive_domain::{Command, OrderId, Place, Policy, Terms};
use autoreceive_store::{Metered, Observer, Store};
use autoreceive_store_sqlite::SqliteStore;
use parking_lot::Mutex;

use super::*;
use crate::Engine;
use crate::planned::ShardPlans;

/// Counts commits, and after each commit changes the next target order.
struct Rival {
    commits: AtomicUsize,
    engine: Engine,
    targets: Mutex<Vec<OrderId>>,
}

impl Observer for Rival {
    fn store_called(&self, operation: &'static str, _: Duration, _: bool) {
        if operation != "commit" {
            return;
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        if let Some(target) = self.targets.lock().pop() {
            let change = self.engine.submit(target, hold());
            // A cancelled order rejects it.
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(change).unwrap()
            });
        }
    }
}

fn hold() -> Command {
    Command::Hold { id: "dispute".parse().unwrap(), reason: "broken".parse().unwrap() }
}

fn policy() -> Policy {
    Policy::new("default", Terms::default()).unwrap()
}

/// `count` paid orders of one shard, a worker with a rival, and a plan to cancel all orders.
async fn scene(count: usize) -> (Engine, Arc<Rival>, Vec<OrderId>, ShardPlan) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let shards = store.about().shards;
    let ids: Vec<OrderId> = (0..)
        .map(|i| format!("A-{i}").parse().unwrap())
        .filter(|id| shards.of(id) == 0)
        .take(count)
        .collect();
    let other = Engine::builder(store.clone()).policy(policy()).start();
    for id in &ids {
        other.submit(id.clone(), Place::new().into()).await.unwrap();
        other.submit(id.clone(), Command::Pay { at: None }).await.unwrap();
    }
    let rival =
        Arc::new(Rival { commits: AtomicUsize::new(0), engine: other, targets: Mutex::default() });
    let metered = Arc::new(Metered::new(store, rival.clone()));
    let engine = Engine::builder(metered).policy(policy()).start();
    let mut plans = ShardPlans::default();
    for (id, found) in ids.iter().zip(engine.core.store.load(&ids).await) {
        let at = found.unwrap().map(|slot| Arc::new(slot.unwrap().unwrap()));
        let cancel = Command::Cancel { reason: "out of stock".parse().unwrap() };
        let decided = engine.core.decide(id, Some(at.value.clone()), [&cancel], at.now).unwrap();
        plans.add(0, &at, decided.planned.unwrap());
    }
    let plan = plans.into_parts().0.remove(0);
    (engine, rival, ids, plan)
}

async fn statuses(engine: &Engine, ids: &[OrderId]) -> Vec<String> {
    let mut statuses = Vec::new();
    for id in ids {
        statuses.push(engine.show(id).await.unwrap().unwrap().0.status.to_string());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hot_order_costs_the_others_one_more_commit() {
    let (engine, rival, ids, plan) = scene(200).await;
    rival.engine.submit(ids[7].clone(), hold()).await.unwrap();
    let results = engine.core.commit("commands", vec![plan]).await.remove(0);
    assert_eq!(rival.commits.load(Ordering::SeqCst), 2);
    for (i, result) in results.iter().enumerate() {
        let expected = if i == 7 { ChangeResult::Conflict } else { ChangeResult::Done };
        assert_eq!(*result, expected, "order {i}");
    }
    let statuses = statuses(&engine, &ids).await;
    assert!(statuses.iter().enumerate().all(|(i, s)| (s == "CANCELLED") == (i != 7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_conflicts_of_some_orders_do_not_fail_the_others() {
    let (engine, rival, ids, plan) = scene(16).await;
    // The rival changes one order before the first commit, and one after each commit.
    *rival.targets.lock() = ids[1..5].to_vec();
    rival.engine.submit(ids[0].clone(), hold()).await.unwrap();
    let results = engine.core.commit("commands", vec![plan]).await.remove(0);
    let statuses = statuses(&engine, &ids).await;
    for (i, (result, status)) in results.iter().zip(&statuses).enumerate() {
        let is_done = *result == ChangeResult::Done;
        assert_eq!(status == "CANCELLED", is_done, "order {i}: {result:?}, {status}");
        assert!(is_done || i < 5, "order {i} failed because of another: {result:?}");
    }
    assert_eq!(results[0], ChangeResult::Conflict);
}

#[tokio::test]
async fn many_commands_of_one_order_are_carried_out_in_their_order() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let terms = Terms { max_extensions: 1_000, ..Terms::default() };
    let terms = Terms { extend_by: autoreceive_domain::Span::from_hours(1), ..terms };
    let policy = Policy::new("default", terms).unwrap();
    let engine = Engine::builder(store).policy(policy).start();
    let id: OrderId = "A-1".parse().unwrap();
    engine.submit(id.clone(), Place::new().into()).await.unwrap();
    engine.submit(id.clone(), Command::Pay { at: None }).await.unwrap();
    let mut pending = Vec::new();
    for number in 1..=300 {
        pending.push(engine.enqueue(id.clone(), Command::Extend { number }).await.unwrap());
    }
    for (number, answer) in (1..).zip(pending) {
        let (order, _) = answer.await.unwrap().order.unwrap();
        assert_eq!((order.extensions, order.version), (number, u64::from(number) + 2));
    }
}
