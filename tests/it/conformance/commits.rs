//! Whole or not at all, and only where the version is the expected one.

use std::sync::Arc;

use autoreceive::domain::{Clock, Command, Event, EventKind, Order, Policy, Span, Status, Terms, Time};
use autoreceive::store::{Change, Members, RestNote, Verdict};

use super::kit::*;

every_store!(
    a_new_order_is_kept_as_it_was_decided,
    a_changed_order_replaces_the_version_it_was_decided_on,
    a_removed_order_is_gone_with_its_wake,
    a_new_order_loses_where_there_is_one,
    a_change_loses_against_any_other_version,
    losers_are_dropped_with_everything_of_theirs,
    an_entry_without_a_committed_event_is_not_stored,
    an_entry_holds_the_events_it_names,
    the_commits_of_one_call_are_independent,
    a_stale_decision_changes_nothing,
    a_decision_a_few_seconds_old_is_committed,
    a_wake_is_corrected_under_the_same_version,
    a_wake_without_a_record_is_removed_only_where_there_is_no_record,
    the_first_terms_of_a_revision_stand,
    any_id_is_kept_apart_from_any_other,
    an_order_with_all_its_data_is_kept,
);

async fn a_new_order_is_kept_as_it_was_decided(store: Kept) {
    let now = now(&store).await;
    let change = paid(&id("A-1"), now, now);
    keep(&store, vec![change.clone()]).await;
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&change)));
}

async fn a_changed_order_replaces_the_version_it_was_decided_on(store: Kept) {
    let now = now(&store).await;
    let first = placed(&id("A-1"), now);
    keep(&store, vec![first.clone()]).await;
    let second = then(&after(&first), &Command::Pay { at: None }, now);
    keep(&store, vec![second.clone()]).await;
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&second)));
}

async fn a_removed_order_is_gone_with_its_wake(store: Kept) {
    let now = now(&store).await;
    let change = overdue(&id("A-1"), hours(1), now);
    keep(&store, vec![change.clone()]).await;
    assert_eq!(due_ids(&store).await, ["A-1"]);
    keep(&store, vec![removal(&after(&change))]).await;
    assert_eq!(loaded(&store, &id("A-1")).await, None);
    assert!(due_ids(&store).await.is_empty());
    assert!(store.heads().await.unwrap().heads.iter().all(Option::is_none));
}

async fn a_new_order_loses_where_there_is_one(store: Kept) {
    let now = now(&store).await;
    let first = placed(&id("A-1"), now);
    keep(&store, vec![first.clone()]).await;
    let second = paid(&id("A-1"), now, now);
    assert_eq!(losers(&store, commit(&store, now, vec![second])).await, [0]);
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&first)));
}

async fn a_change_loses_against_any_other_version(store: Kept) {
    let now = now(&store).await;
    let kept = and_then(placed(&id("A-1"), now), &Command::Pay { at: None }, now);
    keep(&store, vec![kept.clone()]).await;
    let change = then(&after(&kept), &RECEIVE, now);
    for expected in [0, 1, 3, 20, 22, u64::MAX] {
        assert_eq!(losers(&store, commit(&store, now, vec![Change { expected, ..change.clone() }])).await, [0], "version {expected}");
        let removal = Change { expected, ..removal(&after(&kept)) };
        assert_eq!(losers(&store, commit(&store, now, vec![removal])).await, [0], "removal of version {expected}");
    }
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&kept)));
    let absent = then(&after(&paid(&id("A-2"), now, now)), &RECEIVE, now);
    assert_eq!(losers(&store, commit(&store, now, vec![absent])).await, [0]);
    assert_eq!(loaded(&store, &id("A-2")).await, None);
}

/// Of three orders in one commit the middle one loses: its record and wake stay, its event is in no entry, its id in no
/// note, and it moves no count.
async fn losers_are_dropped_with_everything_of_theirs(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 3);
    let first: Vec<Change> = ids.iter().map(|id| overdue(id, hours(1), now)).collect();
    keep(&store, first.clone()).await;
    let mut changes: Vec<Change> = first.iter().map(|change| then(&after(change), &Command::Due, now)).collect();
    changes[1].expected = 7;
    let mut commit = commit(&store, now, changes.clone());
    commit.entries.push(entry("sync", "all", now, Members::All));
    commit.entries.push(entry("some", "some", now, Members::Some(vec![(1, 0), (2, 0)])));
    commit.entries.push(entry("none", "none", now, Members::Some(vec![(1, 0)])));
    commit.notes.push(RestNote { look_at: now, members: vec![0, 1, 2] });
    commit.notes.push(RestNote { look_at: now, members: vec![1] });
    assert_eq!(losers(&store, commit).await, [1]);

    for i in [0, 2] {
        assert_eq!(loaded(&store, &ids[i]).await.as_ref(), Some(&*after(&changes[i])));
    }
    assert_eq!(loaded(&store, &ids[1]).await.as_ref(), Some(&*after(&first[1])));
    assert_eq!(due_ids(&store).await, [ids[1].as_str()]);
    assert_eq!(event_ids(&claim(&store, hours(1)).await.entries[0]), [changes[0].events[0].id(), changes[2].events[0].id()]);
    let some = store.claim(&"some".parse().unwrap(), 10, hours(1)).await.unwrap().entries;
    assert_eq!(event_ids(&some[0]), [changes[2].events[0].id()]);
    assert!(store.claim(&"none".parse().unwrap(), 10, hours(1)).await.unwrap().entries.is_empty());
    let notes = store.rested(10).await.unwrap().notes;
    assert_eq!(notes.len(), 1);
    let noted: Vec<&str> = notes[0].orders.iter().map(|order| order.id.as_str()).collect();
    assert_eq!(noted, [ids[0].as_str(), ids[2].as_str()]);
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.orders.iter().find(|(status, _)| *status == Status::Paid).unwrap().1, 1);
    assert_eq!(stats.totals.iter().find(|(kind, _, _)| *kind == EventKind::Received).unwrap().2, 2);
}

async fn an_entry_without_a_committed_event_is_not_stored(store: Kept) {
    let now = now(&store).await;
    let change = overdue(&id("A-1"), hours(1), now);
    keep(&store, vec![change.clone()]).await;
    let mut lost = commit(&store, now, vec![Change { expected: 9, ..then(&after(&change), &Command::Due, now) }]);
    lost.entries.push(entry("sync", "lost", now, Members::All));
    assert_eq!(losers(&store, lost).await, [0]);
    let mut without_events = commit(&store, now, vec![Change { events: Vec::new(), ..then(&after(&change), &Command::Due, now) }]);
    without_events.entries.push(entry("sync", "empty", now, Members::All));
    assert!(losers(&store, without_events).await.is_empty());
    let claimed = claim(&store, hours(1)).await;
    assert!(claimed.entries.is_empty() && claimed.unreadable.is_empty());
    assert!(store.stats().await.unwrap().actions.iter().all(|action| action.pending == 0));
}

async fn an_entry_holds_the_events_it_names(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 2);
    let ship = Command::Ship { at: None, carrier: None, tracking: None };
    let long = and_then(and_then(placed(&ids[0], now), &Command::Pay { at: None }, now), &ship, now);
    let short = paid(&ids[1], now, now);
    let mut commit = commit(&store, now, vec![long.clone(), short.clone()]);
    commit.entries.push(entry("sync", "e", now, Members::Some(vec![(0, 0), (0, 2), (1, 0)])));
    commit.entries.push(entry("other", "e", now, Members::All));
    assert!(losers(&store, commit).await.is_empty());
    let expected = [long.events[0].clone(), long.events[2].clone(), short.events[0].clone()];
    let claimed = claim(&store, hours(1)).await;
    assert_eq!(claimed.entries[0].events, expected);
    assert_eq!(claimed.entries[0].history, None);
    let all: Vec<Event> = long.events.into_iter().chain(short.events).collect();
    assert_eq!(store.claim(&"other".parse().unwrap(), 10, hours(1)).await.unwrap().entries[0].events, all);
}

async fn the_commits_of_one_call_are_independent(store: Kept) {
    let now = now(&store).await;
    keep(&store, vec![placed(&id("b"), now)]).await;
    let ids = ["a", "b", "c", "d"].map(id);
    let commits = ids.iter().map(|id| commit(&store, now, vec![paid(id, now, now)]).into()).collect();
    let verdicts = store.commit(commits).await;
    let done = |losers: &[u32]| Verdict::Done { losers: losers.to_vec() };
    assert_eq!(verdicts, [done(&[]), done(&[0]), done(&[]), done(&[])]);
    let loaded = store.load(&ids).await.unwrap().orders;
    let statuses: Vec<Status> = loaded.into_iter().map(|order| order.unwrap().unwrap().status).collect();
    assert_eq!(statuses, [Status::Paid, Status::PendingPayment, Status::Paid, Status::Paid]);
    assert_eq!(store.commit(Vec::new()).await, []);
}

async fn a_stale_decision_changes_nothing(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 2);
    let resting = then(&after(&paid(&ids[0], now, now)), &RECEIVE, now);
    let mut noted = commit(&store, now, vec![Change { expected: 0, was: None, ..resting.clone() }]);
    noted.notes.push(RestNote { look_at: now, members: vec![0] });
    assert!(losers(&store, noted).await.is_empty());
    let note = store.rested(1).await.unwrap().notes.remove(0).note;

    for stale in [now.before(Span::from_secs(12)), now.after(Span::from_secs(60))] {
        let mut commit = commit(&store, stale, vec![removal(&after(&resting)), paid(&ids[1], now, now)]);
        commit.entries.push(entry("sync", "stale", now, Members::All));
        commit.notes.push(RestNote { look_at: now, members: vec![1] });
        commit.notes_done.push(note.clone());
        assert_eq!(losers(&store, commit).await, [0, 1]);
    }
    assert_eq!(loaded(&store, &ids[0]).await.as_ref(), Some(&*after(&resting)));
    assert_eq!(loaded(&store, &ids[1]).await, None);
    assert!(claim(&store, hours(1)).await.entries.is_empty());
    let notes = store.rested(10).await.unwrap().notes;
    assert_eq!(notes.into_iter().map(|note| note.note).collect::<Vec<_>>(), [note]);
}

async fn a_decision_a_few_seconds_old_is_committed(store: Kept) {
    let now = now(&store).await;
    let change = placed(&id("A-1"), now);
    assert!(losers(&store, commit(&store, now.before(Span::from_secs(2)), vec![change])).await.is_empty());
    assert!(loaded(&store, &id("A-1")).await.is_some());
}

async fn a_wake_is_corrected_under_the_same_version(store: Kept) {
    let now = now(&store).await;
    let kept = after(&overdue(&id("A-1"), hours(1), now));
    keep(&store, vec![overdue(&id("A-1"), hours(1), now)]).await;
    let with_deadline = |deadline: Time| {
        let Clock::Running { kind, remind_at, .. } = kept.clock else { panic!("no clock runs") };
        Arc::new(Order { clock: Clock::Running { kind, deadline, remind_at }, ..(*kept).clone() })
    };
    let corrected = with_deadline(now.after(hours(5)));
    let change =
        |expected| Change { id: id("A-1"), expected, was: Some(Status::Paid), order: Some(Arc::clone(&corrected)), events: Vec::new() };
    assert_eq!(losers(&store, commit(&store, now, vec![change(2)])).await, [0]);
    assert_eq!(due_ids(&store).await, ["A-1"]);
    keep(&store, vec![change(1)]).await;
    assert!(due_ids(&store).await.is_empty());
    assert_eq!(store.heads().await.unwrap().heads.into_iter().flatten().collect::<Vec<_>>(), [now.after(hours(5))]);
    assert_eq!(loaded(&store, &id("A-1")).await.unwrap().version, 1);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.orders, stats.waiting), (vec![(Status::Paid, 1)], 1));
}

async fn a_wake_without_a_record_is_removed_only_where_there_is_no_record(store: Kept) {
    let now = now(&store).await;
    let nothing = |name| Change { id: id(name), expected: 0, was: None, order: None, events: Vec::new() };
    keep(&store, vec![nothing("absent"), overdue(&id("present"), hours(1), now)]).await;
    assert_eq!(losers(&store, commit(&store, now, vec![nothing("present")])).await, [0]);
    assert_eq!(due_ids(&store).await, ["present"]);
    assert_eq!(loaded(&store, &id("absent")).await, None);
}

async fn the_first_terms_of_a_revision_stand(store: Kept) {
    let now = now(&store).await;
    let ids = neighbours(&store, 2);
    let shard = store.shard_of(&ids[0]);
    let terms = Terms { remind_before: vec![hours(6), hours(2)], pay_within: Some(hours(1)), ..Terms::default() };
    let policy = Policy::new("long-one", terms.clone()).unwrap();
    let unknown = Policy::new("unknown", Terms::default()).unwrap().revision;
    let wanted = [(shard, unknown.clone()), (shard, policy.revision.clone()), (shard, unknown)];
    assert_eq!(store.terms(&wanted).await.unwrap(), [None, None, None]);

    let mut first = commit(&store, now, vec![new_under(&ids[0], &place(), &policy, now)]);
    first.policies.push(policy.clone());
    assert!(losers(&store, first).await.is_empty());
    let mut second = commit(&store, now, vec![new_under(&ids[1], &place(), &policy, now)]);
    second.policies.push(Policy { terms: Arc::new(Terms::default()), ..policy });
    assert!(losers(&store, second).await.is_empty());
    assert_eq!(store.terms(&wanted).await.unwrap(), [None, Some(terms), None]);
}

async fn any_id_is_kept_apart_from_any_other(store: Kept) {
    let now = now(&store).await;
    let long = "가".repeat(42) + "ab";
    let texts = [
        "a",
        "A",
        "a ",
        " a",
        ":",
        "a:1",
        "{}",
        "{a}",
        "{a",
        "a}",
        "\"a\"",
        "'a'",
        "';--",
        "%",
        "%41",
        "a%",
        "|",
        "a|b",
        "~",
        "\\",
        "*",
        "?",
        "[a]",
        "é",
        "e\u{301}",
        "📦",
        "0",
        "00",
        "-1",
        "1e3",
        "null",
        "true",
        "$1",
        "KEYS[1]",
        &long,
        &"x".repeat(128),
    ];
    let ids: Vec<_> = texts.into_iter().map(id).collect();
    let changes: Vec<Change> = ids.iter().map(|id| overdue(id, hours(1), now)).collect();
    for (i, change) in changes.iter().enumerate() {
        let mut commit = commit(&store, now, vec![change.clone()]);
        commit.entries.push(entry("sync", &format!("e{i}"), now, Members::All));
        assert!(losers(&store, commit).await.is_empty(), "{:?}", change.id);
    }
    let orders = store.load(&ids).await.unwrap().orders;
    for (change, order) in changes.iter().zip(orders) {
        assert_eq!(order.unwrap().as_ref(), Some(&*after(change)));
    }
    let mut expected: Vec<&str> = texts.to_vec();
    expected.sort_unstable();
    assert_eq!(due_ids(&store).await, expected);
    let claimed = claim(&store, hours(1)).await.entries;
    let mut noted: Vec<String> = claimed.into_iter().flat_map(|entry| entry.events).map(|event| event.0.id.to_string()).collect();
    noted.sort_unstable();
    assert_eq!(noted, expected);
    assert!(ids.iter().all(|id| store.shard_of(id) < store.shards()));
}

async fn an_order_with_all_its_data_is_kept(store: Kept) {
    use autoreceive::domain::words::Data;
    let now = now(&store).await;
    let json = format!("\"{}|%~\u{1F4E6}\"", "가".repeat(1_362));
    assert!(json.len() <= Data::MAX && json.len() > Data::MAX - 8, "{}", json.len());
    let change = new(&id("A-1"), place().data(Data::new(&json).unwrap()).paid_at(now), now);
    let change = and_then(change, &hold("a:{b}|c~d%"), now);
    let mut commit = commit(&store, now, vec![change.clone()]);
    commit.entries.push(entry("sync", "e", now, Members::All));
    assert!(losers(&store, commit).await.is_empty());
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&change)));
    assert_eq!(claim(&store, hours(1)).await.entries[0].events, change.events);
}
