//! Capped lists. Every test uses its own lists, so all tests can run on one log.

use futures_util::future::join_all;

use crate::*;

/// Every test of the part, one after another, on one log.
pub async fn all(log: &dyn Log) {
    crate::__log_tests! { __call_each log }
}

fn list(name: &str) -> List {
    name.parse().unwrap()
}

/// The rows `from..to` as text.
fn rows(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|i| format!("row {i}")).collect()
}

/// The rows `from..to`, the newest first.
fn newest(range: std::ops::Range<i32>) -> Vec<String> {
    let mut rows = rows(range);
    rows.reverse();
    rows
}

/// All rows of a list from `cursor` on, in pages of `limit`.
async fn rest(log: &dyn Log, list: &List, mut cursor: Option<String>, limit: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = log.page(list, cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit && page.total.is_none());
        found.extend(page.items);
        cursor = page.cursor;
        if cursor.is_none() {
            return found;
        }
        assert!(found.len() < 10_000, "the pages do not end");
    }
}

pub async fn the_newest_row_comes_first(log: &dyn Log) {
    let list = list("first");
    assert_eq!(rest(log, &list, None, 10).await, Vec::<String>::new());
    log.append(&list, &rows(0..3), 100).await.unwrap();
    log.append(&list, &[], 100).await.unwrap();
    log.append(&list, &rows(3..5), 100).await.unwrap();
    for limit in [1, 2, 5, 100] {
        assert_eq!(rest(log, &list, None, limit).await, newest(0..5), "in pages of {limit}");
    }
}

/// A list keeps exactly as many rows as its cap, for any sizes of calls.
pub async fn a_list_is_capped_exactly(log: &dyn Log) {
    let list = list("capped");
    let mut written = 0;
    for count in [9, 1, 1, 7, 25, 3] {
        log.append(&list, &rows(written..written + count), 10).await.unwrap();
        written += count;
        let first = (written - 10).max(0);
        assert_eq!(rest(log, &list, None, 100).await, newest(first..written));
    }
    log.append(&list, &rows(46..47), 4).await.unwrap();
    assert_eq!(
        rest(log, &list, None, 100).await,
        newest(43..47),
        "a smaller cap applies immediately"
    );
    log.append(&list, &rows(47..50), 6).await.unwrap();
    assert_eq!(
        rest(log, &list, None, 100).await,
        newest(44..50),
        "a larger cap applies to new rows"
    );
    log.append(&list, &rows(50..51), 0).await.unwrap();
    assert_eq!(rest(log, &list, None, 100).await, Vec::<String>::new(), "a cap of 0 keeps nothing");
}

pub async fn each_list_has_rows_of_its_own(log: &dyn Log) {
    let names = ["own", "own:a", "own:a.b", "own_", "own-"].map(list);
    for (i, list) in names.iter().enumerate() {
        log.append(list, &[format!("of {i}")], 3).await.unwrap();
        log.append(list, &rows(0..2), 3).await.unwrap();
    }
    for (i, list) in names.iter().enumerate() {
        let expected = ["row 1".to_owned(), "row 0".to_owned(), format!("of {i}")];
        assert_eq!(rest(log, list, None, 2).await, expected);
    }
}

/// A reader of pages misses no old row and sees none twice while rows are added.
pub async fn a_cursor_leads_to_the_same_rows_after_additions(log: &dyn Log) {
    let list = list("cursor");
    log.append(&list, &rows(0..20), 100).await.unwrap();
    let page = log.page(&list, None, 6).await.unwrap();
    assert_eq!(page.items, newest(14..20));
    log.append(&list, &rows(20..50), 100).await.unwrap();
    let cursor = page.cursor.unwrap();
    for _ in 0..2 {
        let next = log.page(&list, Some(&cursor), 6).await.unwrap();
        assert_eq!(next.items, newest(8..14));
        assert_eq!(rest(log, &list, next.cursor, 5).await, newest(0..8));
    }
}

/// The cap may remove the rows that a cursor leads to. Newer rows must not appear in their place.
pub async fn a_cursor_to_removed_rows_returns_no_newer_rows(log: &dyn Log) {
    let list = list("gone");
    log.append(&list, &rows(0..10), 10).await.unwrap();
    let page = log.page(&list, None, 3).await.unwrap();
    let cursor = page.cursor.unwrap();
    log.append(&list, &rows(10..14), 10).await.unwrap();
    assert_eq!(rest(log, &list, Some(cursor.clone()), 2).await, newest(4..7));
    log.append(&list, &rows(14..40), 10).await.unwrap();
    assert_eq!(rest(log, &list, Some(cursor), 2).await, Vec::<String>::new());
}

pub async fn a_cursor_that_was_never_issued_is_refused(log: &dyn Log) {
    let names = ["refused-1", "refused-2"].map(list);
    for list in &names {
        log.append(list, &rows(0..9), 100).await.unwrap();
    }
    let of_other = log.page(&names[1], None, 3).await.unwrap().cursor.unwrap();
    for wrong in ["", "nonsense", "'", "-", &"9".repeat(500), &of_other] {
        let refused = log.page(&names[0], Some(wrong), 3).await;
        assert!(matches!(refused, Err(StoreError::WrongCursor(_))), "{wrong:?}: {refused:?}");
    }
}

pub async fn any_row_is_kept_unchanged(log: &dyn Log) {
    let list = list("any");
    let long = "x".repeat(5_000);
    let texts = ["", "a", "a", "line\nbreak", "\ttab", "주문 📦", "'\"{}|%\\", "0", "null", &long];
    let rows = texts.map(str::to_owned);
    log.append(&list, &rows, 100).await.unwrap();
    let found = rest(log, &list, None, 3).await;
    assert!(found.iter().rev().eq(&rows), "{found:?}");
}

pub async fn rows_added_at_the_same_time_are_all_kept(log: &dyn Log) {
    let list = list("many");
    let append = |i: i32| {
        let list = list.clone();
        async move { log.append(&list, &rows(i * 10..i * 10 + 10), 1_000).await.unwrap() }
    };
    join_all((0..30).map(append)).await;
    let found = rest(log, &list, None, 100).await;
    assert_eq!(found.len(), 300);
    for i in 0..30 {
        let first = found.iter().position(|row| *row == format!("row {}", i * 10 + 9)).unwrap();
        assert_eq!(
            found[first..first + 10],
            newest(i * 10..i * 10 + 10),
            "the rows of one call stay together"
        );
    }
}

/// More rows than one statement or script may be able to take.
pub async fn thousands_of_rows_are_added_in_one_call(log: &dyn Log) {
    let list = list("thousands");
    log.append(&list, &rows(0..9_000), 8_500).await.unwrap();
    assert_eq!(rest(log, &list, None, 1_000).await, newest(500..9_000));
}
