//! Pages of orders.

use std::collections::BTreeSet;

use autoreceive_domain::{Command, Order};

use super::kit::*;
use crate::*;

/// The views that are sorted by a time and have pages.
const SORTED: [View; 3] = [View::Upcoming, View::Overdue, View::Held];

/// All pages of a view, `limit` at a time.
async fn all(store: &SharedStore, view: View, limit: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.list(view, cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        assert!(page.cursor.is_none() || page.items.len() == limit);
        assert_eq!(page.total, None);
        rows.extend(page.items);
        cursor = page.cursor;
        if cursor.is_none() {
            return rows;
        }
        assert!(rows.len() < 10_000, "the pages do not end");
    }
}

/// Asserts that `rows` are the orders of `changes`, each once, with the time that `at` gives.
fn assert_holds(
    store: &SharedStore,
    rows: &[Row],
    changes: &[Change],
    at: impl Fn(&Order) -> Option<Time>,
) {
    assert!(rows.is_sorted_by_key(|row| row.at), "not in the order of time");
    let mut found: Vec<_> = rows.iter().map(|row| (row.id.clone(), row.at)).collect();
    let mut expected: Vec<_> =
        changes.iter().map(|change| (change.id.clone(), at(&after(change)).unwrap())).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for row in rows {
        assert!(row.order.as_ref().unwrap().as_ref().is_some_and(|order| order.id == row.id));
        assert_eq!((row.shard, &row.note), (shard_of(store, &row.id), &None));
    }
}

/// 30 waiting, 30 overdue, 30 held and 30 resting orders.
async fn fill(store: &SharedStore, now: Time) -> [Vec<Change>; 3] {
    let name = |kind: &str, i: i64| id(&format!("{kind}-{i}"));
    let ago = |i: i64| Span::from_secs(i * 7_919 % 3_600 / 3);
    let upcoming: Vec<_> = (0..30).map(|i| paid(&name("u", i), now.before(ago(i)), now)).collect();
    let late: Vec<_> = (0..30).map(|i| overdue(&name("o", i), ago(i), now)).collect();
    let held = |i| and_then(paid(&name("h", i), now, now), &hold("dispute"), now.before(ago(i)));
    let held: Vec<_> = (0..30).map(held).collect();
    let resting = (0..30).map(|i| resting(&name("r", i), now));
    keep(store, upcoming.iter().chain(&late).chain(&held).cloned().chain(resting).collect()).await;
    [upcoming, late, held]
}

pub async fn the_pages_of_upcoming_hold_each_waiting_order_once(store: SharedStore) {
    let [upcoming, ..] = fill(&store, now(&store).await).await;
    for limit in [1, 7, 15, 30, 100] {
        assert_holds(
            &store,
            &all(&store, View::Upcoming, limit).await,
            &upcoming,
            Order::next_due_at,
        );
    }
}

pub async fn the_pages_of_overdue_hold_each_late_order_once(store: SharedStore) {
    let [_, late, _] = fill(&store, now(&store).await).await;
    for limit in [1, 7, 15, 30, 100] {
        assert_holds(&store, &all(&store, View::Overdue, limit).await, &late, Order::next_due_at);
    }
}

pub async fn the_pages_of_held_hold_each_held_order_once(store: SharedStore) {
    let [.., held] = fill(&store, now(&store).await).await;
    for limit in [1, 7, 15, 30, 100] {
        assert_holds(&store, &all(&store, View::Held, limit).await, &held, Order::held_since);
    }
    let release = Command::Release { id: "dispute".parse().unwrap() };
    let released = then(&after(&held[4]), &release, now(&store).await);
    keep(&store, vec![released, removal(&after(&held[5]))]).await;
    let left: Vec<Change> = [&held[..4], &held[6..]].concat();
    assert_holds(&store, &all(&store, View::Held, 10).await, &left, Order::held_since);
}

pub async fn orders_of_one_millisecond_are_paged_without_a_gap(store: SharedStore) {
    let now = now(&store).await;
    let make = |kind: &str, change: &dyn Fn(OrderId) -> Change| -> Vec<Change> {
        (0..50).map(|i| change(id(&format!("{kind}-{i}")))).collect()
    };
    let upcoming = make("u", &|id| paid(&id, now, now));
    let late = make("o", &|id| overdue(&id, hours(1), now));
    let held = make("h", &|id| and_then(paid(&id, now, now), &hold("dispute"), now));
    keep(&store, [&upcoming[..], &late, &held].concat()).await;
    assert_holds(&store, &all(&store, View::Upcoming, 8).await, &upcoming, Order::next_due_at);
    assert_holds(&store, &all(&store, View::Overdue, 8).await, &late, Order::next_due_at);
    assert_holds(&store, &all(&store, View::Held, 8).await, &held, Order::held_since);
}

pub async fn a_cursor_of_another_list_is_refused(store: SharedStore) {
    fill(&store, now(&store).await).await;
    for view in SORTED {
        let cursor = store.list(view, None, 5).await.unwrap().cursor.unwrap();
        assert_eq!(store.list(view, Some(&cursor), 5).await.unwrap().items.len(), 5);
        for other in SORTED.into_iter().filter(|other| *other != view) {
            let refused = store.list(other, Some(&cursor), 5).await;
            assert!(matches!(refused, Err(StoreError::WrongCursor(_))), "{view} in {other}");
        }
        let (long, more) = ("9".repeat(500), format!("{cursor}\u{1F4E6}"));
        let wrong =
            ["", "x", "0", "upcoming", "held.", "overdue.1", "upcoming.a.b", "'", &long, &more];
        for wrong in wrong {
            let refused = store.list(view, Some(wrong), 5).await;
            assert!(matches!(refused, Err(StoreError::WrongCursor(_))), "{wrong:?} in {view}");
        }
    }
    for wrong in ["", "nonsense", "1.x.y"] {
        let refused = store.list(View::All, Some(wrong), 10).await;
        assert!(matches!(refused, Err(StoreError::WrongCursor(_))), "{wrong}: {refused:?}");
    }
}

pub async fn an_empty_view_has_no_next_page(store: SharedStore) {
    for view in [View::Upcoming, View::Overdue, View::Held, View::Resting, View::All] {
        let page = store.list(view, None, 5).await.unwrap();
        assert!(page.items.is_empty() && page.cursor.is_none());
        assert_eq!(page.total, (view == View::All).then_some(0));
    }
}

pub async fn the_list_of_all_orders_includes_their_records(store: SharedStore) {
    let now = now(&store).await;
    let held = and_then(paid(&id("held"), now, now), &hold("dispute"), now);
    let changes = vec![
        paid(&id("waits"), now, now),
        resting(&id("rests"), now),
        held,
        placed(&id("new"), now),
    ];
    keep(&store, changes.clone()).await;
    let page = store.list(View::All, None, 1_000).await.unwrap();
    assert_eq!(page.total, Some(4));
    let mut rows = page.items;
    let mut cursor = page.cursor;
    while let Some(next) = cursor {
        let page = store.list(View::All, Some(&next), 1_000).await.unwrap();
        rows.extend(page.items);
        cursor = page.cursor;
    }
    for change in changes {
        let row = rows.iter().find(|row| row.id == change.id).unwrap();
        let order = after(&change);
        assert_eq!(row.order.as_ref().unwrap().as_ref(), Some(&*order));
        assert_eq!(row.shard, shard_of(&store, &change.id));
        assert_eq!(row.at, order.next_due_at().unwrap_or(Time::from_ms(0)), "{}", change.id);
    }
}

pub async fn the_pages_of_all_include_every_order_despite_changes_in_between(store: SharedStore) {
    let now = now(&store).await;
    let name = |i: usize| id(&format!("S-{i}"));
    keep(&store, (0..1_500).map(|i| placed(&name(i), now)).collect()).await;
    let mut seen = BTreeSet::new();
    let mut cursor: Option<String> = None;
    let mut steps = 0;
    loop {
        let page = store.list(View::All, cursor.as_deref(), 40).await.unwrap();
        assert_eq!(page.total, cursor.is_none().then_some(1_500));
        seen.extend(page.items.into_iter().map(|row| row.id.to_string()));
        // The first thousand orders stay. Others are added and removed.
        if steps % 10 == 0 {
            keep(&store, (0..20).map(|i| placed(&id(&format!("new-{steps}-{i}")), now)).collect())
                .await;
        }
        if steps < 500 {
            let gone = loaded(&store, &name(1_000 + steps)).await.unwrap();
            keep(&store, vec![removal(&gone)]).await;
        }
        steps += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
        assert!(steps < 2_000, "the pages do not end");
    }
    let missing: Vec<usize> = (0..1_000).filter(|&i| !seen.contains(name(i).as_str())).collect();
    assert_eq!(missing, Vec::<usize>::new());
}
