//! Pages and cursors, and the pages of orders.

use autoreceive_domain::{OrderId, Time};
use autoreceive_store::{NoteRef, Page, Row, StoreError, View};
use rusqlite::{Connection, params};

use super::SHARD_COUNT;
use super::read::{load_one, order, order_id, rows, time};

/// A position in a list: after the row with this time and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowPosition {
    at: i64,
    key: i64,
}

impl RowPosition {
    /// Before all rows.
    const START: RowPosition = RowPosition { at: i64::MIN, key: i64::MIN };

    /// The position of the row with this time and key.
    pub fn new(at: Time, key: i64) -> RowPosition {
        RowPosition { at: at.ms(), key }
    }

    /// Time and key, as columns of a query.
    pub fn columns(self) -> (i64, i64) {
        (self.at, self.key)
    }

    /// The cursor of this position in `list`.
    fn cursor(self, list: &str) -> String {
        format!("{list}.{}.{}", self.at, self.key)
    }

    /// The position of `cursor` in `list`.
    pub fn parse(list: &str, cursor: Option<&str>) -> Result<RowPosition, StoreError> {
        let Some(cursor) = cursor else { return Ok(RowPosition::START) };
        let read = || {
            let (at, key) = cursor.strip_prefix(list)?.strip_prefix('.')?.split_once('.')?;
            Some(RowPosition { at: at.parse().ok()?, key: key.parse().ok()? })
        };
        read().ok_or_else(|| StoreError::wrong_cursor(cursor))
    }
}

/// A page of at most `limit` rows of the sorted `found`. If `found` has one more, the page has a
/// cursor.
pub(super) fn of<T>(
    list: &str,
    mut found: Vec<(RowPosition, T)>,
    limit: usize,
    now: Time,
) -> Page<T> {
    let more = found.len() > limit;
    found.truncate(limit);
    let cursor = found.last().filter(|_| more).map(|(position, _)| position.cursor(list));
    Page::new(now, found.into_iter().map(|(_, item)| item).collect(), cursor)
}

/// A view with cursors.
#[derive(Clone, Copy)]
pub(super) enum PagedView {
    Upcoming,
    Overdue,
    Held,
    All,
}

pub(super) fn page(
    connection: &Connection,
    view: PagedView,
    after: RowPosition,
    limit: usize,
    now: Time,
) -> rusqlite::Result<Page<Row>> {
    let (list, found) = match view {
        PagedView::Upcoming => (
            View::Upcoming,
            by_due(
                connection,
                after.max(RowPosition { at: now.ms(), key: i64::MAX }),
                i64::MAX,
                limit,
            )?,
        ),
        PagedView::Overdue => (View::Overdue, by_due(connection, after, now.ms(), limit)?),
        PagedView::Held => (View::Held, held(connection, after, limit)?),
        PagedView::All => (View::All, all(connection, after, limit)?),
    };
    let mut page = of(&list.to_string(), found, limit, now);
    if matches!(view, PagedView::All) && after == RowPosition::START {
        page.total = Some(connection.query_row("SELECT count(*) FROM orders", [], |row| {
            row.get(0).map(i64::unsigned_abs)
        })?);
    }
    Ok(page)
}

/// Up to `limit` + 1 rows.
fn held(
    connection: &Connection,
    after: RowPosition,
    limit: usize,
) -> rusqlite::Result<Vec<(RowPosition, Row)>> {
    let sql = "SELECT key, held_since, shard, id, record FROM orders
               WHERE (held_since, key) > (?, ?) AND held_since IS NOT NULL
               ORDER BY held_since, key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_map(params![after.at, after.key, rows(limit.saturating_add(1))], positioned_row)?
        .collect()
}

/// Up to `limit` + 1 rows, sorted over all shards.
fn by_due(
    connection: &Connection,
    after: RowPosition,
    until: i64,
    limit: usize,
) -> rusqlite::Result<Vec<(RowPosition, Row)>> {
    let sql = "SELECT key, due_at, shard, id, record FROM orders
               WHERE shard = ? AND (due_at, key) > (?, ?) AND due_at <= ?
               ORDER BY due_at, key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for shard in SHARD_COUNT.all() {
        let of_shard = statement.query_map(
            params![shard, after.at, after.key, until, rows(limit.saturating_add(1))],
            positioned_row,
        )?;
        for row in of_shard {
            found.push(row?);
        }
    }
    found.sort_unstable_by_key(|(position, _)| *position);
    Ok(found)
}

/// Up to `limit` + 1 rows, in the order in which the orders were placed.
fn all(
    connection: &Connection,
    after: RowPosition,
    limit: usize,
) -> rusqlite::Result<Vec<(RowPosition, Row)>> {
    let sql = "SELECT key, ifnull(due_at, 0), shard, id, record FROM orders WHERE key > ? ORDER \
        BY key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_map(params![after.key, rows(limit.saturating_add(1))], positioned_row)?
        .collect()
}

fn positioned_row(row: &rusqlite::Row) -> rusqlite::Result<(RowPosition, Row)> {
    let at = time(row, 1)?;
    let id = order_id(row, 3)?;
    let order = order(row, 4, &id)?.map(Some);
    Ok((RowPosition::new(at, row.get(0)?), Row::new(row.get(2)?, id, at, order)))
}

/// The due notes, at most `limit`, with all their orders.
pub(super) fn resting(
    connection: &Connection,
    limit: usize,
    now: Time,
) -> rusqlite::Result<Page<Row>> {
    let sql = "SELECT key, shard, look_at, ids FROM retention WHERE look_at <= ? ORDER BY \
        look_at, key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params![now.ms(), rows(limit)])?;
    let mut items = Vec::new();
    while let Some(note) = found.next()? {
        let name = NoteRef(note.get::<_, i64>(0)?.to_string().into());
        let shard = note.get(1)?;
        let look_at = time(note, 2)?;
        for id in note.get_ref(3)?.as_str()?.split('\n') {
            let Ok(id) = id.parse::<OrderId>() else { continue };
            let order = load_one(connection, &id)?;
            let mut row = Row::new(shard, id, look_at, order);
            row.note = Some(name.clone());
            items.push(row);
        }
    }
    Ok(Page::new(now, items, None))
}
