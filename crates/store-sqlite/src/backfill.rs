//! Every order there is, in the order in which they were placed, and entries for them. Entries and dead letters that are
//! given to another action, or dropped.

use autoreceive_domain::{Event, Time};
use rusqlite::{Connection, params};

use super::outbox;
use super::read::{order, order_id, rows};
use autoreceive_store::{Relocated, Scan, Shard, StoreError, entry};

/// Where a scan goes on: after the order with this key.
pub(super) fn place(cursor: Option<&str>) -> Result<i64, StoreError> {
    let Some(cursor) = cursor else { return Ok(i64::MIN) };
    cursor.parse().map_err(|_| StoreError::WrongCursor(cursor.chars().take(60).collect()))
}

pub(super) fn scan(connection: &Connection, after: i64, limit: usize, now: Time) -> rusqlite::Result<Scan> {
    let total = match after {
        i64::MIN => Some(connection.query_row("SELECT count(*) FROM orders", [], |row| row.get(0).map(i64::unsigned_abs))?),
        _ => None,
    };
    let mut statement = connection.prepare_cached("SELECT key, id, record FROM orders WHERE key > ? ORDER BY key LIMIT ?")?;
    let mut found = statement.query(params![after, rows(limit)])?;
    let (mut orders, mut last) = (Vec::new(), None);
    while let Some(row) = found.next()? {
        last = Some(row.get::<_, i64>(0)?);
        let id = order_id(row, 1)?;
        orders.push(order(row, 2, &id)?);
    }
    let cursor = last.filter(|_| orders.len() == limit).map(|key| key.to_string());
    Ok(Scan { now, orders, total, cursor })
}

pub(super) fn add(connection: &Connection, action: &str, events: &[(Shard, Event)], now: Time) -> rusqlite::Result<u64> {
    outbox::note(connection, action)?;
    let sql = "INSERT INTO outbox (action, shard, id, at, data)
               SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM dead WHERE action = ?1 AND id = ?3) ON CONFLICT DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    let mut added = 0;
    for (shard, event) in events {
        added += insert.execute(params![action, shard, event.id(), now.ms(), entry::encode(None, [event])])? as u64;
    }
    Ok(added)
}

pub(super) fn relocate(connection: &Connection, from: &str, to: Option<&str>, limit: usize) -> rusqlite::Result<Relocated> {
    if let Some(to) = to {
        outbox::note(connection, to)?;
    }
    let entries = relocate_from(connection, "outbox", from, to, limit)?;
    let letters = relocate_from(connection, "dead", from, to, limit.saturating_sub(entries))?;
    Ok(Relocated { entries: entries as u64, letters: letters as u64 })
}

fn relocate_from(connection: &Connection, table: &str, from: &str, to: Option<&str>, limit: usize) -> rusqlite::Result<usize> {
    let mut first = connection.prepare_cached(&format!("SELECT key FROM {table} WHERE action = ? ORDER BY at LIMIT ?"))?;
    let keys: Vec<i64> = first.query_map(params![from, rows(limit)], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    // One whose id is there already is that of the same event; it is not taken along, and so removed.
    let mut take = connection.prepare_cached(&format!("UPDATE OR IGNORE {table} SET action = ? WHERE key = ?"))?;
    let mut remove = connection.prepare_cached(&format!("DELETE FROM {table} WHERE key = ? AND action = ?"))?;
    for key in &keys {
        if let Some(to) = to {
            take.execute(params![to, key])?;
        }
        remove.execute(params![key, from])?;
    }
    Ok(keys.len())
}
