//! Notes of orders that came to rest, and their removal.

use std::sync::Arc;

use autoreceive::domain::{OrderId, Time};
use autoreceive::store::{Change, RestNote};

use super::kit::*;

every_store!(
    a_note_comes_at_its_time_with_its_orders,
    a_note_that_was_looked_at_is_removed_together_with_its_orders,
    an_order_that_is_gone_is_left_out_of_its_note,
    no_more_notes_come_than_the_limit,
);

/// Brings the orders to rest in one commit that notes them.
async fn rest(store: &Kept, ids: &[OrderId], now: Time, look_at: Time) -> Vec<Change> {
    let to_rest = |id| and_then(paid(id, now, now), &RECEIVE, now);
    let changes: Vec<Change> = ids.iter().map(to_rest).collect();
    let mut commit = commit(store, now, changes.clone());
    commit.notes.push(RestNote { look_at, members: (0..).zip(ids).map(|(i, _)| i).collect() });
    assert!(losers(store, commit).await.is_empty());
    changes
}

async fn a_note_comes_at_its_time_with_its_orders(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 4);
    let changes = rest(&store, &ids[..3], now, now).await;
    rest(&store, &ids[3..], now, now.after(hours(1))).await;
    let rested = store.rested(10).await.unwrap();
    assert_eq!(rested.notes.len(), 1);
    assert_eq!(rested.notes[0].shard, store.shard_of(&ids[0]));
    let kept: Vec<_> = changes.iter().map(|change| Arc::unwrap_or_clone(after(change))).collect();
    assert_eq!(rested.notes[0].orders, kept);
    assert!(rested.now >= now);
}

async fn a_note_that_was_looked_at_is_removed_together_with_its_orders(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 4);
    rest(&store, &ids[..2], now, now).await;
    rest(&store, &ids[2..], now.before(autoreceive::domain::Span::from_secs(1)), now).await;
    let notes = store.rested(10).await.unwrap().notes;
    let note = notes.iter().find(|note| note.orders[0].id == ids[0]).unwrap();
    let mut done = commit(&store, now, note.orders.iter().map(removal).collect());
    done.notes_done.push(note.note.clone());
    assert!(losers(&store, done).await.is_empty());

    let left = store.rested(10).await.unwrap().notes;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].orders[0].id, ids[2]);
    for (i, id) in ids.iter().enumerate() {
        assert_eq!(loaded(&store, id).await.is_some(), i >= 2);
    }
    let mut nothing_left = commit(&store, now, Vec::new());
    nothing_left.shard = left[0].shard;
    nothing_left.notes_done.push(left[0].note.clone());
    assert!(losers(&store, nothing_left).await.is_empty());
    assert!(store.rested(10).await.unwrap().notes.is_empty());
}

async fn an_order_that_is_gone_is_left_out_of_its_note(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 2);
    let changes = rest(&store, &ids, now, now).await;
    keep(&store, vec![removal(&after(&changes[0]))]).await;
    let notes = store.rested(10).await.unwrap().notes;
    assert_eq!(notes[0].orders.iter().map(|order| &order.id).collect::<Vec<_>>(), [&ids[1]]);
    keep(&store, vec![removal(&after(&changes[1]))]).await;
    assert!(store.rested(10).await.unwrap().notes[0].orders.is_empty());
}

async fn no_more_notes_come_than_the_limit(store: Kept) {
    let now = now(&store).await;
    for i in 0..20 {
        rest(&store, &[id(&format!("A-{i}"))], now, now.before(hours(i))).await;
    }
    assert_eq!(store.rested(7).await.unwrap().notes.len(), 7);
    assert_eq!(store.rested(50).await.unwrap().notes.len(), 20);
}
