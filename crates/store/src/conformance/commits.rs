//! A commit is written whole or not at all, and only if nothing has changed since the read.

use std::sync::Arc;

use autoreceive_domain::{Command, EventKind, Order, Policy, Status};

use super::kit::*;
use crate::*;

pub async fn a_new_order_is_kept_as_it_was_decided(store: SharedStore) {
    let now = now(&store).await;
    let change = paid(&id("A-1"), now, now);
    keep(&store, vec![change.clone()]).await;
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&change)));
}

pub async fn a_changed_order_replaces_the_version_it_was_decided_on(store: SharedStore) {
    let now = now(&store).await;
    let first = placed(&id("A-1"), now);
    keep(&store, vec![first.clone()]).await;
    let second = then(&after(&first), &Command::Pay { at: None }, now);
    keep(&store, vec![second.clone()]).await;
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&second)));
}

pub async fn a_removed_order_is_gone_with_its_due_time(store: SharedStore) {
    let now = now(&store).await;
    let change = overdue(&id("A-1"), hours(1), now);
    keep(&store, vec![change.clone()]).await;
    assert_eq!(due_ids(&store).await, ["A-1"]);
    keep(&store, vec![removal(&after(&change))]).await;
    assert_eq!(loaded(&store, &id("A-1")).await, None);
    assert!(
        due(&store, 10)
            .await
            .iter()
            .all(|at| at.value.orders.is_empty() && at.value.next_at.is_none())
    );
    let again = placed(&id("A-1"), now);
    keep(&store, vec![again.clone()]).await;
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&again)));
}

pub async fn a_new_order_conflicts_with_one_that_is_there(store: SharedStore) {
    let now = now(&store).await;
    let first = placed(&id("A-1"), now);
    keep(&store, vec![first.clone()]).await;
    let second = paid(&id("A-1"), now, now);
    assert_eq!(losers(&store, commit(&store, now, vec![second]).await).await, [id("A-1")]);
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&first)));
}

pub async fn a_change_conflicts_with_any_other_version(store: SharedStore) {
    let now = now(&store).await;
    let kept = and_then(placed(&id("A-1"), now), &Command::Pay { at: None }, now);
    keep(&store, vec![kept.clone()]).await;
    let change = then(&after(&kept), &RECEIVE, now);
    for expected in [0, 1, 3, 20, 22, u64::MAX] {
        let removal = Change { expected, ..removal(&after(&kept)) };
        for change in [Change { expected, ..change.clone() }, removal] {
            let commit = commit(&store, now, vec![change]).await;
            assert_eq!(losers(&store, commit).await, [id("A-1")], "version {expected}");
        }
    }
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&kept)));
    let absent = then(&after(&paid(&id("A-2"), now, now)), &RECEIVE, now);
    assert_eq!(losers(&store, commit(&store, now, vec![absent]).await).await, [id("A-2")]);
    assert_eq!(loaded(&store, &id("A-2")).await, None);
}

/// The data in the store before and after a commit that must write nothing.
struct Scene {
    store: SharedStore,
    now: Time,
    policy: Policy,
    /// Overdue orders, at their first version.
    overdue: Vec<Change>,
    /// Not stored.
    absent: OrderId,
    /// Resting, with a note.
    resting: OrderId,
    note: NoteRef,
}

impl Scene {
    async fn new(store: &SharedStore) -> Scene {
        let store = Arc::clone(store);
        let now = now(&store).await;
        let ids = neighbours(&store, 7);
        let overdue: Vec<Change> = ids[..5].iter().map(|id| overdue(id, hours(1), now)).collect();
        keep(&store, overdue.clone()).await;
        let mut noted = commit(&store, now, vec![resting(&ids[5], now)]).await;
        round(&mut noted).notes.push(RetentionNote { look_at: now, members: vec![0] });
        succeed(&store, noted).await;
        let note = notes(&store, 9).await.remove(0).0;
        let policy = Policy::new("scene", Terms::default()).unwrap();
        let scene = Scene {
            store,
            now,
            policy,
            overdue,
            absent: ids[6].clone(),
            resting: ids[5].clone(),
            note,
        };
        scene.assert_untouched().await;
        scene
    }

    /// A commit that would change everything: records, due times, entries, counts, terms and notes.
    async fn commit(&self) -> Commit {
        let receive = |change: &Change| then(&after(change), &Command::Due, self.now);
        let mut changes: Vec<Change> = self.overdue.iter().map(receive).collect();
        changes.push(paid(&self.absent, self.now, self.now));
        let kept = loaded(&self.store, &self.resting).await.unwrap();
        changes.push(removal(&kept));
        let mut commit = commit(&self.store, self.now, changes).await;
        let round = round(&mut commit);
        round.entries.push(entry("sync", "all", self.now, EventSelection::All));
        round.entries.push(entry(
            "other",
            "some",
            self.now,
            EventSelection::Some(vec![(0, 0), (5, 0)]),
        ));
        round.policies.push(self.policy.clone());
        round.notes.push(RetentionNote { look_at: self.now, members: vec![0, 1, 2, 3, 4] });
        round.notes_done.push(self.note.clone());
        commit
    }

    async fn assert_untouched(&self) {
        let store = &self.store;
        for change in &self.overdue {
            assert_eq!(
                loaded(store, &change.id).await.as_ref(),
                Some(&*after(change)),
                "a record was changed"
            );
        }
        assert_eq!(loaded(store, &self.absent).await, None, "a record was added");
        assert!(loaded(store, &self.resting).await.is_some(), "a record was removed");
        let mut expected: Vec<_> =
            self.overdue.iter().map(|change| change.id.to_string()).collect();
        expected.sort_unstable();
        assert_eq!(due_ids(store).await, expected, "due times");
        let next: Vec<Time> =
            due(store, 0).await.iter().filter_map(|at| at.value.next_at).collect();
        assert_eq!(next, [self.now.before(hours(1))], "due times");
        for action in [sync(), other()] {
            assert_eq!(lanes(store, &action).await, (0, 0), "an entry was written");
        }
        let stats = store.stats().await.unwrap();
        assert_eq!(stats.orders, [(Status::Paid, 5)], "counts");
        assert_eq!(
            (total(&stats, EventKind::Placed), total(&stats, EventKind::Received)),
            (6, 1),
            "totals"
        );
        assert_eq!((stats.waiting, stats.overdue), (5, 5), "counts of due times");
        let known = store.terms(&[(self.shard(), self.policy.revision.clone())]).await;
        assert_eq!(known, Ok(vec![None]), "terms were written");
        assert_eq!(
            notes(store, 9).await,
            [(self.note.clone(), vec![self.resting.clone()])],
            "notes"
        );
    }

    async fn assert_committed(&self, commit: &Round) {
        let store = &self.store;
        for change in &commit.changes {
            assert_eq!(loaded(store, &change.id).await.as_ref(), change.order.as_deref());
        }
        let written: Vec<Event> =
            commit.changes.iter().flat_map(|change| change.events.clone()).collect();
        assert_eq!(events(&claim(store, hours(1)).await.entries[0]), written);
        let known = store.terms(&[(self.shard(), self.policy.revision.clone())]).await;
        assert_eq!(known, Ok(vec![Some((*self.policy.terms).clone())]));
        let notes = notes(store, 9).await;
        assert!(notes.len() == 1 && notes[0].0 != self.note, "{notes:?}");
        let stats = store.stats().await.unwrap();
        let expected = |status: Status| {
            let was = if status == Status::Paid { 5 } else { 0 };
            let by: i64 = commit
                .tally()
                .iter()
                .filter(|(key, _)| *key == status.to_string())
                .map(|(_, by)| by)
                .sum();
            u64::try_from(was + by).unwrap()
        };
        for status in Status::ALL {
            assert_eq!(counted(&stats, status), expected(status), "{status}");
        }
        let received = commit.changes.iter().flat_map(|change| &change.events);
        let received = received.filter(|event| event.kind() == EventKind::Received).count() as u64;
        assert_eq!(total(&stats, EventKind::Received), 1 + received);
    }

    fn shard(&self) -> Shard {
        shard_of(&self.store, &self.absent)
    }
}

pub async fn a_commit_writes_all_its_parts(store: SharedStore) {
    let scene = Scene::new(&store).await;
    let commit = scene.commit().await;
    let round = Arc::clone(&commit.round);
    succeed(&store, commit).await;
    scene.assert_committed(&round).await;
}

/// If the first order, the last one or one that must not exist loses, the others are not written
/// either.
pub async fn a_conflict_names_every_loser_and_writes_nothing(store: SharedStore) {
    let scene = Scene::new(&store).await;
    for lost in [&[0][..], &[2], &[5], &[6], &[0, 3, 4], &[1, 5, 6], &[0, 1, 2, 3, 4, 5, 6]] {
        let mut commit = scene.commit().await;
        let changes = &mut round(&mut commit).changes;
        let mut expected: Vec<OrderId> = Vec::new();
        for &index in lost {
            changes[index].expected += 7;
            expected.push(changes[index].id.clone());
        }
        expected.sort_unstable();
        assert_eq!(losers(&store, commit).await, expected);
        scene.assert_untouched().await;
    }
}

pub async fn without_its_losers_a_commit_succeeds(store: SharedStore) {
    let scene = Scene::new(&store).await;
    let neighbour = after(&scene.overdue[1]);
    let mut first = scene.commit().await;
    round(&mut first).changes[1].expected = 9;
    round(&mut first).changes[3].expected = 9;
    let lost = losers(&store, first).await;
    assert_eq!(lost.len(), 2);

    let mut again = scene.commit().await;
    let rest = round(&mut again);
    rest.changes.retain(|change| !lost.contains(&change.id));
    rest.entries[0].id = "all-again".to_owned();
    rest.entries[1] = entry("other", "some-again", scene.now, EventSelection::Some(vec![(0, 0)]));
    rest.notes[0].members = vec![0, 1, 2];
    let round = Arc::clone(&again.round);
    succeed(&store, again).await;
    scene.assert_committed(&round).await;
    assert_eq!(loaded(&store, &neighbour.id).await.as_ref(), Some(&*neighbour));
    let mut expected: Vec<String> = lost.iter().map(ToString::to_string).collect();
    expected.sort_unstable();
    assert_eq!(due_ids(&store).await, expected);
}

/// A worker that was suspended after its decision must not commit it. A decision from the future is
/// stale, too.
pub async fn a_stale_decision_writes_nothing(store: SharedStore) {
    let scene = Scene::new(&store).await;
    for stale in [scene.now.before(Span::from_secs(12)), scene.now.after(Span::from_secs(60))] {
        let commit = Commit { now: stale, ..scene.commit().await };
        let stale = CommitResult::Conflict { losers: Vec::new(), why: Why::Stale };
        assert_eq!(result(&store, commit).await, stale);
        scene.assert_untouched().await;
    }
}

pub async fn a_decision_a_few_seconds_old_is_committed(store: SharedStore) {
    let now = now(&store).await;
    let commit = commit(&store, now, vec![placed(&id("A-1"), now)]).await;
    succeed(&store, Commit { now: now.before(Span::from_secs(2)), ..commit }).await;
    assert!(loaded(&store, &id("A-1")).await.is_some());
}

/// The store was recreated, another store answers at its address, or its layout is unknown.
pub async fn a_commit_to_a_replaced_shard_is_refused(store: SharedStore) {
    let scene = Scene::new(&store).await;
    let known = scene.commit().await.state;
    let others = [
        ShardState::new(Identity::from("of another store"), known.format),
        ShardState::new(Identity::from(""), known.format),
        ShardState::new(known.id.clone(), Format(known.format.0 + 1)),
        ShardState::new(known.id.clone(), Format(0)),
    ];
    for state in others {
        let commit = Commit { state: Arc::new(state.clone()), ..scene.commit().await };
        let result = result(&store, commit).await;
        assert!(matches!(result, CommitResult::Refused(Refusal::Gone(_))), "{state:?}: {result:?}");
        scene.assert_untouched().await;
    }
    let commit = scene.commit().await;
    succeed(&store, commit).await;
}

pub async fn a_decision_under_other_pauses_writes_nothing(store: SharedStore) {
    let scene = Scene::new(&store).await;
    let epoch = scene.commit().await.state.epoch;
    let other = Commit { epoch: Some(Epoch(epoch.0 ^ 1)), ..scene.commit().await };
    let conflict = CommitResult::Conflict { losers: Vec::new(), why: Why::Epoch };
    assert_eq!(result(&store, other).await, conflict);
    scene.assert_untouched().await;
    let commit = Commit { epoch: Some(epoch), ..scene.commit().await };
    succeed(&store, commit).await;
}

pub async fn an_entry_holds_the_events_it_names(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 2);
    let ship = Command::Ship { at: None, carrier: None, tracking: None };
    let long =
        and_then(and_then(placed(&ids[0], now), &Command::Pay { at: None }, now), &ship, now);
    let short = paid(&ids[1], now, now);
    let mut commit = commit(&store, now, vec![long.clone(), short.clone()]).await;
    let some = EventSelection::Some(vec![(0, 0), (0, 2), (1, 0)]);
    round(&mut commit).entries.push(entry("sync", "e", now, some));
    round(&mut commit).entries.push(entry("other", "e", now, EventSelection::All));
    succeed(&store, commit).await;
    let expected = vec![long.events[0].clone(), long.events[2].clone(), short.events[0].clone()];
    let claimed = claim(&store, hours(1)).await;
    assert_eq!(claimed.entries[0].read().unwrap(), (None, expected));
    let all: Vec<Event> = long.events.into_iter().chain(short.events).collect();
    let claimed = store.claim(&other(), 10, hours(1)).await.unwrap();
    assert_eq!(claimed.entries[0].read().unwrap(), (None, all));
}

pub async fn the_commits_of_one_call_are_independent(store: SharedStore) {
    let now = now(&store).await;
    keep(&store, vec![placed(&id("b"), now)]).await;
    let ids = ["a", "b", "c", "d"].map(id);
    let mut commits = Vec::new();
    for id in &ids {
        commits.push(commit(&store, now, vec![paid(id, now, now)]).await);
    }
    commits[3].state = Arc::new(ShardState::new(Identity::from("another"), Format::CURRENT));
    let results = store.commit(commits).await;
    let conflict = CommitResult::Conflict { losers: vec![id("b")], why: Why::Version };
    assert_eq!(results[..3], [CommitResult::Committed, conflict, CommitResult::Committed]);
    assert!(matches!(&results[3..], [CommitResult::Refused(Refusal::Gone(_))]), "{results:?}");
    let found = store.load(&ids).await.into_iter().map(|order| order.unwrap().value.unwrap());
    let statuses: Vec<_> = found.map(|order| order.map(|order| order.status)).collect();
    assert_eq!(
        statuses,
        [Some(Status::Paid), Some(Status::PendingPayment), Some(Status::Paid), None]
    );
    assert_eq!(store.commit(Vec::new()).await, []);
}

/// Several commits of one shard in one call. Each is checked after the previous ones.
pub async fn the_commits_of_one_shard_in_one_call_are_independent(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 3);
    let of = |ids: Vec<&OrderId>| ids.into_iter().map(|id| placed(id, now)).collect::<Vec<_>>();
    let mut commits = Vec::new();
    for changes in [of(vec![&ids[0]]), of(vec![&ids[0], &ids[1]]), of(vec![&ids[2]])] {
        commits.push(commit(&store, now, changes).await);
    }
    let results = store.commit(commits).await;
    let conflict = CommitResult::Conflict { losers: vec![ids[0].clone()], why: Why::Version };
    assert_eq!(results, [CommitResult::Committed, conflict, CommitResult::Committed]);
    assert_eq!(loaded(&store, &ids[1]).await, None);
}

pub async fn a_commit_without_changes_can_write_its_other_parts(store: SharedStore) {
    let now = now(&store).await;
    let nothing = commit(&store, now, Vec::new()).await;
    succeed(&store, nothing).await;
    let policy = Policy::new("alone", Terms::default()).unwrap();
    let mut commit = commit(&store, now, Vec::new()).await;
    round(&mut commit).policies.push(policy.clone());
    let shard = commit.shard;
    succeed(&store, commit).await;
    assert_eq!(
        store.terms(&[(shard, policy.revision)]).await,
        Ok(vec![Some((*policy.terms).clone())])
    );
}

/// As many orders as fit into a round of 256 KiB.
pub async fn a_large_commit_is_written_whole_or_not_at_all(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 1_200);
    let changes: Vec<Change> = ids.iter().map(|id| overdue(id, hours(1), now)).collect();
    let mut lost = changes.clone();
    lost[1_199].expected = 3;
    let mut conflicting = commit(&store, now, lost).await;
    round(&mut conflicting).entries.push(entry("sync", "e1", now, EventSelection::All));
    assert_eq!(losers(&store, conflicting).await, [ids[1_199].clone()]);
    assert!(store.load(&ids).await.into_iter().all(|order| order.unwrap().value == Ok(None)));
    assert_eq!(lanes(&store, &sync()).await, (0, 0));
    let mut whole = commit(&store, now, changes).await;
    round(&mut whole).entries.push(entry("sync", "e2", now, EventSelection::All));
    succeed(&store, whole).await;
    let orders: Vec<Order> = store
        .load(&ids)
        .await
        .into_iter()
        .filter_map(|order| order.unwrap().value.unwrap())
        .collect();
    assert!(orders.iter().map(|order| &order.id).eq(&ids));
    assert_eq!(events(&claim(&store, hours(1)).await.entries[0]).len(), 1_200);
}
