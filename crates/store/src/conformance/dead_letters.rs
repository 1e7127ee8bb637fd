//! Dead letters are kept until they are replayed or discarded. Both are settlements: a replay has a
//! pending entry as follow-up, a discard has none.

use super::kit::*;
use crate::*;

/// The settlement that replays a dead letter at `at`.
fn replay(dead_letter: &EntryRef, at: Time, text: &str) -> Settlement {
    let (queue, id) = (Queue::pending(&sync()), dead_letter.id.clone());
    let again = FollowUp { queue, id, at, text: text.to_owned(), only_if_absent: true };
    Settlement { entry: dead_letter.clone(), follow_ups: vec![again] }
}

async fn named(store: &SharedStore, dead_letter: &EntryRef) -> Vec<Entry> {
    let dead_letter = std::slice::from_ref(dead_letter);
    store.entries(&Queue::dead(&sync()), Which::Named(dead_letter)).await.unwrap().items
}

pub async fn a_dead_letter_is_shown_with_its_event_and_history(store: SharedStore) {
    let at = now(&store).await.before(hours(2));
    let dead_letter = keep_dead_letter(&store, "e1", at).await;
    let page = store
        .entries(&Queue::dead(&sync()), Which::Page { cursor: None, limit: 10 })
        .await
        .unwrap();
    assert!(page.now >= at.after(hours(2)) && page.cursor.is_none());
    for found in [page.items, named(&store, &dead_letter).await] {
        assert_eq!((found.len(), &found[0].entry, found[0].at), (1, &dead_letter, at));
        let (kept, events) = found[0].read().unwrap();
        assert_eq!((events[0].id(), kept), (dead_letter.id.clone(), Some(history(17, at))));
    }
}

pub async fn a_dead_letter_is_not_claimed(store: SharedStore) {
    let now = now(&store).await;
    for name in ["e1", "e2"] {
        keep_dead_letter(&store, name, now.before(hours(1))).await;
    }
    let claimed = claim(&store, hours(1)).await;
    assert!(claimed.entries.is_empty() && claimed.next_at.is_none());
    assert_eq!(lanes(&store, &sync()).await, (0, 2));
}

pub async fn a_replayed_dead_letter_can_be_claimed_immediately_under_its_id(store: SharedStore) {
    let at = now(&store).await.before(hours(2));
    let (dead_letter, other) =
        (keep_dead_letter(&store, "e1", at).await, keep_dead_letter(&store, "e2", at).await);
    let absent = EntryRef { shard: dead_letter.shard, id: "order-of-e1:9".into() };
    let now = now(&store).await;
    let text = named(&store, &dead_letter).await.remove(0).text.unwrap();
    let text = entry::afresh(&text, now);
    let replays = || vec![replay(&absent, now, "of nothing"), replay(&dead_letter, now, &text)];
    let dead = Queue::dead(&sync());
    assert_eq!(store.settle(&dead, replays()).await, Ok(1));
    assert_eq!(lanes(&store, &sync()).await, (1, 1));
    let claimed = claim(&store, hours(1)).await.entries;
    assert_eq!(
        (claimed.len(), &claimed[0].entry, claimed[0].text.as_ref()),
        (1, &dead_letter, Some(&text))
    );
    assert_eq!(store.settle(&dead, replays()).await, Ok(0));
    assert_eq!(entry_ids(&all_entries(&store, &dead, 10).await), [other.id]);
}

pub async fn a_discarded_dead_letter_is_gone(store: SharedStore) {
    let now = now(&store).await;
    let (dead_letter, other) =
        (keep_dead_letter(&store, "e1", now).await, keep_dead_letter(&store, "e2", now).await);
    let dead = Queue::dead(&sync());
    assert_eq!(store.settle(&dead, vec![Settlement::done(dead_letter.clone())]).await, Ok(1));
    assert_eq!(store.settle(&dead, vec![replay(&dead_letter, now, "too late")]).await, Ok(0));
    assert!(named(&store, &dead_letter).await.is_empty());
    assert_eq!(lanes(&store, &sync()).await, (0, 1));
    assert_eq!(store.settle(&dead, vec![Settlement::done(other)]).await, Ok(1));
    assert_eq!(lanes(&store, &sync()).await, (0, 0));
    assert!(claim(&store, hours(1)).await.entries.is_empty());
}

pub async fn only_one_of_many_workers_settles_a_dead_letter(store: SharedStore) {
    let now = now(&store).await;
    let dead_letter = keep_dead_letter(&store, "e1", now).await;
    let mut tasks = Vec::new();
    for i in 0..8 {
        let (store, dead_letter) = (store.clone(), dead_letter.clone());
        tasks.push(tokio::spawn(async move {
            let settlement = if i % 2 == 0 {
                replay(&dead_letter, now, "again")
            } else {
                Settlement::done(dead_letter)
            };
            (i, store.settle(&Queue::dead(&sync()), vec![settlement]).await.unwrap())
        }));
    }
    let mut winners = Vec::new();
    for task in tasks {
        let (i, done) = task.await.unwrap();
        winners.extend((done == 1).then_some(i));
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(lanes(&store, &sync()).await, (usize::from(winners[0] % 2 == 0), 0));
}

pub async fn each_action_has_dead_letters_of_its_own(store: SharedStore) {
    let dead_letter = keep_dead_letter(&store, "e1", now(&store).await).await;
    let of_other = Queue::dead(&other());
    assert!(all_entries(&store, &of_other, 10).await.is_empty());
    let named =
        store.entries(&of_other, Which::Named(std::slice::from_ref(&dead_letter))).await.unwrap();
    assert!(named.items.is_empty());
    assert_eq!(store.settle(&of_other, vec![Settlement::done(dead_letter.clone())]).await, Ok(0));
    assert_eq!(
        store.settle(&Queue::pending(&sync()), vec![Settlement::done(dead_letter)]).await,
        Ok(0)
    );
    assert_eq!(lanes(&store, &sync()).await, (0, 1));
}

/// More entries than one statement or script may be able to name.
pub async fn thousands_of_dead_letters_are_settled_in_one_call(store: SharedStore) {
    let now = now(&store).await;
    let dead_letter = keep_dead_letter(&store, "e1", now).await;
    let absent = |i| EntryRef { shard: dead_letter.shard, id: format!("absent-{i}") };
    let mut replays: Vec<Settlement> =
        (0..9_000).map(|i| replay(&absent(i), now, "of nothing")).collect();
    replays.push(replay(&dead_letter, now, "again"));
    assert_eq!(store.settle(&Queue::dead(&sync()), replays).await, Ok(1));
    assert_eq!(entry_ids(&claim(&store, Span::ZERO).await.entries), [dead_letter.id]);
}
