//! Pages: where they begin and end, and those of orders.

use autoreceive_domain::{OrderId, Time};
use autoreceive_store::{NoteRef, Page, Row, StoreError, View};
use rusqlite::{Connection, params};

use super::SHARD_COUNT;
use super::read::{load_one, order, order_id, rows, time};

/// A place in a list: after the row with this time and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    at: i64,
    key: i64,
}

impl Place {
    /// Before every row.
    const START: Place = Place { at: i64::MIN, key: i64::MIN };

    /// The place of a row with this time and key.
    pub fn new(at: Time, key: i64) -> Place {
        Place { at: at.ms(), key }
    }

    /// Its time and key, as the columns of a query.
    pub fn columns(self) -> (i64, i64) {
        (self.at, self.key)
    }

    /// What leads back here in `list`.
    fn cursor(self, list: &str) -> String {
        format!("{list}.{}.{}", self.at, self.key)
    }

    /// Where `cursor` points in `list`.
    pub fn parse(list: &str, cursor: Option<&str>) -> Result<Place, StoreError> {
        let Some(cursor) = cursor else { return Ok(Place::START) };
        let read = || {
            let (at, key) = cursor.strip_prefix(list)?.strip_prefix('.')?.split_once('.')?;
            Some(Place { at: at.parse().ok()?, key: key.parse().ok()? })
        };
        read().ok_or_else(|| StoreError::wrong_cursor(cursor))
    }
}

/// A page of at most `limit` of the rows that were found, sorted; if it was looked for one more
/// than that, it is known whether a page follows.
pub(super) fn of<T>(list: &str, mut found: Vec<(Place, T)>, limit: usize, now: Time) -> Page<T> {
    let more = found.len() > limit;
    found.truncate(limit);
    let cursor = found.last().filter(|_| more).map(|(place, _)| place.cursor(list));
    Page::new(now, found.into_iter().map(|(_, item)| item).collect(), cursor)
}

/// A view that has cursors.
#[derive(Clone, Copy)]
pub(super) enum Paged {
    Upcoming,
    Overdue,
    Held,
    All,
}

pub(super) fn page(
    connection: &Connection,
    view: Paged,
    after: Place,
    limit: usize,
    now: Time,
) -> rusqlite::Result<Page<Row>> {
    let (list, found) = match view {
        Paged::Upcoming => (
            View::Upcoming,
            by_due(connection, after.max(Place { at: now.ms(), key: i64::MAX }), i64::MAX, limit)?,
        ),
        Paged::Overdue => (View::Overdue, by_due(connection, after, now.ms(), limit)?),
        Paged::Held => (View::Held, held(connection, after, limit)?),
        Paged::All => (View::All, all(connection, after, limit)?),
    };
    let mut page = of(&list.to_string(), found, limit, now);
    if matches!(view, Paged::All) && after == Place::START {
        page.total = Some(connection.query_row("SELECT count(*) FROM orders", [], |row| {
            row.get(0).map(i64::unsigned_abs)
        })?);
    }
    Ok(page)
}

/// One more than `limit`, where there are more.
fn held(
    connection: &Connection,
    after: Place,
    limit: usize,
) -> rusqlite::Result<Vec<(Place, Row)>> {
    let sql = "SELECT key, held_since, shard, id, record FROM orders
               WHERE (held_since, key) > (?, ?) AND held_since IS NOT NULL ORDER BY held_since, key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_map(params![after.at, after.key, rows(limit.saturating_add(1))], placed_row)?
        .collect()
}

/// One more than `limit`, where there are more; those of all shards, merged.
fn by_due(
    connection: &Connection,
    after: Place,
    until: i64,
    limit: usize,
) -> rusqlite::Result<Vec<(Place, Row)>> {
    let sql = "SELECT key, due_at, shard, id, record FROM orders
               WHERE shard = ? AND (due_at, key) > (?, ?) AND due_at <= ? ORDER BY due_at, key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for shard in SHARD_COUNT.all() {
        let of_shard = statement.query_map(
            params![shard, after.at, after.key, until, rows(limit.saturating_add(1))],
            placed_row,
        )?;
        for row in of_shard {
            found.push(row?);
        }
    }
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found)
}

/// One more than `limit`, where there are more, in the order in which they were placed.
fn all(connection: &Connection, after: Place, limit: usize) -> rusqlite::Result<Vec<(Place, Row)>> {
    let sql = "SELECT key, ifnull(due_at, 0), shard, id, record FROM orders WHERE key > ? ORDER \
        BY key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params![after.key, rows(limit.saturating_add(1))], placed_row)?.collect()
}

fn placed_row(row: &rusqlite::Row) -> rusqlite::Result<(Place, Row)> {
    let (at, id) = (time(row, 1)?, order_id(row, 3)?);
    let order = order(row, 4, &id)?.map(Some);
    Ok((Place::new(at, row.get(0)?), Row::new(row.get(2)?, id, at, order)))
}

/// The notes whose time has come, at most `limit` of them, with all their orders.
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
        let (shard, look_at) = (note.get(1)?, time(note, 2)?);
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
