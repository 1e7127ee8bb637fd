//! Reading orders: by id, by wake, and those that rest.

use autoreceive_domain::record::{self, Unreadable};
use autoreceive_domain::{ActionName, Order, OrderId, Revision, Terms, Time};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SHARDS;
use super::clock::Clock;
use autoreceive_store::{Due, DueOrder, DueShard, Heads, Loaded, Look, Rested, RestedNote};

pub(super) fn load(connection: &Connection, ids: &[OrderId], clock: &Clock) -> rusqlite::Result<Loaded> {
    let orders = ids.iter().map(|id| load_one(connection, id)).collect::<rusqlite::Result<_>>()?;
    Ok(Loaded { now: clock.now(), orders })
}

fn load_one(connection: &Connection, id: &OrderId) -> rusqlite::Result<Result<Option<Order>, Unreadable>> {
    let mut statement = connection.prepare_cached("SELECT record FROM orders WHERE id = ?")?;
    let order = statement.query_row([id.as_str()], |row| order(row, 0, id)).optional()?;
    Ok(order.transpose())
}

/// Terms that cannot be read are not known.
pub(super) fn terms(connection: &Connection, revisions: &[Revision]) -> rusqlite::Result<Vec<Option<Terms>>> {
    let mut statement = connection.prepare_cached("SELECT terms FROM terms WHERE revision = ?")?;
    let mut find = |revision: &Revision| {
        let text: Option<String> = statement.query_row([revision.as_str()], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| text.parse().ok()))
    };
    revisions.iter().map(&mut find).collect()
}

pub(super) fn heads(connection: &Connection, clock: &Clock) -> rusqlite::Result<Heads> {
    let sql = "SELECT wake FROM orders WHERE shard = ? AND wake IS NOT NULL ORDER BY wake LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut head = |shard| statement.query_row([shard], |row| time(row, 0)).optional();
    let heads = (0..SHARDS).map(&mut head).collect::<rusqlite::Result<_>>()?;
    Ok(Heads { now: clock.now(), heads })
}

pub(super) fn due(connection: &Connection, looks: &[Look], limit: usize, now: Time) -> rusqlite::Result<Due> {
    let shards = looks.iter().map(|look| due_in(connection, look, limit, now)).collect::<rusqlite::Result<_>>()?;
    Ok(Due { now, shards })
}

fn due_in(connection: &Connection, look: &Look, limit: usize, now: Time) -> rusqlite::Result<DueShard> {
    let limit = limit.saturating_add(look.extra);
    let sql = "SELECT id, wake, record FROM orders WHERE shard = ? AND wake IS NOT NULL ORDER BY wake LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params![look.shard, rows(limit.saturating_add(1))])?;
    let mut due = DueShard { shard: look.shard, orders: Vec::new(), next_at: None };
    while let Some(row) = found.next()? {
        let wake = time(row, 1)?;
        if wake > now || due.orders.len() == limit {
            due.next_at = Some(wake);
            break;
        }
        let id = order_id(row, 0)?;
        due.orders.push(DueOrder { order: order(row, 2, &id)?.map(Some), id });
    }
    Ok(due)
}

pub(super) fn rested(connection: &Connection, limit: usize, now: Time) -> rusqlite::Result<Rested> {
    let mut statement = connection.prepare_cached("SELECT key, shard, ids FROM notes WHERE look_at <= ? ORDER BY look_at LIMIT ?")?;
    let mut found = statement.query(params![now.ms(), rows(limit)])?;
    let mut notes = Vec::new();
    while let Some(row) = found.next()? {
        let ids: String = row.get(2)?;
        let mut orders = Vec::new();
        for id in ids.split('\n').filter_map(|id| id.parse().ok()) {
            orders.extend(load_one(connection, &id)?.ok().flatten());
        }
        notes.push(RestedNote { shard: row.get(1)?, note: row.get::<_, i64>(0)?.to_string(), orders });
    }
    Ok(Rested { now, notes })
}

pub(super) fn time(row: &Row, column: usize) -> rusqlite::Result<Time> {
    row.get(column).map(Time::from_ms)
}

/// A limit as SQLite takes it.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// An id in the file was one when it was written.
pub(super) fn order_id(row: &Row, column: usize) -> rusqlite::Result<OrderId> {
    let id = row.get_ref(column)?.as_str()?;
    id.parse().map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error)))
}

/// A name in the file was one when it was written.
pub(super) fn action_name(row: &Row, column: usize) -> rusqlite::Result<ActionName> {
    let name = row.get_ref(column)?.as_str()?;
    name.parse().map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error)))
}

pub(super) fn order(row: &Row, column: usize, id: &OrderId) -> rusqlite::Result<Result<Order, Unreadable>> {
    match row.get_ref(column)?.as_str() {
        Ok(text) => Ok(record::decode(id, text)),
        Err(_) => Ok(Err(not_text(id.as_str()))),
    }
}

/// A text, whatever bytes somebody may have put there.
pub(super) fn text(row: &Row, column: usize, id: &str) -> rusqlite::Result<Result<String, Unreadable>> {
    Ok(row.get_ref(column)?.as_str().map(str::to_owned).map_err(|_| not_text(id)))
}

fn not_text(id: &str) -> Unreadable {
    Unreadable { id: id.to_owned(), what: "it is not UTF-8".to_owned() }
}
