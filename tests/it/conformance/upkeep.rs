//! What is known of receivers, entries for orders that there are, and entries that are given to another action.

use std::collections::{BTreeMap, BTreeSet};

use autoreceive::domain::{Circuit, Event, Span};
use autoreceive::store::{ActionName, After, History, Members, Relocated, Settlement, StoreError};

use super::dead_letters::bury;
use super::kit::*;

every_store!(
    what_is_known_of_a_receiver_is_changed_only_by_those_who_know_it,
    of_many_who_change_what_is_known_of_a_receiver_one_wins,
    what_was_not_attempted_stays_in_its_entry,
    an_entry_is_added_under_its_events_id_unless_it_is_there,
    a_scan_leads_through_every_order_whatever_comes_and_goes_meanwhile,
    entries_and_dead_letters_move_as_they_are,
    an_entry_that_is_there_already_stays_there_as_it_is,
    what_is_dropped_is_gone_and_nothing_else,
    however_moving_is_cut_short_every_entry_is_in_exactly_one_place,
);

fn other() -> ActionName {
    "other".parse().unwrap()
}

async fn what_is_known_of_a_receiver_is_changed_only_by_those_who_know_it(store: Kept) {
    let (before, unknown) = store.circuit(&sync()).await.unwrap();
    assert_eq!(unknown, Circuit::default());
    let failing = Circuit { suspect: Some("A-1:1".into()), failing_since: Some(before), ..Circuit::default() };
    assert!(store.set_circuit(&sync(), Some(&unknown), &failing).await.unwrap());
    assert!(!store.set_circuit(&sync(), Some(&unknown), &Circuit::default()).await.unwrap());
    let (now, known) = store.circuit(&sync()).await.unwrap();
    assert!(now >= before && known == failing, "{known:?}");
    let disabled = Circuit { disabled_at: Some(now), ..failing.clone() };
    assert!(store.set_circuit(&sync(), Some(&failing), &disabled).await.unwrap());
    assert_eq!(store.circuit(&other()).await.unwrap().1, Circuit::default(), "each action has one of its own");
    let stats = store.stats().await.unwrap().actions;
    assert_eq!((stats.len(), stats[0].name.as_str(), &stats[0].circuit), (1, "sync", &disabled));
    assert!(store.set_circuit(&sync(), None, &Circuit::enabled(now)).await.unwrap(), "whatever is known");
    assert_eq!(store.circuit(&sync()).await.unwrap().1, Circuit::enabled(now));
}

async fn of_many_who_change_what_is_known_of_a_receiver_one_wins(store: Kept) {
    let set = |i: i64| {
        let store = store.clone();
        let next = Circuit { enabled_at: Some(autoreceive::domain::Time::from_ms(i)), ..Circuit::default() };
        async move { store.set_circuit(&sync(), Some(&Circuit::default()), &next).await.unwrap().then_some(next) }
    };
    let winners: Vec<Circuit> = futures_util::future::join_all((1..9).map(set)).await.into_iter().flatten().collect();
    assert_eq!(winners, [store.circuit(&sync()).await.unwrap().1]);
}

async fn what_was_not_attempted_stays_in_its_entry(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 3);
    let changes: Vec<_> = ids.iter().map(|id| placed(id, now)).collect();
    let events: Vec<Event> = changes.iter().map(|change| change.events[0].clone()).collect();
    let mut commit = commit(&store, now, changes);
    commit.entries.push(entry("sync", "e1", now, Members::All));
    assert!(losers(&store, commit).await.is_empty());
    let claimed = claim(&store, hours(1)).await.entries.remove(0);
    let history = History { attempts: 1, first_at: now, errors: vec![(now, "why".into())] };
    let retry = After::Retry { event: events[0].clone(), history: history.clone(), at: now.after(hours(1)) };
    let rest = After::Rest { events: events[1..].to_vec(), at: now };
    store.settle(&sync(), vec![Settlement { entry: claimed.entry.clone(), after: vec![retry, rest] }]).await.unwrap();
    assert_eq!(store.stats().await.unwrap().actions[0].pending, 2);
    let again = claim(&store, hours(1)).await.entries;
    assert_eq!((again.len(), &again[0].entry, &again[0].events[..], &again[0].history), (1, &claimed.entry, &events[1..], &None));
}

async fn an_entry_is_added_under_its_events_id_unless_it_is_there(store: Kept) {
    let now = now(&store).await;
    let dead = bury(&store, "dead", now).await;
    let events: Vec<Event> = (0..2_500).map(|i| placed(&id(&format!("A-{i}")), now).events.remove(0)).collect();
    assert_eq!(store.add(&sync(), events[..3].to_vec()).await.unwrap(), 3);
    assert_eq!(store.add(&sync(), [&events[..], &events[..9]].concat()).await.unwrap(), 2_497);
    assert_eq!(store.add(&sync(), Vec::new()).await.unwrap(), 0);
    let buried = store.dead_letters(&sync(), &[dead]).await.unwrap().remove(0).content.unwrap().0;
    assert_eq!(store.add(&sync(), vec![buried.clone()]).await.unwrap(), 0, "it lies among the dead letters");
    assert_eq!(store.add(&other(), vec![buried]).await.unwrap(), 1);
    let claimed = store.claim(&sync(), 9_999, hours(1)).await.unwrap();
    let first = claimed.entries.iter().find(|entry| entry.entry.id == "A-0:1").unwrap();
    assert_eq!((first.entry.shard, &first.events[..], &first.history), (store.shard_of(&id("A-0")), &events[..1], &None));
    assert_eq!(claimed.entries.len() as u64 + pending(&store, "sync").await.1, 2_501);
}

/// How many entries there are, leased or not, and dead letters.
async fn pending(store: &Kept, action: &str) -> (u64, u64) {
    let stats = store.stats().await.unwrap();
    stats.actions.iter().find(|known| known.name.as_str() == action).map_or((0, 0), |action| (action.pending, action.dead))
}

async fn a_scan_leads_through_every_order_whatever_comes_and_goes_meanwhile(store: Kept) {
    assert!(store.scan(None, 10).await.unwrap().orders.is_empty());
    let now = now(&store).await;
    let name = |i: usize| id(&format!("S-{i}"));
    keep(&store, (0..1_500).map(|i| placed(&name(i), now)).collect()).await;
    let (mut seen, mut cursor, mut steps) = (BTreeSet::new(), None, 0);
    loop {
        let scan = store.scan(cursor.as_deref(), 40).await.unwrap();
        assert_eq!(scan.total, cursor.is_none().then_some(1_500));
        seen.extend(scan.orders.into_iter().map(|order| order.unwrap().id.to_string()));
        // Those of the first thousand stay, others come and go.
        if steps % 10 == 0 {
            keep(&store, (0..20).map(|i| placed(&id(&format!("new-{steps}-{i}")), now)).collect()).await;
        }
        if steps < 500 {
            let gone = loaded(&store, &name(1_000 + steps)).await.unwrap();
            keep(&store, vec![removal(&gone)]).await;
        }
        steps += 1;
        cursor = scan.cursor;
        if cursor.is_none() {
            break;
        }
        assert!(steps < 2_000, "the scan does not end");
    }
    let missing: Vec<usize> = (0..1_000).filter(|&i| !seen.contains(&*name(i).to_string())).collect();
    assert_eq!(missing, Vec::<usize>::new());
    for wrong in ["", "nonsense", "1.x.y"] {
        let refused = store.scan(Some(wrong), 10).await;
        assert!(matches!(refused, Err(StoreError::WrongCursor(_))), "{wrong}: {refused:?}");
    }
}

/// Every entry of an action that can be claimed, with how often it was attempted.
async fn drain(store: &Kept, action: &ActionName) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    loop {
        let claimed = store.claim(action, 1_000, hours(1)).await.unwrap();
        assert!(claimed.unreadable.is_empty());
        if claimed.entries.is_empty() {
            return found;
        }
        found.extend(claimed.entries.into_iter().map(|entry| (entry.entry.id, entry.history.map_or(0, |history| history.attempts))));
    }
}

async fn entries_and_dead_letters_move_as_they_are(store: Kept) {
    let now = now(&store).await;
    let (first, event) = keep_entry(&store, "e1", now).await;
    let history = History { attempts: 5, first_at: now.before(hours(3)), errors: vec![(now, "503".into())] };
    store
        .settle(&sync(), vec![Settlement { entry: first, after: vec![After::Retry { event: event.clone(), history, at: now }] }])
        .await
        .unwrap();
    keep_entry(&store, "e2", now.after(hours(9))).await;
    let letter = bury(&store, "e3", now.before(hours(1))).await;
    assert_eq!(store.relocate(&sync(), Some(&other()), 100).await.unwrap(), Relocated { entries: 2, letters: 1 });
    assert_eq!(store.relocate(&sync(), Some(&other()), 100).await.unwrap(), Relocated::default());
    assert_eq!((pending(&store, "sync").await, pending(&store, "other").await), ((0, 0), (2, 1)));
    let page = store.dead_page(&other(), None, 10).await.unwrap().letters;
    assert_eq!((&page[0].letter, page[0].died_at), (&letter, now.before(hours(1))));
    assert_eq!(drain(&store, &other()).await, BTreeMap::from([(event.id(), 5)]));
    let next = store.claim(&other(), 10, Span::ZERO).await.unwrap().next_at;
    assert!(next.is_some_and(|at| at <= now.after(hours(9))), "{next:?}");
}

async fn an_entry_that_is_there_already_stays_there_as_it_is(store: Kept) {
    let now = now(&store).await;
    let event = placed(&id("A-1"), now).events.remove(0);
    for action in [sync(), other()] {
        store.add(&action, vec![event.clone()]).await.unwrap();
    }
    let claimed = store.claim(&sync(), 10, hours(1)).await.unwrap().entries.remove(0);
    let history = History { attempts: 9, first_at: now, errors: Vec::new() };
    let retry = After::Retry { event: event.clone(), history, at: now };
    store.settle(&sync(), vec![Settlement { entry: claimed.entry, after: vec![retry] }]).await.unwrap();
    assert_eq!(store.relocate(&sync(), Some(&other()), 100).await.unwrap().entries, 1);
    assert_eq!((pending(&store, "sync").await, pending(&store, "other").await), ((0, 0), (1, 0)));
    assert_eq!(drain(&store, &other()).await, BTreeMap::from([(event.id(), 0)]));
}

async fn what_is_dropped_is_gone_and_nothing_else(store: Kept) {
    let now = now(&store).await;
    for i in 0..120 {
        keep_entry(&store, &format!("e{i}"), now).await;
    }
    bury(&store, "e-dead", now).await;
    store.add(&other(), vec![placed(&id("A-1"), now).events.remove(0)]).await.unwrap();
    let (mut entries, mut letters) = (0, 0);
    loop {
        let step = store.relocate(&sync(), None, 50).await.unwrap();
        assert!(step.entries + step.letters <= 50, "{step:?}");
        (entries, letters) = (entries + step.entries, letters + step.letters);
        if step == Relocated::default() {
            break;
        }
    }
    assert_eq!((entries, letters), (120, 1));
    assert_eq!((pending(&store, "sync").await, pending(&store, "other").await), ((0, 0), (1, 0)));
    assert!(claim(&store, hours(1)).await.unreadable.is_empty());
}

async fn however_moving_is_cut_short_every_entry_is_in_exactly_one_place(store: Kept) {
    let now = now(&store).await;
    let events: Vec<Event> = (0..300).map(|i| placed(&id(&format!("A-{i}")), now).events.remove(0)).collect();
    store.add(&sync(), events).await.unwrap();
    let mut moved = 0;
    while moved < 300 {
        // Two who move at the same time, a little each.
        let (to, from) = (other(), sync());
        let (one, two) = tokio::join!(store.relocate(&from, Some(&to), 17), store.relocate(&from, Some(&to), 17));
        moved += one.unwrap().entries + two.unwrap().entries;
        let (left, there) = (pending(&store, "sync").await.0, pending(&store, "other").await.0);
        assert_eq!((left, there), (300 - moved, moved));
    }
    assert_eq!(drain(&store, &other()).await.len(), 300);
}
