//! What is due, and when the next order will be.

use autoreceive::domain::{Span, Time};
use autoreceive::store::{DueOrder, Look};

use super::kit::*;

every_store!(
    the_earliest_wake_comes_first,
    no_more_than_the_limit_comes_and_the_next_wake_is_told,
    orders_that_are_left_alone_hide_no_other,
    nothing_comes_before_its_wake,
    a_held_order_is_not_due,
    reading_what_is_due_claims_nothing,
    the_shards_come_in_the_order_asked_for,
    the_head_of_a_shard_is_its_earliest_wake,
);

async fn the_earliest_wake_comes_first(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 9);
    let hours_late = [3, 9, 1, 8, 2, 7, 4, 6, 5];
    keep(&store, ids.iter().zip(hours_late).map(|(id, late)| overdue(id, hours(late), now)).collect()).await;
    let found = store.due(&[Look { shard: store.shard_of(&ids[0]), extra: 0 }], 100).await.unwrap();
    let record = |order: &DueOrder| order.order.clone().unwrap().unwrap();
    let wakes: Vec<Time> = found.shards[0].orders.iter().map(|order| record(order).wake().unwrap()).collect();
    assert_eq!(wakes, (1..=9).rev().map(|late| now.before(hours(late))).collect::<Vec<_>>());
    for order in &found.shards[0].orders {
        assert_eq!(record(order).id, order.id);
    }
    assert_eq!(found.shards[0].next_at, None);
}

async fn no_more_than_the_limit_comes_and_the_next_wake_is_told(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 5);
    let mut changes: Vec<_> = ids[..4].iter().zip([4, 3, 2, 1]).map(|(id, late)| overdue(id, hours(late), now)).collect();
    changes.push(paid(&ids[4], now, now));
    keep(&store, changes).await;
    let look = [Look { shard: store.shard_of(&ids[0]), extra: 0 }];
    for limit in [1, 3] {
        let mut found = store.due(&look, limit).await.unwrap();
        let shard = found.shards.remove(0);
        assert_eq!(shard.orders.len(), limit);
        assert!(shard.next_at.is_some_and(|at| at <= found.now), "more is due than {limit}: {shard:?}");
    }
    let shard = store.due(&look, 9).await.unwrap().shards.remove(0);
    assert_eq!((shard.orders.len(), shard.next_at), (4, Some(now.after(hours(24)))));
}

async fn orders_that_are_left_alone_hide_no_other(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 6);
    keep(&store, ids.iter().zip(1..).map(|(id, late)| overdue(id, hours(10 - late), now)).collect()).await;
    let shard = store.shard_of(&ids[0]);
    let found = store.due(&[Look { shard, extra: 3 }], 2).await.unwrap().shards.remove(0);
    let found_ids: Vec<_> = found.orders.into_iter().map(|order| order.id).collect();
    assert_eq!(&found_ids[..], &ids[..5]);
    assert!(found.next_at.is_some_and(|at| at <= now), "one more is due: {:?}", found.next_at);
}

/// Every millisecond counts: an order that wakes soon is read again and again until it comes. It never comes early, and soon after.
async fn nothing_comes_before_its_wake(store: Kept) {
    let now = now(&store).await;
    let wake = now.after(Span::from_ms(150));
    keep(&store, vec![paid(&id("A-1"), wake.before(hours(24)), now)]).await;
    let begun = std::time::Instant::now();
    loop {
        let found = due(&store, 10).await;
        let came = found.shards.iter().flat_map(|shard| &shard.orders).count();
        assert!(came == 0 || found.now >= wake, "it came at {:?}, before {wake:?}", found.now);
        if came == 1 {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it never came");
    }
}

async fn a_held_order_is_not_due(store: Kept) {
    let now = now(&store).await;
    keep(&store, vec![and_then(overdue(&id("A-1"), hours(1), now), &hold("dispute"), now)]).await;
    assert!(due_ids(&store).await.is_empty());
    assert!(store.heads().await.unwrap().heads.iter().all(Option::is_none));
}

async fn reading_what_is_due_claims_nothing(store: Kept) {
    let now = now(&store).await;
    keep(&store, vec![overdue(&id("A-1"), hours(1), now)]).await;
    for _ in 0..3 {
        assert_eq!(due_ids(&store).await, ["A-1"]);
    }
}

async fn the_shards_come_in_the_order_asked_for(store: Kept) {
    let now = now(&store).await;
    keep(&store, (0..200).map(|i| overdue(&id(&format!("A-{i}")), hours(1), now)).collect()).await;
    let looks: Vec<Look> = (0..store.shards()).rev().map(|shard| Look { shard, extra: 0 }).collect();
    let found = store.due(&looks, 1_000).await.unwrap();
    assert_eq!(found.shards.iter().map(|shard| shard.shard).collect::<Vec<_>>(), looks.iter().map(|l| l.shard).collect::<Vec<_>>());
    for shard in &found.shards {
        assert!(shard.orders.iter().all(|order| store.shard_of(&order.id) == shard.shard));
    }
    assert_eq!(found.shards.iter().map(|shard| shard.orders.len()).sum::<usize>(), 200);
}

async fn the_head_of_a_shard_is_its_earliest_wake(store: Kept) {
    let now = now(&store).await;
    let mut expected = vec![None; store.shards().into()];
    assert_eq!(store.heads().await.unwrap().heads, expected);
    let mut changes = Vec::new();
    for i in 0..40 {
        let id = id(&format!("A-{i}"));
        let paid_at = now.before(Span::from_secs(i * 7_919 % 100_000));
        let head: &mut Option<Time> = &mut expected[usize::from(store.shard_of(&id))];
        let wake = paid_at.after(hours(24));
        *head = Some(head.map_or(wake, |head| head.min(wake)));
        changes.push(paid(&id, paid_at, now));
    }
    keep(&store, changes).await;
    assert_eq!(store.heads().await.unwrap().heads, expected);
}
