//! Retention notes, and the removal of their orders.

use super::kit::*;
use crate::*;

/// Commits resting orders with one note.
async fn rest(store: &SharedStore, ids: &[OrderId], now: Time, look_at: Time) -> Vec<Change> {
    let changes: Vec<Change> = ids.iter().map(|id| resting(id, now)).collect();
    let mut commit = commit(store, now, changes.clone()).await;
    let members = (0..).zip(ids).map(|(i, _)| i).collect();
    round(&mut commit).notes.push(RetentionNote { look_at, members });
    succeed(store, commit).await;
    changes
}

pub async fn a_note_is_listed_at_its_time_with_its_orders(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 4);
    let changes = rest(&store, &ids[..3], now, now).await;
    rest(&store, &ids[3..], now, now.after(hours(1))).await;
    let page = store.list(View::Resting, None, 10).await.unwrap();
    assert!(page.now >= now && page.cursor.is_none());
    assert_eq!(page.items.len(), 3);
    let note = page.items[0].note.clone().unwrap();
    for (row, change) in page.items.iter().zip(&changes) {
        assert_eq!((row.shard, &row.id, row.at), (shard_of(&store, &ids[0]), &change.id, now));
        assert_eq!(row.order.as_ref().unwrap().as_ref(), change.order.as_deref());
        assert_eq!(row.note.as_ref(), Some(&note));
    }
}

pub async fn a_note_names_its_changes(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 3);
    let mut commit = commit(&store, now, ids.iter().map(|id| resting(id, now)).collect()).await;
    round(&mut commit).notes.push(RetentionNote { look_at: now, members: vec![0, 2] });
    round(&mut commit)
        .notes
        .push(RetentionNote { look_at: now.before(hours(1)), members: vec![1] });
    succeed(&store, commit).await;
    let notes: Vec<Vec<OrderId>> =
        notes(&store, 10).await.into_iter().map(|(_, ids)| ids).collect();
    assert_eq!(notes, [vec![ids[1].clone()], vec![ids[0].clone(), ids[2].clone()]]);
}

pub async fn a_handled_note_is_removed_with_its_orders(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 4);
    let changes = rest(&store, &ids[..2], now, now).await;
    rest(&store, &ids[2..], now, now.before(Span::from_secs(1))).await;
    let found = notes(&store, 10).await;
    let (note, _) = found.iter().find(|(_, orders)| orders[0] == ids[0]).unwrap();
    let removals = changes.iter().map(|change| removal(&after(change))).collect();
    let mut done = commit(&store, now, removals).await;
    round(&mut done).notes_done.push(note.clone());
    succeed(&store, done).await;

    let left = notes(&store, 10).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1, ids[2..]);
    for (i, id) in ids.iter().enumerate() {
        assert_eq!(loaded(&store, id).await.is_some(), i >= 2);
    }
    // A repeat is no error: a note that is gone is ignored.
    for _ in 0..2 {
        let mut done = commit(&store, now, Vec::new()).await;
        done.shard = shard_of(&store, &ids[0]);
        done.state = state(&store, done.shard).await;
        round(&mut done).notes_done.push(left[0].0.clone());
        succeed(&store, done).await;
        assert!(notes(&store, 10).await.is_empty());
    }
}

/// The row stays so that the note can still be removed.
pub async fn a_removed_order_leaves_an_empty_row_in_its_note(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 2);
    let changes = rest(&store, &ids, now, now).await;
    for (gone, change) in changes.iter().enumerate() {
        keep(&store, vec![removal(&after(change))]).await;
        let page = store.list(View::Resting, None, 10).await.unwrap();
        let found: Vec<bool> =
            page.items.iter().map(|row| row.order.as_ref().unwrap().is_some()).collect();
        assert_eq!(found, [false, gone == 0]);
        assert!(page.items.iter().map(|row| &row.id).eq(&ids));
    }
}

pub async fn a_limit_counts_notes_and_the_earliest_come_first(store: SharedStore) {
    let now = now(&store).await;
    for i in 0..20 {
        let ids = named_neighbours(&store, &format!("n{i}"), 3);
        rest(&store, &ids, now, now.before(hours(i))).await;
    }
    assert_eq!(notes(&store, 7).await.len(), 7);
    let all = notes(&store, 50).await;
    assert_eq!(all.len(), 20);
    assert!(all.iter().all(|(_, ids)| ids.len() == 3));
    assert_eq!(notes(&store, 7).await, all[..7]);
}

pub async fn resting_orders_have_no_cursor(store: SharedStore) {
    let now = now(&store).await;
    rest(&store, &[id("A-1")], now, now).await;
    let refused = store.list(View::Resting, Some("1"), 10).await;
    assert!(matches!(refused, Err(StoreError::WrongCursor(_))), "{refused:?}");
}
