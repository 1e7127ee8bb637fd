//! Moving entries to another action: a settlement with a follow-up in the other action's queue.

use std::collections::BTreeMap;

use super::kit::*;
use crate::*;

/// The settlement that moves an entry unchanged to the same lane of another action.
fn relocation(entry: &Entry, to: &Queue) -> Settlement {
    let follow_up = FollowUp {
        queue: to.clone(),
        id: entry.entry.id.clone(),
        at: entry.at,
        text: entry.text.clone().unwrap(),
        only_if_absent: true,
    };
    Settlement { entry: entry.entry.clone(), follow_ups: vec![follow_up] }
}

/// Moves up to `limit` entries from one queue to another.
async fn relocate(store: &SharedStore, from: &Queue, to: &Queue, limit: usize) -> u64 {
    let page = store.entries(from, Which::Page { cursor: None, limit }).await.unwrap();
    let moves = page.items.iter().map(|entry| relocation(entry, to)).collect();
    store.settle(from, moves).await.unwrap()
}

fn texts(entries: &[Entry]) -> BTreeMap<String, (Time, String)> {
    let text = |entry: &Entry| (entry.entry.id.clone(), (entry.at, entry.text.clone().unwrap()));
    entries.iter().map(text).collect()
}

pub async fn entries_and_dead_letters_move_unchanged(store: SharedStore) {
    let now = now(&store).await;
    let (first, event) = keep_entry(&store, "e1", now).await;
    let retry = follow_up(Queue::pending(&sync()), &event, &history(5, now), now);
    let settlement = Settlement { entry: first, follow_ups: vec![retry] };
    store.settle(&Queue::pending(&sync()), vec![settlement]).await.unwrap();
    keep_entry(&store, "e2", now.after(hours(9))).await;
    keep_dead_letter(&store, "e3", now.before(hours(1))).await;
    for lane in [Lane::Pending, Lane::Dead] {
        let (from, to) = (Queue { action: sync(), lane }, Queue { action: other(), lane });
        let before = all_entries(&store, &from, 10).await;
        assert_eq!(relocate(&store, &from, &to, 100).await, before.len() as u64);
        assert_eq!(relocate(&store, &from, &to, 100).await, 0);
        assert_eq!(texts(&all_entries(&store, &to, 10).await), texts(&before));
    }
    assert_eq!((lanes(&store, &sync()).await, lanes(&store, &other()).await), ((0, 0), (2, 1)));
    let claimed = store.claim(&other(), 10, hours(1)).await.unwrap();
    assert_eq!(entry_ids(&claimed.entries), [event.id()]);
    assert_eq!(claimed.entries[0].read().unwrap().0, Some(history(5, now)));
    assert_eq!(claimed.next_at, Some(now.after(hours(9))));
}

pub async fn a_follow_up_replaces_an_entry_unless_only_if_absent_is_set(store: SharedStore) {
    let now = now(&store).await;
    let (pending, there) = (Queue::pending(&sync()), Queue::dead(&other()));
    let later = now.after(hours(1));
    for (name, only_if_absent) in [("A-1", false), ("A-2", true)] {
        let new = entry_of(&store, &event(name, now), now);
        store.put(&pending, vec![new.clone()]).await.unwrap();
        let old = NewEntry { text: format!("old {name}"), ..new.clone() };
        assert_eq!(store.put(&there, vec![old]).await, Ok(1));
        let (queue, id, text) = (there.clone(), new.entry.id.clone(), format!("new {name}"));
        let follow_up = FollowUp { queue, id, at: later, text, only_if_absent };
        let settlement = Settlement { entry: new.entry, follow_ups: vec![follow_up] };
        assert_eq!(
            store.settle(&pending, vec![settlement]).await,
            Ok(1),
            "the entry is settled in any case"
        );
    }
    assert_eq!(lanes(&store, &sync()).await, (0, 0));
    let found = all_entries(&store, &there, 10).await;
    let expected = [("A-1:1", later, "new A-1"), ("A-2:1", now, "old A-2")];
    let expected = expected.map(|(id, at, text)| (id.to_owned(), (at, text.to_owned())));
    assert_eq!(texts(&found), BTreeMap::from(expected));
}

/// `only_if_absent` is about the lane of the follow-up. The other lane may have the id.
pub async fn an_entry_in_the_other_lane_does_not_prevent_a_follow_up(store: SharedStore) {
    let now = now(&store).await;
    let new = entry_of(&store, &event("A-1", now), now);
    store.put(&Queue::pending(&sync()), vec![new.clone()]).await.unwrap();
    store.put(&Queue::dead(&other()), vec![new.clone()]).await.unwrap();
    assert_eq!(relocate(&store, &Queue::pending(&sync()), &Queue::pending(&other()), 9).await, 1);
    assert_eq!((lanes(&store, &sync()).await, lanes(&store, &other()).await), ((0, 0), (1, 1)));
}

pub async fn one_settlement_can_have_follow_ups_in_several_queues(store: SharedStore) {
    let now = now(&store).await;
    let (entry, event) = keep_entry(&store, "e1", now).await;
    let queues: Vec<Queue> = [sync(), other()]
        .iter()
        .flat_map(|action| [Queue::pending(action), Queue::dead(action)])
        .collect();
    let follow_ups = queues
        .iter()
        .map(|queue| follow_up(queue.clone(), &event, &history(1, now), now))
        .collect();
    let settlement = Settlement { entry, follow_ups };
    assert_eq!(store.settle(&Queue::pending(&sync()), vec![settlement]).await, Ok(1));
    for queue in &queues {
        let found = all_entries(&store, queue, 10).await;
        assert_eq!(entry_ids(&found), [event.id()], "{queue}");
    }
}

pub async fn dropping_removes_only_the_dropped_entries(store: SharedStore) {
    let now = now(&store).await;
    let pending = Queue::pending(&sync());
    for i in 0..120 {
        keep_entry(&store, &format!("e{i}"), now).await;
    }
    keep_dead_letter(&store, "e-dead", now).await;
    store
        .put(&Queue::pending(&other()), vec![entry_of(&store, &event("A-1", now), now)])
        .await
        .unwrap();
    let mut dropped = 0;
    loop {
        let page = store.entries(&pending, Which::Page { cursor: None, limit: 50 }).await.unwrap();
        if page.items.is_empty() {
            break;
        }
        let done = page.items.into_iter().map(|entry| Settlement::done(entry.entry)).collect();
        dropped += store.settle(&pending, done).await.unwrap();
    }
    assert_eq!(dropped, 120);
    assert_eq!((lanes(&store, &sync()).await, lanes(&store, &other()).await), ((0, 1), (1, 0)));
    assert!(claim(&store, hours(1)).await.entries.is_empty());
}

pub async fn an_interrupted_move_leaves_every_entry_in_exactly_one_place(store: SharedStore) {
    let now = now(&store).await;
    let (from, to) = (Queue::pending(&sync()), Queue::pending(&other()));
    let entries = (0..300).map(|i| entry_of(&store, &event(&format!("A-{i}"), now), now)).collect();
    assert_eq!(store.put(&from, entries).await, Ok(300));
    let mut moved = 0;
    while moved < 300 {
        // Two callers move entries at the same time, in small steps.
        let (one, two) = futures_util::future::join(
            relocate(&store, &from, &to, 17),
            relocate(&store, &from, &to, 17),
        )
        .await;
        moved += (one + two) as usize;
        assert_eq!(
            (lanes(&store, &sync()).await, lanes(&store, &other()).await),
            ((300 - moved, 0), (moved, 0))
        );
    }
    let claimed = store.claim(&other(), 1_000, hours(1)).await.unwrap().entries;
    assert_eq!(claimed.len(), 300);
}
