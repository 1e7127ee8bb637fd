//! Loading orders by id.

use super::kit::*;

every_store!(orders_come_in_the_order_asked_for, a_store_says_what_time_it_is);

async fn orders_come_in_the_order_asked_for(store: Kept) {
    let now = now(&store).await;
    let ids: Vec<_> = (0..60).map(|i| id(&format!("A-{i}"))).collect();
    keep(&store, ids.iter().step_by(2).map(|id| placed(id, now)).collect()).await;
    let asked: Vec<_> = ids.iter().rev().chain(&ids[..3]).cloned().collect();
    let found = store.load(&asked).await.unwrap().orders;
    assert_eq!(found.len(), asked.len());
    for (id, order) in asked.iter().zip(found) {
        let kept = ids.iter().position(|known| known == id).unwrap() % 2 == 0;
        assert_eq!(order.unwrap().map(|order| order.id), kept.then(|| id.clone()));
    }
    assert!(store.load(&[]).await.unwrap().orders.is_empty());
}

async fn a_store_says_what_time_it_is(store: Kept) {
    let first = store.load(&[id("A-1")]).await.unwrap().now;
    let now = now(&store).await;
    let later = [
        due(&store, 1).await.now,
        store.rested(1).await.unwrap().now,
        claim(&store, hours(1)).await.now,
        store.stats().await.unwrap().now,
        store.page(autoreceive::store::View::Upcoming, None, 1).await.unwrap().now,
    ];
    assert!(first <= now && later.into_iter().all(|time| time >= now && time < now.after(hours(1))));
    // The 1st of January 2026: milliseconds, not seconds.
    assert!(first.ms() > 1_767_225_600_000);
}
