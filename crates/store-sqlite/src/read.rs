//! Reads orders by id and by due time.

use autoreceive_domain::record::{self, Unreadable};
use autoreceive_domain::{Order, OrderId, Revision, Terms, Time};
use autoreceive_store::{DueOrder, DueShard, Look, Slot};
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) fn load(connection: &Connection, ids: &[OrderId]) -> rusqlite::Result<Vec<Slot>> {
    ids.iter().map(|id| load_one(connection, id)).collect()
}

pub(super) fn load_one(connection: &Connection, id: &OrderId) -> rusqlite::Result<Slot> {
    let mut statement = connection.prepare_cached("SELECT record FROM orders WHERE id = ?")?;
    let order = statement.query_row([id.as_str()], |row| order(row, 0, id)).optional()?;
    Ok(order.transpose())
}

/// Unreadable terms count as unknown.
pub(super) fn terms(
    connection: &Connection,
    revisions: &[Revision],
) -> rusqlite::Result<Vec<Option<Terms>>> {
    let mut statement = connection.prepare_cached("SELECT terms FROM terms WHERE revision = ?")?;
    let mut find = |revision: &Revision| {
        let text: Option<String> =
            statement.query_row([revision.as_str()], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| text.parse().ok()))
    };
    revisions.iter().map(&mut find).collect()
}

pub(super) fn due(
    connection: &Connection,
    looks: &[Look],
    limit: usize,
    now: Time,
) -> rusqlite::Result<Vec<DueShard>> {
    match limit {
        0 => looks.iter().map(|look| next_due_in(connection, look)).collect(),
        _ => looks.iter().map(|look| due_in(connection, look, limit, now)).collect(),
    }
}

pub(super) const NEXT_DUE: &str =
    "SELECT due_at FROM orders WHERE shard = ? AND due_at IS NOT NULL ORDER BY due_at LIMIT 1";

/// The next due time, read from the index only.
fn next_due_in(connection: &Connection, look: &Look) -> rusqlite::Result<DueShard> {
    let mut due = DueShard::empty(look.shard);
    due.next_at = connection
        .prepare_cached(NEXT_DUE)?
        .query_row([look.shard], |row| time(row, 0))
        .optional()?;
    Ok(due)
}

fn due_in(
    connection: &Connection,
    look: &Look,
    limit: usize,
    now: Time,
) -> rusqlite::Result<DueShard> {
    let limit = limit.saturating_add(look.extra);
    let sql = "SELECT id, due_at, record FROM orders WHERE shard = ? AND due_at IS NOT NULL ORDER \
        BY due_at LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params![look.shard, rows(limit.saturating_add(1))])?;
    let mut due = DueShard::empty(look.shard);
    while let Some(row) = found.next()? {
        let due_at = time(row, 1)?;
        if due_at > now || due.orders.len() == limit {
            due.next_at = Some(due_at);
            break;
        }
        let id = order_id(row, 0)?;
        due.orders.push(DueOrder { order: order(row, 2, &id)?.map(Some), id });
    }
    Ok(due)
}

pub(super) fn time(row: &Row, column: usize) -> rusqlite::Result<Time> {
    row.get(column).map(Time::from_ms)
}

/// A limit as an SQLite integer.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// An id in the file was valid when it was written.
pub(super) fn order_id(row: &Row, column: usize) -> rusqlite::Result<OrderId> {
    let id = row.get_ref(column)?.as_str()?;
    id.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

pub(super) fn order(
    row: &Row,
    column: usize,
    id: &OrderId,
) -> rusqlite::Result<Result<Order, Unreadable>> {
    match row.get_ref(column)?.as_str() {
        Ok(text) => Ok(record::decode(id, text)),
        Err(_) => Ok(Err(Unreadable { id: id.to_string(), what: "expected UTF-8".to_owned() })),
    }
}

/// A text, or `None` if it is not UTF-8.
pub(super) fn text(row: &Row, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get_ref(column)?.as_str().ok().map(str::to_owned))
}
