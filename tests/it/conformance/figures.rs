//! The figures are the truth, whatever was committed before; and the list of workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoreceive::domain::{Cause, Command, Decision, Event, EventKind, Order, OrderId, Span, Status, Time, decide};
use autoreceive::store::{Change, Stats};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::kit::*;

every_store!(figures_are_the_truth_after_any_commits, the_living_workers_are_listed);

/// What a store that lost nothing would count.
#[derive(Default)]
struct Model {
    orders: BTreeMap<OrderId, Arc<Order>>,
    totals: BTreeMap<(EventKind, Cause), u64>,
}

async fn figures_are_the_truth_after_any_commits(store: Kept) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut model = Model::default();
    for _ in 0..60 {
        let now = now(&store).await;
        let changes = (0..12).map(|i| id(&format!("A-{}", i * 5 + random.random_range(0..5)))).collect::<Vec<_>>();
        let changes: Vec<Change> = changes.iter().filter_map(|id| any_change(&mut random, &model, id, now)).collect();
        commit_and_follow(&store, &mut model, changes, now).await;
    }
    model.check(&store.stats().await.unwrap());
    let waiting = model.orders.values().filter(|order| order.wake().is_some()).count();
    assert!(waiting > 0 && model.totals.len() > 5, "too little happened: {:?}", model.totals);
}

/// A change of the order, one in five of them decided on a version that is not the present one.
fn any_change(random: &mut StdRng, model: &Model, id: &OrderId, now: Time) -> Option<Change> {
    let mut change = match model.orders.get(id) {
        None if random.random_bool(0.5) => placed(id, now),
        None => paid(id, now.before(Span::from_secs(random.random_range(0..172_800))), now),
        Some(order) if order.is_resting() && random.random_bool(0.3) => removal(order),
        Some(order) => command_on(order, random.random_range(0..9), now)?,
    };
    if random.random_bool(0.2) {
        change.expected += random.random_range(1..3);
    }
    Some(change)
}

fn command_on(order: &Order, which: u32, now: Time) -> Option<Change> {
    let command = match which {
        0 => Command::Pay { at: None },
        1 => Command::Ship { at: None, carrier: None, tracking: None },
        2 => Command::Deliver { at: None },
        3 => RECEIVE,
        4 => hold("dispute"),
        5 => Command::Release { id: "dispute".parse().ok()? },
        6 => Command::Cancel { reason: "changed my mind".parse().ok()? },
        7 => Command::Refund { reason: None },
        _ => Command::Due,
    };
    matches!(decide(order, &command, now, &policy().terms), Decision::Changed(_)).then(|| then(order, &command, now))
}

async fn commit_and_follow(store: &Kept, model: &mut Model, changes: Vec<Change>, now: Time) {
    let mut commits = BTreeMap::<_, Vec<Change>>::new();
    for change in changes {
        commits.entry(store.shard_of(&change.id)).or_default().push(change);
    }
    for changes in commits.into_values() {
        let lost = losers(store, commit(store, now, changes.clone())).await;
        for (index, change) in (0u32..).zip(changes) {
            let version = model.orders.get(&change.id).map_or(0, |order| order.version);
            assert_eq!(lost.contains(&index), version != change.expected, "{change:?} on version {version}");
            if version == change.expected {
                model.follow(change);
            }
        }
    }
}

impl Model {
    fn follow(&mut self, change: Change) {
        for event in change.events.iter().map(|Event(order)| order) {
            *self.totals.entry((event.kind, event.cause)).or_default() += 1;
        }
        match change.order {
            Some(order) => self.orders.insert(change.id, order),
            None => self.orders.remove(&change.id),
        };
    }

    fn count(&self, counted: impl Fn(&Order) -> bool) -> u64 {
        self.orders.values().filter(|order| counted(order)).count() as u64
    }

    fn check(&self, stats: &Stats) {
        let present = |stats: &[(Status, u64)], status| stats.iter().find(|(s, _)| *s == status).map_or(0, |(_, n)| *n);
        for status in Status::ALL {
            let expected = self.count(|order| order.status == status && !order.is_resting());
            assert_eq!(present(&stats.orders, status), expected, "{status}");
        }
        let totals: BTreeMap<_, _> = stats.totals.iter().map(|(kind, cause, n)| ((*kind, *cause), *n)).collect();
        assert_eq!(totals, self.totals);
        let passed = |order: &Order| order.wake().is_some_and(|wake| wake <= stats.now);
        assert_eq!(stats.waiting, self.count(|order| order.wake().is_some()));
        assert_eq!(stats.overdue, self.count(passed));
        assert_eq!(stats.oldest_overdue, self.orders.values().filter(|order| passed(order)).filter_map(|order| order.wake()).min());
        assert_eq!(stats.held, self.count(Order::is_held));
    }
}

async fn the_living_workers_are_listed(store: Kept) {
    assert_eq!(store.workers("w-1", hours(1)).await.unwrap(), ["w-1"]);
    let mut both = store.workers("w-2", hours(1)).await.unwrap();
    both.sort_unstable();
    assert_eq!(both, ["w-1", "w-2"]);
    let begun = now(&store).await;
    while now(&store).await <= begun.after(Span::from_ms(20)) {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.workers("w-2", Span::from_ms(10)).await.unwrap(), ["w-2"]);
}
