//! Entries: leased to one, coming again after the lease, settled once.

use autoreceive::domain::{Command, Event, Span, Time};
use autoreceive::store::{After, EntryRef, History, Members, Settlement};

use super::kit::*;

every_store!(
    an_entry_is_claimed_with_its_events_once_its_time_has_come,
    an_entry_is_not_given_twice_while_it_is_leased,
    an_entry_comes_again_after_its_lease,
    no_more_than_the_limit_is_claimed_and_the_next_time_is_told,
    each_action_has_entries_of_its_own,
    a_settled_entry_does_not_come_again,
    an_event_that_failed_comes_again_with_its_history,
    an_entry_that_failed_twice_comes_again_under_the_same_id,
    a_dead_letter_is_counted_and_not_claimed,
    a_late_settlement_revives_nothing,
    a_lease_is_renewed_only_where_there_is_an_entry,
    an_action_is_shown_after_its_last_entry_is_gone,
);

fn history(attempts: u32, now: Time) -> History {
    let error = |i: i64| (now.before(Span::from_secs(10 - i)), format!("HTTP 503: {i} — später"));
    History { attempts, first_at: now.before(hours(1)), errors: (0..3).map(error).collect() }
}

async fn an_entry_is_claimed_with_its_events_once_its_time_has_come(store: Kept) {
    let now = now(&store).await;
    let (entry, event) = keep_entry(&store, "e1", now).await;
    let later = now.after(hours(1));
    keep_entry(&store, "e2", later).await;
    let claimed = claim(&store, hours(2)).await;
    assert_eq!(claimed.entries.len(), 1);
    assert_eq!((&claimed.entries[0].entry, &claimed.entries[0].events, &claimed.entries[0].history), (&entry, &vec![event], &None));
    assert!(claimed.unreadable.is_empty());
    assert_eq!(claimed.next_at, Some(later));
}

async fn an_entry_is_not_given_twice_while_it_is_leased(store: Kept) {
    let now = now(&store).await;
    for i in 0..40 {
        keep_entry(&store, &format!("e{i}"), now).await;
    }
    let claims = (0..8).map(|_| claim(&store, hours(1)));
    let claimed = futures_util::future::join_all(claims).await;
    let mut ids: Vec<String> = claimed.iter().flat_map(entry_ids).collect();
    ids.sort_unstable();
    let mut expected: Vec<String> = (0..40).map(|i| format!("e{i}")).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(claim(&store, hours(1)).await.entries.is_empty());
}

async fn an_entry_comes_again_after_its_lease(store: Kept) {
    let (entry, event) = keep_entry(&store, "e1", now(&store).await).await;
    let first = claim(&store, Span::from_ms(30)).await;
    assert_eq!(entry_ids(&first), ["e1"]);
    let again = claim_in_time(&store).await;
    assert!(again.now >= first.now.after(Span::from_ms(30)), "claimed again at {:?}", again.now);
    assert_eq!((&again.entries[0].entry, &again.entries[0].events), (&entry, &vec![event]));
}

async fn no_more_than_the_limit_is_claimed_and_the_next_time_is_told(store: Kept) {
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
    // A lease begins while the claim is at work: not before it was asked for, not after the time that it came back with.
    assert!(none.next_at.is_some_and(|at| (now.after(hours(9))..=claimed.now.after(hours(9))).contains(&at)), "{none:?} {claimed:?}");
    assert_eq!(store.claim(&"other".parse().unwrap(), 3, hours(9)).await.unwrap().next_at, None);
}

async fn each_action_has_entries_of_its_own(store: Kept) {
    let now = now(&store).await;
    let mut commit = commit(&store, now, vec![placed(&id("A-1"), now)]);
    for action in ["a", "b-1", "c_2"] {
        commit.entries.push(entry(action, "same", now, Members::All));
    }
    assert!(losers(&store, commit).await.is_empty());
    let shard = store.shard_of(&id("A-1"));
    store.settle(&"a".parse().unwrap(), vec![settled(&EntryRef { shard, id: "same".into() })]).await.unwrap();
    for (action, left) in [("a", 0), ("b-1", 1), ("c_2", 1), ("d", 0)] {
        assert_eq!(store.claim(&action.parse().unwrap(), 10, hours(1)).await.unwrap().entries.len(), left, "{action}");
    }
}

async fn a_settled_entry_does_not_come_again(store: Kept) {
    let now = now(&store).await;
    let (first, _) = keep_entry(&store, "e1", now).await;
    keep_entry(&store, "e2", now).await;
    let (handed_off, _) = keep_entry(&store, "e3", now.after(hours(1))).await;
    claim(&store, Span::ZERO).await;
    store.settle(&sync(), vec![settled(&first), settled(&handed_off)]).await.unwrap();
    assert_eq!(entry_ids(&claim_in_time(&store).await), ["e2"]);
    assert_eq!(store.stats().await.unwrap().actions[0].pending, 1);
    store.settle(&sync(), Vec::new()).await.unwrap();
}

async fn an_event_that_failed_comes_again_with_its_history(store: Kept) {
    let now = now(&store).await;
    let (entry, event) = keep_entry(&store, "e1", now).await;
    let history = history(3, now);
    let later = now.after(hours(1));
    let other = then(&event.0, &Command::Pay { at: None }, now).events.remove(0);
    let retry = |event: &Event, at| After::Retry { event: event.clone(), history: history.clone(), at };
    store.settle(&sync(), vec![Settlement { entry: entry.clone(), after: vec![retry(&event, now), retry(&other, later)] }]).await.unwrap();
    let claimed = claim(&store, hours(2)).await;
    assert_eq!(claimed.next_at, Some(later));
    assert_eq!(entry_ids(&claimed), [event.id()]);
    assert_eq!(claimed.entries[0].entry.shard, entry.shard);
    assert_eq!((&claimed.entries[0].events, &claimed.entries[0].history), (&vec![event], &Some(history)));
    assert_eq!(store.stats().await.unwrap().actions[0].pending, 2);
}

async fn an_entry_that_failed_twice_comes_again_under_the_same_id(store: Kept) {
    let now = now(&store).await;
    let (mut entry, event) = keep_entry(&store, "e1", now).await;
    for attempts in 1..4 {
        let retry = After::Retry { event: event.clone(), history: history(attempts, now), at: now };
        store.settle(&sync(), vec![Settlement { entry, after: vec![retry] }]).await.unwrap();
        let claimed = claim(&store, hours(1)).await;
        assert_eq!(entry_ids(&claimed), [event.id()]);
        assert_eq!(claimed.entries[0].history, Some(history(attempts, now)));
        entry = claimed.entries[0].entry.clone();
    }
    assert_eq!(store.stats().await.unwrap().actions[0].pending, 1);
}

async fn a_dead_letter_is_counted_and_not_claimed(store: Kept) {
    let now = now(&store).await;
    for name in ["e1", "e2"] {
        let (entry, event) = keep_entry(&store, name, now).await;
        let dead = After::Dead { event, history: history(18, now), at: now };
        store.settle(&sync(), vec![Settlement { entry, after: vec![dead] }]).await.unwrap();
    }
    assert!(claim(&store, hours(1)).await.entries.is_empty());
    let actions = store.stats().await.unwrap().actions;
    assert_eq!((actions.len(), actions[0].name.as_str(), actions[0].pending, actions[0].dead), (1, "sync", 0, 2));
    assert_eq!(actions[0].next_at, None);
}

async fn a_late_settlement_revives_nothing(store: Kept) {
    let now = now(&store).await;
    let (entry, event) = keep_entry(&store, "e1", now).await;
    store.settle(&sync(), vec![settled(&entry)]).await.unwrap();
    let retry = After::Retry { event: event.clone(), history: history(1, now), at: now };
    let dead = After::Dead { event, history: history(1, now), at: now };
    store.settle(&sync(), vec![Settlement { entry, after: vec![retry, dead] }]).await.unwrap();
    assert!(claim(&store, hours(1)).await.entries.is_empty());
    let actions = store.stats().await.unwrap().actions;
    assert_eq!((actions[0].pending, actions[0].dead), (0, 0));
}

async fn a_lease_is_renewed_only_where_there_is_an_entry(store: Kept) {
    let now = now(&store).await;
    let (kept, _) = keep_entry(&store, "kept", now).await;
    let (gone, _) = keep_entry(&store, "gone", now).await;
    claim(&store, Span::ZERO).await;
    store.settle(&sync(), vec![settled(&gone)]).await.unwrap();
    store.renew(&sync(), &[kept, gone], hours(3)).await.unwrap();
    let claimed = claim(&store, hours(1)).await;
    assert!(claimed.entries.is_empty() && claimed.unreadable.is_empty());
    assert!(claimed.next_at.is_some_and(|at| at >= now.after(hours(3)) && at <= claimed.now.after(hours(3))), "{:?}", claimed.next_at);
    assert_eq!(store.stats().await.unwrap().actions[0].pending, 1);
}

async fn an_action_is_shown_after_its_last_entry_is_gone(store: Kept) {
    let now = now(&store).await;
    assert!(store.stats().await.unwrap().actions.is_empty());
    let at = now.after(hours(1));
    let (entry, _) = keep_entry(&store, "e1", at).await;
    let action = store.stats().await.unwrap().actions.remove(0);
    assert_eq!((action.name.as_str(), action.pending, action.next_at, action.dead), ("sync", 1, Some(at), 0));
    store.settle(&sync(), vec![settled(&entry)]).await.unwrap();
    let action = store.stats().await.unwrap().actions.remove(0);
    assert_eq!((action.name.as_str(), action.pending, action.next_at, action.dead), ("sync", 0, None, 0));
}
