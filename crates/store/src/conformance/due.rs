//! Due orders, and the next due time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use autoreceive_domain::Order;

use super::kit::*;
use crate::*;

fn record(order: &DueOrder) -> Order {
    order.order.clone().unwrap().unwrap()
}

async fn look(store: &SharedStore, id: &OrderId, extra: usize, limit: usize) -> At<DueShard> {
    let shard = shard_of(store, id);
    let found = store.due(&[Look { shard, extra }], limit).await.remove(0).unwrap();
    assert_eq!(found.value.shard, shard);
    assert!(found.value.parked.is_empty() && found.value.suggested > 0);
    found
}

pub async fn the_earliest_due_time_comes_first(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 9);
    let hours_late = [3, 9, 1, 8, 2, 7, 4, 6, 5];
    keep(
        &store,
        ids.iter().zip(hours_late).map(|(id, late)| overdue(id, hours(late), now)).collect(),
    )
    .await;
    let found = look(&store, &ids[0], 0, 100).await.value;
    let times: Vec<Time> =
        found.orders.iter().map(|order| record(order).next_due_at().unwrap()).collect();
    assert_eq!(times, (1..=9).rev().map(|late| now.before(hours(late))).collect::<Vec<_>>());
    for order in &found.orders {
        assert_eq!(record(order).id, order.id);
    }
    assert_eq!(found.next_at, None);
}

pub async fn due_returns_at_most_the_limit_and_the_next_due_time(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 5);
    let late = ids[..4].iter().zip([4, 3, 2, 1]);
    let mut changes: Vec<_> = late.map(|(id, late)| overdue(id, hours(late), now)).collect();
    changes.push(paid(&ids[4], now, now));
    keep(&store, changes).await;
    for limit in [1, 3] {
        let found = look(&store, &ids[0], 0, limit).await;
        assert_eq!(found.value.orders.len(), limit);
        let more = found.value.next_at.is_some_and(|at| at <= found.now);
        assert!(more, "more is due than {limit}: {found:?}");
    }
    let found = look(&store, &ids[0], 0, 9).await;
    assert_eq!(found.value.orders.len(), 4);
    let next_at = found.value.next_at.unwrap();
    assert!(next_at > found.now && next_at <= now.after(hours(24)), "{next_at}");
}

pub async fn ignored_orders_hide_no_others(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 6);
    keep(
        &store,
        ids.iter().zip(1..).map(|(id, late)| overdue(id, hours(10 - late), now)).collect(),
    )
    .await;
    let found = look(&store, &ids[0], 3, 2).await;
    let found_ids: Vec<_> = found.value.orders.into_iter().map(|order| order.id).collect();
    assert_eq!(&found_ids[..], &ids[..5]);
    assert!(found.value.next_at.is_some_and(|at| at <= found.now), "one more is due");
}

/// Reads again and again until an order is due. It is never due early, not even by a millisecond.
pub async fn no_order_is_due_early(store: SharedStore) {
    let now = now(&store).await;
    let due_at = now.after(Span::from_ms(150));
    keep(&store, vec![paid(&id("A-1"), due_at.before(hours(24)), now)]).await;
    let begun = Instant::now();
    loop {
        let found = look(&store, &id("A-1"), 0, 10).await;
        match found.value.orders.len() {
            0 => assert!(found.value.next_at.is_some_and(|at| at <= due_at)),
            _ => break assert!(found.now >= due_at, "it came at {}, before {due_at}", found.now),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came");
    }
}

pub async fn a_held_order_is_not_due(store: SharedStore) {
    let now = now(&store).await;
    keep(&store, vec![and_then(overdue(&id("A-1"), hours(1), now), &hold("dispute"), now)]).await;
    assert!(due_ids(&store).await.is_empty());
    assert!(due(&store, 0).await.iter().all(|shard| shard.value.next_at.is_none()));
}

pub async fn reading_due_orders_claims_nothing(store: SharedStore) {
    let now = now(&store).await;
    keep(&store, vec![overdue(&id("A-1"), hours(1), now)]).await;
    for _ in 0..3 {
        assert_eq!(due_ids(&store).await, ["A-1"]);
    }
}

pub async fn the_shards_come_in_the_order_asked_for(store: SharedStore) {
    let now = now(&store).await;
    keep(&store, (0..200).map(|i| overdue(&id(&format!("A-{i}")), hours(1), now)).collect()).await;
    let looks: Vec<Look> = all_shards(&store).into_iter().rev().collect();
    let found: Vec<_> = store.due(&looks, 1_000).await.into_iter().map(Result::unwrap).collect();
    assert!(found.iter().map(|at| at.value.shard).eq(looks.iter().map(|look| look.shard)));
    for at in &found {
        assert!(at.value.orders.iter().all(|order| shard_of(&store, &order.id) == at.value.shard));
    }
    assert_eq!(found.iter().map(|at| at.value.orders.len()).sum::<usize>(), 200);
    assert!(store.due(&[], 10).await.is_empty());
}

pub async fn a_limit_of_0_returns_only_the_next_due_time(store: SharedStore) {
    let now = now(&store).await;
    assert!(due(&store, 0).await.iter().all(|at| at.value.next_at.is_none()));
    let mut expected = BTreeMap::<Shard, Time>::new();
    let mut changes = Vec::new();
    for i in 0..40 {
        let id = id(&format!("A-{i}"));
        // Some are overdue.
        let paid_at = now.before(Span::from_secs(i * 7_919 % 100_000));
        let due_at = paid_at.after(hours(24));
        let first = expected.entry(shard_of(&store, &id)).or_insert(due_at);
        *first = due_at.min(*first);
        changes.push(paid(&id, paid_at, now));
    }
    keep(&store, changes).await;
    for at in due(&store, 0).await {
        assert!(at.value.orders.is_empty() && at.value.parked.is_empty());
        assert_eq!(at.value.next_at, expected.get(&at.value.shard).copied());
    }
}

pub async fn a_corrected_due_time_is_written_under_the_same_version(store: SharedStore) {
    use autoreceive_domain::{Clock, Status};
    let now = now(&store).await;
    let change = overdue(&id("A-1"), hours(1), now);
    let kept = after(&change);
    keep(&store, vec![change]).await;
    let Clock::Running { kind, remind_at, .. } = kept.clock else { panic!("no clock runs") };
    let clock = Clock::Running { kind, deadline: now.after(hours(5)), remind_at };
    let corrected = std::sync::Arc::new(Order { clock, ..(*kept).clone() });
    let change = |expected| {
        let order = Some(std::sync::Arc::clone(&corrected));
        Change { id: id("A-1"), expected, was: Some(Status::Paid), order, events: Vec::new() }
    };
    assert_eq!(losers(&store, commit(&store, now, vec![change(2)]).await).await, [id("A-1")]);
    assert_eq!(due_ids(&store).await, ["A-1"]);
    keep(&store, vec![change(1)]).await;
    assert!(due_ids(&store).await.is_empty());
    let next: Vec<Time> = due(&store, 0).await.iter().filter_map(|at| at.value.next_at).collect();
    assert_eq!(next, [now.after(hours(5))]);
    assert_eq!(loaded(&store, &id("A-1")).await.unwrap().version, 1);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.orders, stats.waiting), (vec![(Status::Paid, 1)], 1));
}

pub async fn a_due_time_is_removed_only_if_there_is_no_record(store: SharedStore) {
    let now = now(&store).await;
    let nothing =
        |name| Change { id: id(name), expected: 0, was: None, order: None, events: Vec::new() };
    keep(&store, vec![nothing("absent"), overdue(&id("present"), hours(1), now)]).await;
    assert_eq!(
        losers(&store, commit(&store, now, vec![nothing("present")]).await).await,
        [id("present")]
    );
    assert_eq!(due_ids(&store).await, ["present"]);
    assert_eq!(loaded(&store, &id("absent")).await, None);
}
