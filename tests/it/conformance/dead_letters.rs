//! Dead letters: kept until somebody replays or discards them.

use std::collections::HashSet;

use autoreceive::domain::{Span, Time};
use autoreceive::store::{After, DeadLetter, EntryRef, History, Resolution, Settlement, StoreError};

use super::kit::*;

every_store!(
    a_dead_letter_is_shown_with_its_event_and_history,
    pages_lead_through_all_dead_letters_in_the_order_in_which_they_were_given_up,
    a_replayed_one_can_be_claimed_at_once_under_its_event_id_with_no_attempts_made,
    a_discarded_one_is_gone,
    only_one_of_many_resolves_a_dead_letter,
    each_action_has_dead_letters_of_its_own,
    more_can_be_resolved_at_once_than_a_script_can_name,
);

/// A dead letter of the action `sync`, given up at `at`.
pub async fn bury(store: &Kept, name: &str, at: Time) -> EntryRef {
    let now = now(store).await;
    let (entry, event) = keep_entry(store, name, now).await;
    let letter = EntryRef { shard: entry.shard, id: event.id() };
    let dead = After::Dead { event, history: history(at), at };
    store.settle(&sync(), vec![Settlement { entry, after: vec![dead] }]).await.unwrap();
    letter
}

fn history(at: Time) -> History {
    History { attempts: 17, first_at: at.before(hours(70)), errors: vec![(at.before(hours(1)), "HTTP 503".into()), (at, "gone".into())] }
}

async fn figures(store: &Kept) -> (u64, u64, Option<Time>) {
    let action = store.stats().await.unwrap().actions.remove(0);
    (action.pending, action.dead, action.oldest_dead)
}

fn ids(letters: &[DeadLetter]) -> Vec<EntryRef> {
    letters.iter().map(|letter| letter.letter.clone()).collect()
}

async fn a_dead_letter_is_shown_with_its_event_and_history(store: Kept) {
    let at = now(&store).await.before(hours(2));
    let letter = bury(&store, "e1", at).await;
    let page = store.dead_page(&sync(), None, 10).await.unwrap();
    assert!(page.now >= at.after(hours(2)) && page.cursor.is_none());
    let absent = EntryRef { shard: letter.shard, id: "order-of-e1:9".into() };
    let named = store.dead_letters(&sync(), &[absent, letter.clone()]).await.unwrap();
    for found in [page.letters, named] {
        assert_eq!((ids(&found), found[0].died_at), (vec![letter.clone()], at));
        let (event, kept) = found[0].content.as_ref().unwrap();
        assert_eq!((event.id(), kept), (letter.id.clone(), &history(at)));
    }
    assert_eq!(figures(&store).await, (0, 1, Some(at)));
}

async fn pages_lead_through_all_dead_letters_in_the_order_in_which_they_were_given_up(store: Kept) {
    let now = now(&store).await;
    for i in 0..13 {
        // Several of the same millisecond, so that time alone does not tell them apart.
        bury(&store, &format!("e{i}"), now.before(hours(i / 5))).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.dead_page(&sync(), cursor.as_deref(), 4).await.unwrap();
        seen.extend(page.letters);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
        assert!(seen.len() < 20, "the pages do not end");
    }
    assert!(seen.is_sorted_by_key(|letter| letter.died_at));
    assert_eq!((seen.len(), ids(&seen).into_iter().collect::<HashSet<_>>().len()), (13, 13));
    let first = store.dead_page(&sync(), None, 4).await.unwrap().cursor.unwrap();
    for (action, cursor) in [("other", first.as_str()), ("sync", "nonsense"), ("sync", "")] {
        let refused = store.dead_page(&action.parse().unwrap(), Some(cursor), 4).await;
        assert!(matches!(refused, Err(StoreError::WrongCursor(_))), "{action} {cursor}: {refused:?}");
    }
}

async fn a_replayed_one_can_be_claimed_at_once_under_its_event_id_with_no_attempts_made(store: Kept) {
    let at = now(&store).await.before(hours(2));
    let (letter, other) = (bury(&store, "e1", at).await, bury(&store, "e2", at).await);
    let absent = EntryRef { shard: letter.shard, id: "order-of-e1:9".into() };
    let before = now(&store).await;
    assert_eq!(store.resolve(&sync(), &[absent, letter.clone()], Resolution::Replay).await.unwrap(), 1);
    assert_eq!(figures(&store).await, (1, 1, Some(at)));
    let claimed = claim(&store, hours(1)).await;
    let entry = &claimed.entries[0];
    assert_eq!((&entry.entry, event_ids(entry)), (&letter, vec![letter.id.clone()]));
    let anew = entry.history.as_ref().unwrap();
    assert_eq!((anew.attempts, &anew.errors), (0, &history(at).errors));
    assert!(anew.first_at >= before && anew.first_at <= claimed.now);
    assert_eq!(store.resolve(&sync(), &[letter], Resolution::Replay).await.unwrap(), 0);
    assert_eq!(ids(&store.dead_page(&sync(), None, 10).await.unwrap().letters), [other]);
}

async fn a_discarded_one_is_gone(store: Kept) {
    let now = now(&store).await;
    let (letter, other) = (bury(&store, "e1", now).await, bury(&store, "e2", now).await);
    assert_eq!(store.resolve(&sync(), std::slice::from_ref(&letter), Resolution::Discard).await.unwrap(), 1);
    assert_eq!(store.resolve(&sync(), std::slice::from_ref(&letter), Resolution::Replay).await.unwrap(), 0);
    assert_eq!(figures(&store).await, (0, 1, Some(now)));
    assert!(store.dead_letters(&sync(), &[letter]).await.unwrap().is_empty());
    assert_eq!(store.resolve(&sync(), &[other], Resolution::Discard).await.unwrap(), 1);
    assert_eq!(figures(&store).await, (0, 0, None));
    assert!(claim(&store, hours(1)).await.entries.is_empty());
}

async fn only_one_of_many_resolves_a_dead_letter(store: Kept) {
    let letter = bury(&store, "e1", now(&store).await).await;
    let resolve = |i| {
        let how = if i % 2 == 0 { Resolution::Replay } else { Resolution::Discard };
        let (store, letter) = (store.clone(), letter.clone());
        async move { (how, store.resolve(&sync(), &[letter], how).await.unwrap()) }
    };
    let resolved = futures_util::future::join_all((0..8).map(resolve)).await;
    let winners: Vec<Resolution> = resolved.into_iter().filter(|(_, done)| *done == 1).map(|(how, _)| how).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(figures(&store).await, (u64::from(winners[0] == Resolution::Replay), 0, None));
}

async fn each_action_has_dead_letters_of_its_own(store: Kept) {
    let letter = bury(&store, "e1", now(&store).await).await;
    assert!(store.dead_page(&"other".parse().unwrap(), None, 10).await.unwrap().letters.is_empty());
    assert!(store.dead_letters(&"other".parse().unwrap(), std::slice::from_ref(&letter)).await.unwrap().is_empty());
    assert_eq!(store.resolve(&"other".parse().unwrap(), &[letter], Resolution::Discard).await.unwrap(), 0);
    assert_eq!(figures(&store).await.1, 1);
}

async fn more_can_be_resolved_at_once_than_a_script_can_name(store: Kept) {
    let letter = bury(&store, "e1", now(&store).await).await;
    let absent = |i| EntryRef { shard: letter.shard, id: format!("absent-{i}") };
    let mut letters: Vec<EntryRef> = (0..9_000).map(absent).collect();
    letters.push(letter.clone());
    assert_eq!(store.resolve(&sync(), &letters, Resolution::Replay).await.unwrap(), 1);
    assert_eq!(entry_ids(&claim(&store, Span::ZERO).await), [letter.id]);
}
