//! Pages of the three views.

use autoreceive::domain::{Order, OrderId, Span, Time};
use autoreceive::store::{Change, Item, StoreError, View};

use super::kit::*;

every_store!(
    the_pages_of_upcoming_hold_each_waiting_order_once,
    the_pages_of_overdue_hold_each_late_order_once,
    the_pages_of_held_hold_each_held_order_once,
    orders_of_one_millisecond_are_paged_without_a_gap,
    a_cursor_of_another_list_is_refused,
    an_empty_view_has_no_next_page,
);

/// All pages of a view, `limit` at a time.
async fn all(store: &Kept, view: View, limit: usize) -> Vec<Item> {
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.page(view, cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        assert!(page.cursor.is_none() || page.items.len() == limit);
        items.extend(page.items);
        cursor = page.cursor;
        if cursor.is_none() {
            return items;
        }
        assert!(items.len() < 10_000, "the pages do not end");
    }
}

/// Whether `items` are the orders of `changes`, by the time that `at` gives, each once.
fn assert_holds(items: &[Item], changes: &[Change], at: impl Fn(&Order) -> Option<Time>) {
    assert!(items.windows(2).all(|pair| pair[0].at <= pair[1].at), "not in the order of time");
    let mut found: Vec<_> = items.iter().map(|item| (item.id.clone(), item.at)).collect();
    let mut expected: Vec<_> = changes.iter().map(|change| (change.id.clone(), at(&after(change)).unwrap())).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(items.iter().all(|item| item.order.as_ref().unwrap().as_ref().is_some_and(|order| order.id == item.id)));
}

/// 30 orders each that wait, are late, are held, and rest.
async fn fill(store: &Kept, now: Time) -> [Vec<Change>; 3] {
    let name = |kind: &str, i: i64| id(&format!("{kind}-{i}"));
    let ago = |i: i64| Span::from_secs(i * 7_919 % 3_600 / 3);
    let upcoming = (0..30).map(|i| paid(&name("u", i), now.before(ago(i)), now)).collect::<Vec<_>>();
    let late = (0..30).map(|i| overdue(&name("o", i), ago(i), now)).collect::<Vec<_>>();
    let held = (0..30).map(|i| and_then(paid(&name("h", i), now, now), &hold("dispute"), now.before(ago(i)))).collect::<Vec<_>>();
    let resting = (0..30).map(|i| and_then(paid(&name("r", i), now, now), &RECEIVE, now));
    keep(store, upcoming.iter().chain(&late).chain(&held).cloned().chain(resting).collect()).await;
    [upcoming, late, held]
}

async fn the_pages_of_upcoming_hold_each_waiting_order_once(store: Kept) {
    let [upcoming, ..] = fill(&store, now(&store).await).await;
    for limit in [1, 7, 15, 30, 100] {
        assert_holds(&all(&store, View::Upcoming, limit).await, &upcoming, Order::wake);
    }
}

async fn the_pages_of_overdue_hold_each_late_order_once(store: Kept) {
    let [_, late, _] = fill(&store, now(&store).await).await;
    for limit in [1, 7, 15, 30, 100] {
        assert_holds(&all(&store, View::Overdue, limit).await, &late, Order::wake);
    }
}

async fn the_pages_of_held_hold_each_held_order_once(store: Kept) {
    let [.., held] = fill(&store, now(&store).await).await;
    for limit in [1, 7, 15, 30, 100] {
        assert_holds(&all(&store, View::Held, limit).await, &held, Order::held_since);
    }
    let release = autoreceive::domain::Command::Release { id: "dispute".parse().unwrap() };
    let released = then(&after(&held[4]), &release, now(&store).await);
    keep(&store, vec![released]).await;
    let left: Vec<Change> = held.iter().enumerate().filter(|(i, _)| *i != 4).map(|(_, change)| change.clone()).collect();
    assert_holds(&all(&store, View::Held, 10).await, &left, Order::held_since);
}

async fn orders_of_one_millisecond_are_paged_without_a_gap(store: Kept) {
    let now = now(&store).await;
    let make = |kind: &str, change: &dyn Fn(OrderId) -> Change| (0..50).map(|i| change(id(&format!("{kind}-{i}")))).collect::<Vec<_>>();
    let upcoming = make("u", &|id| paid(&id, now, now));
    let late = make("o", &|id| overdue(&id, hours(1), now));
    let held = make("h", &|id| and_then(paid(&id, now, now), &hold("dispute"), now));
    keep(&store, [&upcoming[..], &late, &held].concat()).await;
    assert_holds(&all(&store, View::Upcoming, 8).await, &upcoming, Order::wake);
    assert_holds(&all(&store, View::Overdue, 8).await, &late, Order::wake);
    assert_holds(&all(&store, View::Held, 8).await, &held, Order::held_since);
}

async fn a_cursor_of_another_list_is_refused(store: Kept) {
    fill(&store, now(&store).await).await;
    let views = [View::Upcoming, View::Overdue, View::Held];
    for view in views {
        let cursor = store.page(view, None, 5).await.unwrap().cursor.unwrap();
        assert_eq!(store.page(view, Some(&cursor), 5).await.unwrap().items.len(), 5);
        for other in views.into_iter().filter(|other| *other != view) {
            assert!(matches!(store.page(other, Some(&cursor), 5).await, Err(StoreError::WrongCursor(_))), "{view} in {other}");
        }
        for wrong in ["", "x", "0", "upcoming", "held.", "overdue.1", "upcoming.a.b", "'", &"9".repeat(500), &format!("{cursor}\u{1F4E6}")]
        {
            assert!(matches!(store.page(view, Some(wrong), 5).await, Err(StoreError::WrongCursor(_))), "{wrong:?} in {view}");
        }
    }
}

async fn an_empty_view_has_no_next_page(store: Kept) {
    for view in [View::Upcoming, View::Overdue, View::Held] {
        let page = store.page(view, None, 5).await.unwrap();
        assert!(page.items.is_empty() && page.cursor.is_none());
    }
}
