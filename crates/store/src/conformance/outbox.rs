//! Entries are leased to one worker, can be claimed again after the lease, and are settled once.

use autoreceive_domain::Command;

use super::kit::*;
use crate::*;

pub async fn an_entry_is_claimed_with_its_events_at_its_time(store: SharedStore) {
    let now = now(&store).await;
    let (entry, event) = keep_entry(&store, "e1", now).await;
    let later = now.after(hours(1));
    keep_entry(&store, "e2", later).await;
    let claimed = claim(&store, hours(2)).await;
    assert_eq!(claimed.entries.len(), 1);
    assert_eq!(claimed.entries[0].entry, entry);
    assert_eq!(claimed.entries[0].read().unwrap(), (None, vec![event]));
    assert_eq!(claimed.next_at, Some(later));
}

pub async fn a_leased_entry_is_not_claimed_again(store: SharedStore) {
    let now = now(&store).await;
    for i in 0..40 {
        keep_entry(&store, &format!("e{i}"), now).await;
    }
    let claims = (0..8).map(|_| claim(&store, hours(1)));
    let claimed = futures_util::future::join_all(claims).await;
    let mut ids: Vec<String> =
        claimed.iter().flat_map(|claimed| entry_ids(&claimed.entries)).collect();
    ids.sort_unstable();
    let mut expected: Vec<String> = (0..40).map(|i| format!("e{i}")).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(claim(&store, hours(1)).await.entries.is_empty());
}

pub async fn an_entry_can_be_claimed_again_after_its_lease(store: SharedStore) {
    let (entry, event) = keep_entry(&store, "e1", now(&store).await).await;
    let first = claim(&store, Span::from_ms(30)).await;
    assert_eq!(entry_ids(&first.entries), ["e1"]);
    let lease_end = first.entries[0].at;
    let again = claim_in_time(&store).await;
    assert!(again.now >= lease_end, "claimed again at {}, before {lease_end}", again.now);
    assert_eq!((&again.entries[0].entry, events(&again.entries[0])), (&entry, vec![event]));
}

/// A lease begins during the call: not before it, and not after the time that it returns.
pub async fn a_claimed_entry_says_when_its_lease_ends(store: SharedStore) {
    let before = now(&store).await;
    keep_entry(&store, "e1", before).await;
    let claimed = claim(&store, hours(9)).await;
    let lease_end = claimed.entries[0].at;
    assert!(
        (before.after(hours(9))..=claimed.now.after(hours(9))).contains(&lease_end),
        "{claimed:?}"
    );
    let listed = all_entries(&store, &Queue::pending(&sync()), 10).await;
    assert_eq!(listed, claimed.entries);
    assert_eq!(claim(&store, hours(1)).await.next_at, Some(lease_end));
}

pub async fn claim_returns_at_most_the_limit_and_the_next_time(store: SharedStore) {
    let now = now(&store).await;
    for i in 1..=5 {
        keep_entry(&store, &format!("e{i}"), now.before(hours(i))).await;
    }
    let claimed = store.claim(&sync(), 3, hours(9)).await.unwrap();
    assert_eq!(claimed.entries.len(), 3);
    assert!(claimed.next_at.is_some_and(|at| at < now));
    let rest = store.claim(&sync(), 3, hours(9)).await.unwrap();
    assert_eq!(rest.entries.len(), 2);
    let none = store.claim(&sync(), 3, hours(9)).await.unwrap();
    assert_eq!(none.entries.len(), 0);
    let first_lease_end = claimed.entries.iter().map(|entry| entry.at).min();
    assert_eq!(none.next_at, first_lease_end);
    assert_eq!(store.claim(&other(), 3, hours(9)).await.unwrap().next_at, None);
}

pub async fn each_action_has_entries_of_its_own(store: SharedStore) {
    let now = now(&store).await;
    let mut commit = commit(&store, now, vec![placed(&id("A-1"), now)]).await;
    for action in ["a", "b-1", "c_2"] {
        round(&mut commit).entries.push(entry(action, "same", now, EventSelection::All));
    }
    succeed(&store, commit).await;
    let entry = EntryRef { shard: shard_of(&store, &id("A-1")), id: "same".into() };
    let settled = store.settle(&Queue::pending(&action("a")), vec![Settlement::done(entry)]).await;
    assert_eq!(settled, Ok(1));
    for (name, left) in [("a", 0), ("b-1", 1), ("c_2", 1), ("d", 0)] {
        assert_eq!(
            store.claim(&action(name), 10, hours(1)).await.unwrap().entries.len(),
            left,
            "{name}"
        );
    }
}

pub async fn a_settled_entry_is_not_claimed_again(store: SharedStore) {
    let now = now(&store).await;
    let (first, _) = keep_entry(&store, "e1", now).await;
    keep_entry(&store, "e2", now).await;
    let (handed_off, _) = keep_entry(&store, "e3", now.after(hours(1))).await;
    claim(&store, Span::ZERO).await;
    let queue = Queue::pending(&sync());
    let done = vec![Settlement::done(first.clone()), Settlement::done(handed_off)];
    assert_eq!(store.settle(&queue, done).await, Ok(2));
    assert_eq!(entry_ids(&claim_in_time(&store).await.entries), ["e2"]);
    assert_eq!(lanes(&store, &sync()).await, (1, 0));
    assert_eq!(store.settle(&queue, vec![Settlement::done(first)]).await, Ok(0));
    assert_eq!(store.settle(&queue, Vec::new()).await, Ok(0));
}

pub async fn a_failed_event_is_claimed_again_with_its_history(store: SharedStore) {
    let now = now(&store).await;
    let (entry, event) = keep_entry(&store, "e1", now).await;
    let history = history(3, now);
    let later = now.after(hours(1));
    let paid = then(&event.0, &Command::Pay { at: None }, now).events.remove(0);
    let queue = Queue::pending(&sync());
    let retry = |event: &Event, at| follow_up(queue.clone(), event, &history, at);
    let settlement = Settlement {
        entry: entry.clone(),
        follow_ups: vec![retry(&event, now), retry(&paid, later)],
    };
    assert_eq!(store.settle(&queue, vec![settlement]).await, Ok(1));
    let claimed = claim(&store, hours(2)).await;
    assert_eq!(claimed.next_at, Some(later));
    assert_eq!(entry_ids(&claimed.entries), [event.id()]);
    assert_eq!(claimed.entries[0].entry.shard, entry.shard);
    assert_eq!(claimed.entries[0].read().unwrap(), (Some(history.clone()), vec![event]));
    assert_eq!(lanes(&store, &sync()).await, (2, 0));
}

/// A follow-up may have the id of its entry.
pub async fn an_entry_that_failed_twice_keeps_its_id(store: SharedStore) {
    let now = now(&store).await;
    let (mut entry, event) = keep_entry(&store, "e1", now).await;
    let queue = Queue::pending(&sync());
    for attempts in 1..6 {
        let mut retry = follow_up(queue.clone(), &event, &history(attempts, now), now);
        // Its own entry is removed first, so the id is free.
        retry.only_if_absent = attempts % 2 == 0;
        let settlement = Settlement { entry, follow_ups: vec![retry] };
        assert_eq!(store.settle(&queue, vec![settlement]).await, Ok(1));
        let claimed = claim(&store, hours(1)).await;
        assert_eq!(entry_ids(&claimed.entries), [event.id()]);
        assert_eq!(claimed.entries[0].read().unwrap().0, Some(history(attempts, now)));
        entry = claimed.entries[0].entry.clone();
    }
    assert_eq!(lanes(&store, &sync()).await, (1, 0));
}

/// Only a part of a batch was attempted. The rest keeps the entry's id and has no history.
pub async fn events_that_were_not_attempted_stay_in_their_entry(store: SharedStore) {
    let now = now(&store).await;
    let changes: Vec<_> = neighbours(&store, 3).iter().map(|id| placed(id, now)).collect();
    let all: Vec<Event> = changes.iter().map(|change| change.events[0].clone()).collect();
    let mut commit = commit(&store, now, changes).await;
    round(&mut commit).entries.push(entry("sync", "e1", now, EventSelection::All));
    succeed(&store, commit).await;
    let claimed = claim(&store, hours(1)).await.entries.remove(0);
    let queue = Queue::pending(&sync());
    let retry = follow_up(queue.clone(), &all[0], &history(1, now), now.after(hours(1)));
    let text = crate::entry::encode(None, &all[1..]);
    let id = claimed.entry.id.clone();
    let rest = FollowUp { queue: queue.clone(), id, at: now, text, only_if_absent: false };
    let settlement = Settlement { entry: claimed.entry.clone(), follow_ups: vec![retry, rest] };
    assert_eq!(store.settle(&queue, vec![settlement]).await, Ok(1));
    assert_eq!(lanes(&store, &sync()).await, (2, 0));
    let again = claim(&store, hours(1)).await.entries;
    assert_eq!((again.len(), &again[0].entry), (1, &claimed.entry));
    assert_eq!(again[0].read().unwrap(), (None, all[1..].to_vec()));
}

pub async fn a_late_settlement_restores_nothing(store: SharedStore) {
    let now = now(&store).await;
    let (entry, event) = keep_entry(&store, "e1", now).await;
    let queue = Queue::pending(&sync());
    let late = || {
        let follow = |queue| follow_up(queue, &event, &history(1, now), now);
        let follow_ups = vec![
            follow(Queue::pending(&sync())),
            follow(Queue::dead(&sync())),
            follow(Queue::pending(&other())),
        ];
        Settlement { entry: entry.clone(), follow_ups }
    };
    assert_eq!(store.settle(&queue, vec![Settlement::done(entry.clone())]).await, Ok(1));
    assert_eq!(store.settle(&queue, vec![late(), late()]).await, Ok(0));
    assert_eq!((lanes(&store, &sync()).await, lanes(&store, &other()).await), ((0, 0), (0, 0)));
    assert!(claim(&store, hours(1)).await.entries.is_empty());
}

pub async fn an_entry_is_settled_at_most_once_per_call(store: SharedStore) {
    let now = now(&store).await;
    let (entry, _) = keep_entry(&store, "e1", now).await;
    let done = Settlement::done(entry);
    assert_eq!(store.settle(&Queue::pending(&sync()), vec![done.clone(), done]).await, Ok(1));
}

pub async fn only_the_lease_of_an_existing_entry_is_renewed(store: SharedStore) {
    let now = now(&store).await;
    let (kept, _) = keep_entry(&store, "kept", now).await;
    let (gone, _) = keep_entry(&store, "gone", now).await;
    claim(&store, Span::ZERO).await;
    store.settle(&Queue::pending(&sync()), vec![Settlement::done(gone.clone())]).await.unwrap();
    store.renew(&sync(), &[kept.clone(), gone], hours(3)).await.unwrap();
    store.renew(&sync(), &[], hours(3)).await.unwrap();
    store.renew(&other(), &[kept], hours(9)).await.unwrap();
    let claimed = claim(&store, hours(1)).await;
    assert!(claimed.entries.is_empty());
    let next_at = claimed.next_at.unwrap();
    assert!((now.after(hours(3))..=claimed.now.after(hours(3))).contains(&next_at), "{next_at}");
    assert_eq!((lanes(&store, &sync()).await, lanes(&store, &other()).await), ((1, 0), (0, 0)));
}

pub async fn an_added_entry_is_claimed_like_any_other(store: SharedStore) {
    let now = now(&store).await;
    let queue = Queue::pending(&sync());
    let (first, later) = (event("A-1", now), event("A-2", now));
    let new = vec![entry_of(&store, &first, now), entry_of(&store, &later, now.after(hours(1)))];
    assert_eq!(store.put(&queue, new.clone()).await, Ok(2));
    let claimed = claim(&store, hours(2)).await;
    assert_eq!((claimed.entries.len(), &claimed.entries[0].entry), (1, &new[0].entry));
    assert_eq!(claimed.entries[0].read().unwrap(), (None, vec![first]));
    assert_eq!(claimed.next_at, Some(now.after(hours(1))));
}

pub async fn an_entry_is_added_only_if_neither_lane_has_its_id(store: SharedStore) {
    let now = now(&store).await;
    let dead = keep_dead_letter(&store, "dead", now).await;
    let (pending, dead_queue) = (Queue::pending(&sync()), Queue::dead(&sync()));
    let mut entries: Vec<NewEntry> = Vec::new();
    for i in 0..2_500 {
        entries.push(entry_of(&store, &event(&format!("A-{i}"), now), now));
    }
    assert_eq!(store.put(&pending, entries[..3].to_vec()).await, Ok(3));
    assert_eq!(store.put(&pending, [&entries[..], &entries[..9]].concat()).await, Ok(2_497));
    assert_eq!(store.put(&pending, Vec::new()).await, Ok(0));
    let again = NewEntry { entry: dead, at: now, text: "another text".to_owned() };
    assert_eq!(
        store.put(&pending, vec![again.clone()]).await,
        Ok(0),
        "it lies among the dead letters"
    );
    assert_eq!(
        store.put(&dead_queue, vec![again.clone()]).await,
        Ok(0),
        "it lies among the dead letters"
    );
    assert_eq!(store.put(&dead_queue, entries[..5].to_vec()).await, Ok(0), "they are pending");
    assert_eq!(store.put(&Queue::pending(&other()), vec![again.clone()]).await, Ok(1));
    assert_eq!((lanes(&store, &sync()).await, lanes(&store, &other()).await), ((2_500, 1), (1, 0)));
    let dead_letters = all_entries(&store, &dead_queue, 10).await;
    assert_ne!(dead_letters[0].text, Some(again.text), "an existing entry is not changed");
    let claimed = store.claim(&sync(), 9_999, hours(1)).await.unwrap().entries;
    let first = claimed.iter().find(|entry| entry.entry.id == "A-0:1").unwrap();
    assert_eq!((&first.entry, first.text.as_ref()), (&entries[0].entry, Some(&entries[0].text)));
}

/// A store does not parse entries. The worker that claims an unreadable entry reports it.
pub async fn any_text_is_kept_unchanged(store: SharedStore) {
    let now = now(&store).await;
    let texts =
        ["", "not an entry", "\tnor this", "a\nb\r\n\tc", "가📦", "'\"{}|%\\", &"x".repeat(20_000)];
    let queue = Queue::pending(&sync());
    let at = |i: usize| now.before(Span::from_secs(100 - i as i64));
    let entries = texts.into_iter().enumerate().map(|(i, text)| NewEntry {
        entry: EntryRef { shard: 0, id: format!("e{i} 주문:{i}") },
        at: at(i),
        text: text.to_owned(),
    });
    assert_eq!(store.put(&queue, entries.collect()).await, Ok(texts.len() as u64));
    let listed = all_entries(&store, &queue, 3).await;
    assert!(listed.iter().map(|entry| entry.text.as_deref()).eq(texts.map(Some)));
    assert!(listed.iter().enumerate().all(|(i, entry)| entry.at == at(i)));
    let mut claimed = claim(&store, hours(1)).await.entries;
    claimed.sort_unstable_by(|one, two| one.entry.id.cmp(&two.entry.id));
    assert!(claimed.iter().map(|entry| entry.text.as_deref()).eq(texts.map(Some)));
}

pub async fn the_pages_of_a_queue_are_in_order_of_time(store: SharedStore) {
    let now = now(&store).await;
    for lane in [Lane::Pending, Lane::Dead] {
        let queue = Queue { action: sync(), lane };
        // Several entries have the same millisecond, so their time alone does not order them.
        let entry = |i: i64| NewEntry {
            at: now.before(hours(i / 20)),
            ..entry_of(&store, &event(&format!("{lane:?}-{i}"), now), now)
        };
        let entries: Vec<NewEntry> = (0..50).map(entry).collect();
        assert_eq!(store.put(&queue, entries.clone()).await, Ok(50));
        let mut expected: Vec<String> = entries.into_iter().map(|entry| entry.entry.id).collect();
        expected.sort_unstable();
        for limit in [1, 4, 25, 50, 1_000] {
            let listed = all_entries(&store, &queue, limit).await;
            assert_eq!(entry_ids(&listed), expected, "in pages of {limit}");
        }
    }
}

pub async fn a_cursor_of_another_queue_is_refused(store: SharedStore) {
    let now = now(&store).await;
    let queues: Vec<Queue> = [sync(), other()]
        .iter()
        .flat_map(|action| [Queue::pending(action), Queue::dead(action)])
        .collect();
    let mut cursors = Vec::new();
    for (i, queue) in queues.iter().enumerate() {
        let entries = (0..3).map(|n| entry_of(&store, &event(&format!("A-{i}-{n}"), now), now));
        assert_eq!(store.put(queue, entries.collect()).await, Ok(3));
        let page = store.entries(queue, Which::Page { cursor: None, limit: 2 }).await.unwrap();
        cursors.push(page.cursor.unwrap());
    }
    for (i, queue) in queues.iter().enumerate() {
        let others = cursors
            .iter()
            .enumerate()
            .filter(|(of, _)| *of != i)
            .map(|(_, cursor)| cursor.as_str());
        for wrong in others.chain(["", "nonsense", "'", "0"]) {
            let refused = store.entries(queue, Which::Page { cursor: Some(wrong), limit: 2 }).await;
            assert!(
                matches!(refused, Err(StoreError::WrongCursor(_))),
                "{wrong} in {queue}: {refused:?}"
            );
        }
    }
}

pub async fn only_existing_entries_are_returned_by_name(store: SharedStore) {
    let now = now(&store).await;
    let new = ["A-1", "A-2", "A-3"].map(|name| entry_of(&store, &event(name, now), now));
    for queue in [Queue::pending(&sync()), Queue::dead(&other())] {
        assert_eq!(store.put(&queue, new.to_vec()).await, Ok(3));
        let absent = EntryRef { shard: new[0].entry.shard, id: "A-1:9".to_owned() };
        let named = [new[2].entry.clone(), absent, new[0].entry.clone()];
        let page = store.entries(&queue, Which::Named(&named)).await.unwrap();
        assert_eq!(entry_ids(&page.items), ["A-1:1", "A-3:1"]);
        assert!(page.cursor.is_none() && page.now >= now);
        for entry in page.items {
            let kept = new.iter().find(|new| new.entry == entry.entry).unwrap();
            assert_eq!((entry.at, entry.text.as_ref()), (kept.at, Some(&kept.text)));
        }
        let other_lane = match queue.lane {
            Lane::Pending => Queue::dead(&queue.action),
            Lane::Dead => Queue::pending(&queue.action),
        };
        assert!(store.entries(&other_lane, Which::Named(&named)).await.unwrap().items.is_empty());
        assert!(store.entries(&queue, Which::Named(&[])).await.unwrap().items.is_empty());
    }
}
