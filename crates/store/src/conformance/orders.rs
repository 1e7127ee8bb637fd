//! Orders are loaded by id. Each result has the time and state of its shard.

use super::kit::*;
use crate::*;

pub async fn orders_come_in_the_order_asked_for(store: SharedStore) {
    let now = now(&store).await;
    let ids: Vec<_> = (0..60).map(|i| id(&format!("A-{i}"))).collect();
    keep(&store, ids.iter().step_by(2).map(|id| placed(id, now)).collect()).await;
    let asked: Vec<_> = ids.iter().rev().chain(&ids[..3]).cloned().collect();
    let found = store.load(&asked).await;
    assert_eq!(found.len(), asked.len());
    for (id, order) in asked.iter().zip(found) {
        let kept = ids.iter().position(|known| known == id).unwrap() % 2 == 0;
        let order = order.unwrap().value.unwrap();
        assert_eq!(order.map(|order| order.id), kept.then(|| id.clone()));
    }
    assert!(store.load(&[]).await.is_empty());
}

/// Results for absent orders have a time and a state, too. Decisions need them.
pub async fn every_answer_has_the_state_of_its_shard(store: SharedStore) {
    let before = now(&store).await;
    let ids: Vec<_> = (0..40).map(|i| id(&format!("A-{i}"))).collect();
    keep(&store, vec![placed(&ids[0], before)]).await;
    for (id, found) in ids.iter().zip(store.load(&ids).await) {
        let found = found.unwrap();
        assert!(found.now >= before && found.now < before.after(hours(1)));
        assert_eq!(found.shard, state(&store, shard_of(&store, id)).await);
        assert_eq!(found.shard.format, Format::CURRENT);
        assert_eq!(found.shard.epoch, Epoch::NONE);
    }
    let states = due(&store, 0).await;
    let identity = &states[0].shard.id;
    assert!(!identity.as_str().is_empty());
    assert!(states.iter().all(|at| at.shard.id == *identity), "one store, one identity");
}

pub async fn a_commit_can_follow_from_a_load(store: SharedStore) {
    let now = now(&store).await;
    let id = id("A-1");
    let read = store.load(std::slice::from_ref(&id)).await.remove(0).unwrap();
    assert_eq!(read.value, Ok(None));
    let change = placed(&id, now);
    let base = commit(&store, now, vec![change.clone()]).await;
    succeed(&store, Commit { now: read.now, state: read.shard, ..base }).await;
    assert_eq!(loaded(&store, &id).await.as_ref(), Some(&*after(&change)));
}

pub async fn the_first_terms_of_a_revision_are_kept(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 2);
    let shard = shard_of(&store, &ids[0]);
    let terms = Terms {
        remind_before: vec![hours(6), hours(2)],
        pay_within: Some(hours(1)),
        ..Terms::default()
    };
    let policy = autoreceive_domain::Policy::new("long-one", terms.clone()).unwrap();
    let unknown = autoreceive_domain::Policy::new("unknown", Terms::default()).unwrap().revision;
    let wanted = [(shard, unknown.clone()), (shard, policy.revision.clone()), (shard, unknown)];
    assert_eq!(store.terms(&wanted).await.unwrap(), [None, None, None]);

    let mut first = commit(&store, now, vec![new_under(&ids[0], &place(), &policy, now)]).await;
    round(&mut first).policies.push(policy.clone());
    succeed(&store, first).await;
    let mut second = commit(&store, now, vec![new_under(&ids[1], &place(), &policy, now)]).await;
    let changed =
        autoreceive_domain::Policy { terms: std::sync::Arc::new(Terms::default()), ..policy };
    round(&mut second).policies.push(changed);
    succeed(&store, second).await;
    assert_eq!(store.terms(&wanted).await.unwrap(), [None, Some(terms), None]);
    assert_eq!(store.terms(&[]).await.unwrap(), []);
}

pub async fn similar_ids_are_different_orders(store: SharedStore) {
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
        let mut commit = commit(&store, now, vec![change.clone()]).await;
        round(&mut commit).entries.push(entry("sync", &format!("e{i}"), now, EventSelection::All));
        succeed(&store, commit).await;
    }
    for (change, order) in changes.iter().zip(store.load(&ids).await) {
        assert_eq!(order.unwrap().value.unwrap().as_ref(), Some(&*after(change)));
    }
    let mut expected: Vec<&str> = texts.to_vec();
    expected.sort_unstable();
    assert_eq!(due_ids(&store).await, expected);
    let claimed = claim(&store, hours(1)).await.entries;
    let mut noted: Vec<String> =
        claimed.iter().flat_map(events).map(|event| event.0.id.to_string()).collect();
    noted.sort_unstable();
    assert_eq!(noted, expected);
}

pub async fn an_order_with_all_its_data_is_kept(store: SharedStore) {
    use autoreceive_domain::words::Data;
    let now = now(&store).await;
    let json = format!("\"{}|%~\u{1F4E6}\"", "가".repeat(1_362));
    assert!(json.len() <= Data::MAX && json.len() > Data::MAX - 8, "{}", json.len());
    let place = place().data(Data::new(&json).unwrap()).paid_at(now);
    let change = new(&id("A-1"), &place, now);
    let change = and_then(change, &hold("a:{b}|c~d%"), now);
    let mut commit = commit(&store, now, vec![change.clone()]).await;
    round(&mut commit).entries.push(entry("sync", "e", now, EventSelection::All));
    succeed(&store, commit).await;
    assert_eq!(loaded(&store, &id("A-1")).await.as_ref(), Some(&*after(&change)));
    assert_eq!(events(&claim(&store, hours(1)).await.entries[0]), change.events);
}
