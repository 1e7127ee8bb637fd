//! The time and the statistics. Statistics are exact after any commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoreceive_domain::{Cause, Circuit, Command, Decision, EventKind, Order, Status, decide};

use super::kit::*;
use crate::*;

pub async fn a_store_returns_its_time(store: SharedStore) {
    let first = store.load(&[id("A-1")]).await.remove(0).unwrap().now;
    let now = now(&store).await;
    let later = [
        due(&store, 1).await[0].now,
        claim(&store, hours(1)).await.now,
        store.stats().await.unwrap().now,
        store.list(View::Upcoming, None, 1).await.unwrap().now,
        store.list(View::Resting, None, 1).await.unwrap().now,
        store.list(View::All, None, 1).await.unwrap().now,
        store.entries(&Queue::dead(&sync()), Which::Named(&[])).await.unwrap().now,
        store.get(Space::Circuits, &[]).await.unwrap().0,
        store.page(&"list".parse().unwrap(), None, 1).await.unwrap().now,
    ];
    assert!(first <= now, "{first} {now}");
    assert!(
        later.into_iter().all(|time| time >= now && time < now.after(hours(1))),
        "{now} {later:?}"
    );
    // 1 January 2026, in milliseconds, not seconds.
    assert!(first > Time::from_ms(1_767_225_600_000));
}

/// A store without a test clock refuses. On a store with one, every result has the new time, and
/// only heartbeats use the real time.
pub async fn only_a_store_with_a_test_clock_can_be_advanced(store: SharedStore) {
    let start = now(&store).await;
    if !store.about().test_clock {
        assert_eq!(store.advance(hours(1)).await, Err(StoreError::NO_TEST_CLOCK));
        assert!(now(&store).await < start.after(hours(1)));
        return;
    }
    keep(&store, vec![paid(&id("A-1"), start, start)]).await;
    keep_entry(&store, "e1", start.after(hours(20))).await;
    let late = commit(&store, start, vec![placed(&id("A-2"), start)]).await;
    store.heartbeat("w-1", hours(1)).await.unwrap();
    assert!(due_ids(&store).await.is_empty() && claim(&store, hours(1)).await.entries.is_empty());

    let clock = store.advance(hours(25)).await.unwrap();
    assert_eq!(clock.ahead, hours(25));
    assert!(clock.now >= start.after(hours(25)) && clock.now < start.after(hours(26)));
    assert_eq!(due_ids(&store).await, ["A-1"]);
    let claimed = claim(&store, hours(1)).await;
    assert_eq!(entry_ids(&claimed.entries), ["e1"]);
    let page = store.list(View::Overdue, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.overdue, 1);
    let loaded = store.load(&[id("A-1")]).await.remove(0).unwrap();
    let times = [
        claimed.now,
        page.now,
        stats.now,
        loaded.now,
        store.get(Space::Circuits, &[]).await.unwrap().0,
    ];
    assert!(times.into_iter().all(|time| time >= clock.now), "{times:?}");
    let stale = CommitResult::Conflict { losers: Vec::new(), why: Why::Stale };
    assert_eq!(result(&store, late).await, stale);
    assert_eq!(store.heartbeat("w-2", hours(1)).await.unwrap(), ["w-1", "w-2"]);

    let left = Span::from_ms(Span::LONGEST.ms() - hours(25).ms());
    assert_eq!(store.advance(Span::from_ms(left.ms() + 1)).await, Err(StoreError::TOO_FAR));
    assert_eq!(store.advance(Span::ZERO).await.unwrap().ahead, hours(25));
    assert_eq!(store.advance(left).await.unwrap().ahead, Span::LONGEST);
}

pub async fn the_queues_of_named_actions_are_counted(store: SharedStore) {
    assert!(store.stats().await.unwrap().actions.is_empty());
    let now = now(&store).await;
    name(&store, &sync()).await;
    let idle = action_stats(&store, &sync()).await;
    assert_eq!((idle.pending, idle.next_at, idle.dead, idle.oldest_dead), (0, None, 0, None));
    assert_eq!(idle.circuit, Circuit::default());

    let at = now.after(hours(1));
    let (entry, _) = keep_entry(&store, "e1", at).await;
    keep_entry(&store, "e2", at.after(hours(1))).await;
    keep_dead_letter(&store, "e3", now.before(hours(2))).await;
    keep_dead_letter(&store, "e4", now.before(hours(3))).await;
    let found = action_stats(&store, &sync()).await;
    assert_eq!((found.pending, found.next_at), (2, Some(at)));
    assert_eq!((found.dead, found.oldest_dead), (2, Some(now.before(hours(3)))));
    store.settle(&Queue::pending(&sync()), vec![Settlement::done(entry)]).await.unwrap();
    let found = action_stats(&store, &sync()).await;
    assert_eq!((found.pending, found.next_at), (1, Some(at.after(hours(1)))));

    store
        .put(&Queue::pending(&other()), vec![entry_of(&store, &event("A-1", now), now)])
        .await
        .unwrap();
    let names = |stats: Stats| {
        let mut names: Vec<String> =
            stats.actions.iter().map(|action| action.name.to_string()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(store.stats().await.unwrap()), ["sync"], "the other action is not named yet");
    name(&store, &other()).await;
    assert_eq!(names(store.stats().await.unwrap()), ["other", "sync"]);
    assert_eq!(action_stats(&store, &other()).await.pending, 1);
    let no_name = Cas { key: "No Action", expected: Expected::Nothing, value: Some("") };
    store.compare_and_set(Space::Actions, &[no_name]).await.unwrap();
    assert_eq!(
        names(store.stats().await.unwrap()),
        ["other", "sync"],
        "a key that is not an action name is ignored"
    );
}

pub async fn the_stats_of_an_action_show_its_circuit(store: SharedStore) {
    let now = now(&store).await;
    for action in [sync(), other()] {
        name(&store, &action).await;
    }
    let disabled =
        Circuit { disabled_at: Some(now), suspect: Some("A-1:1".into()), ..Circuit::default() };
    let text = disabled.to_string();
    let change = Cas { key: "sync", expected: Expected::Nothing, value: Some(&text) };
    assert_eq!(store.compare_and_set(Space::Circuits, &[change]).await, Ok(vec![true]));
    assert_eq!(action_stats(&store, &sync()).await.circuit, disabled);
    assert_eq!(action_stats(&store, &other()).await.circuit, Circuit::default());
}

pub async fn an_order_is_overdue_only_after_its_due_time(store: SharedStore) {
    let now = now(&store).await;
    let minutes = |minutes: i64| Span::from_secs(minutes * 60);
    let due_at = [
        now.before(minutes(9)),
        now.before(minutes(1)),
        now.after(minutes(1)),
        now.after(minutes(90)),
    ];
    let ids: Vec<OrderId> = (0..due_at.len()).map(|i| id(&format!("A-{i}"))).collect();
    let changes =
        ids.iter().zip(due_at).map(|(id, due_at)| paid(id, due_at.before(hours(24)), now));
    let resting = resting(&id("rests"), now);
    let held = and_then(overdue(&id("held"), hours(1), now), &hold("dispute"), now);
    keep(&store, changes.chain([resting, held, placed(&id("new"), now)]).collect()).await;
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.overdue, stats.held), (4, 2, 1));
    assert_eq!(stats.oldest_overdue, Some(now.before(minutes(9))));
}

/// The expected counts.
#[derive(Default)]
struct Model {
    orders: BTreeMap<OrderId, Arc<Order>>,
    totals: BTreeMap<(EventKind, Cause), u64>,
}

pub async fn stats_are_correct_after_any_commits(store: SharedStore) {
    let mut random = Random::from_seed();
    let mut model = Model::default();
    for _ in 0..60 {
        let now = now(&store).await;
        let ids: Vec<OrderId> =
            (0..12).map(|i| id(&format!("A-{}", i * 5 + random.below(5)))).collect();
        let changes = ids.iter().filter_map(|id| any_change(&mut random, &model, id, now));
        let changes: Vec<Change> = changes.collect();
        commit_and_follow(&store, &mut model, changes, now).await;
    }
    model.check(&store.stats().await.unwrap());
    let waiting = model.orders.values().filter(|order| order.next_due_at().is_some()).count();
    assert!(waiting > 0 && model.totals.len() > 5, "too few changes: {:?}", model.totals);
}

/// A change of the order. One in ten has a wrong expected version.
fn any_change(random: &mut Random, model: &Model, id: &OrderId, now: Time) -> Option<Change> {
    let mut change = match model.orders.get(id) {
        None if random.below(2) == 0 => placed(id, now),
        None => paid(id, now.before(Span::from_secs(random.below(172_800) as i64)), now),
        Some(order) if order.is_resting() && random.below(3) == 0 => removal(order),
        Some(order) => command_on(order, random.below(9), now)?,
    };
    if random.below(10) == 0 {
        change.expected += 1 + random.below(2);
    }
    Some(change)
}

fn command_on(order: &Order, which: u64, now: Time) -> Option<Change> {
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
    let changes = matches!(decide(order, &command, now, &policy().terms), Decision::Changed(_));
    changes.then(|| then(order, &command, now))
}

/// One commit for each shard. After a conflict the other changes are sent again.
async fn commit_and_follow(
    store: &SharedStore,
    model: &mut Model,
    changes: Vec<Change>,
    now: Time,
) {
    let mut commits = BTreeMap::<Shard, Vec<Change>>::new();
    for change in changes {
        commits.entry(shard_of(store, &change.id)).or_default().push(change);
    }
    for mut changes in commits.into_values() {
        let version =
            |change: &Change| model.orders.get(&change.id).map_or(0, |order| order.version);
        let lost = changes.iter().filter(|change| version(change) != change.expected);
        let mut lost: Vec<OrderId> = lost.map(|change| change.id.clone()).collect();
        lost.sort_unstable();
        if !lost.is_empty() {
            let conflicting = commit(store, now, changes.clone()).await;
            assert_eq!(losers(store, conflicting).await, lost);
            changes.retain(|change| !lost.contains(&change.id));
        }
        let rest = commit(store, now, changes.clone()).await;
        succeed(store, rest).await;
        for change in changes {
            model.follow(change);
        }
    }
}

impl Model {
    fn follow(&mut self, change: Change) {
        for event in &change.events {
            *self.totals.entry((event.kind(), event.cause())).or_default() += 1;
        }
        match change.order {
            Some(order) => self.orders.insert(change.id, order),
            None => self.orders.remove(&change.id),
        };
    }

    fn count(&self, is_counted: impl Fn(&Order) -> bool) -> u64 {
        self.orders.values().filter(|order| is_counted(order)).count() as u64
    }

    fn check(&self, stats: &Stats) {
        for status in Status::ALL {
            let expected = self.count(|order| order.status == status && !order.is_resting());
            assert_eq!(counted(stats, status), expected, "{status}");
        }
        let totals = stats.totals.iter().map(|(kind, cause, count)| ((*kind, *cause), *count));
        assert_eq!(totals.collect::<BTreeMap<_, _>>(), self.totals);
        let passed = |order: &Order| order.next_due_at().is_some_and(|at| at <= stats.now);
        let late = self.orders.values().filter(|order| passed(order));
        assert_eq!(stats.waiting, self.count(|order| order.next_due_at().is_some()));
        assert_eq!(stats.overdue, self.count(passed));
        assert_eq!(stats.oldest_overdue, late.filter_map(|order| order.next_due_at()).min());
        assert_eq!(stats.held, self.count(Order::is_held));
    }
}
