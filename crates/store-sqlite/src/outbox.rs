//! Outbox entries: claim, renew, settle, put and list.

use autoreceive_domain::{Shard, Span, Time};
use autoreceive_store::{Claimed, Entry, EntryRef, Lane, NewEntry, Page, Queue, Settlement};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::page::{self, RowPosition};
use super::read::{rows, text, time};

/// The number of a lane in the file.
const fn number(lane: Lane) -> u8 {
    match lane {
        Lane::Pending => 0,
        Lane::Dead => 1,
    }
}

const PENDING: u8 = number(Lane::Pending);

/// The prefix of a queue's cursors.
pub(super) fn cursors(queue: &Queue) -> String {
    let lane = match queue.lane {
        Lane::Pending => "pending",
        Lane::Dead => "dead",
    };
    format!("{lane}/{}", queue.action)
}

/// An entry to write.
pub(super) struct EntryRow<'a> {
    pub action: &'a str,
    pub lane: Lane,
    pub shard: Shard,
    pub id: &'a str,
    pub at: Time,
    pub text: &'a str,
}

/// Writes an entry, and replaces one with the same id.
pub(super) fn store(connection: &Connection, entry: &EntryRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outbox (action, lane, shard, id, at, text) VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET at = excluded.at, text = excluded.text";
    insert(connection, sql, entry).map(drop)
}

fn store_if_absent(connection: &Connection, entry: &EntryRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outbox (action, lane, shard, id, at, text) VALUES (?, ?, ?, ?, ?, ?) \
        ON CONFLICT DO NOTHING";
    insert(connection, sql, entry).map(drop)
}

/// Returns the number of written rows.
fn insert(connection: &Connection, sql: &str, entry: &EntryRow) -> rusqlite::Result<usize> {
    let EntryRow { action, lane, shard, id, at, text } = *entry;
    connection.prepare_cached(sql)?.execute(params![action, number(lane), shard, id, at.ms(), text])
}

pub(super) const FIRST: &str =
    "SELECT shard, id, at, text, key FROM outbox WHERE action = ? AND lane = ? ORDER BY at LIMIT ?";

pub(super) fn claim(
    connection: &Connection,
    action: &str,
    limit: usize,
    lease: Span,
    now: Time,
) -> rusqlite::Result<Claimed> {
    let until = now.after(lease);
    let mut statement = connection.prepare_cached(FIRST)?;
    let mut found = statement.query(params![action, PENDING, rows(limit.saturating_add(1))])?;
    let mut claimed = Claimed { now, entries: Vec::new(), next_at: None };
    let mut keys: Vec<i64> = Vec::new();
    while let Some(row) = found.next()? {
        let found = entry(row)?;
        if found.at > now || claimed.entries.len() == limit {
            claimed.next_at = Some(found.at);
            break;
        }
        claimed.entries.push(Entry { at: until, ..found });
        keys.push(row.get(4)?);
    }
    let mut extend = connection.prepare_cached("UPDATE outbox SET at = ? WHERE key = ?")?;
    for key in keys {
        extend.execute(params![until.ms(), key])?;
    }
    Ok(claimed)
}

pub(super) fn renew(
    connection: &Connection,
    action: &str,
    entries: &[EntryRef],
    until: Time,
) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET at = ? WHERE action = ? AND id = ? AND shard = ? AND lane = ?";
    let mut extend = connection.prepare_cached(sql)?;
    for entry in entries {
        extend.execute(params![until.ms(), action, entry.id, entry.shard, PENDING])?;
    }
    Ok(())
}

pub(super) fn settle(
    connection: &Connection,
    queue: &Queue,
    done: &[Settlement],
) -> rusqlite::Result<u64> {
    let mut remove = connection.prepare_cached(
        "DELETE FROM outbox WHERE action = ? AND id = ? AND shard = ? AND lane = ?",
    )?;
    let mut settled = 0;
    for Settlement { entry, follow_ups } in done {
        if remove.execute(params![
            queue.action.as_str(),
            entry.id,
            entry.shard,
            number(queue.lane)
        ])? == 0
        {
            continue;
        }
        settled += 1;
        for next in follow_ups {
            let Queue { action, lane } = &next.queue;
            let next_entry = EntryRow {
                action: action.as_str(),
                lane: *lane,
                shard: entry.shard,
                id: &next.id,
                at: next.at,
                text: &next.text,
            };
            if next.only_if_absent {
                store_if_absent(connection, &next_entry)?;
            } else {
                store(connection, &next_entry)?;
            }
        }
    }
    Ok(settled)
}

pub(super) fn put(
    connection: &Connection,
    queue: &Queue,
    entries: &[NewEntry],
) -> rusqlite::Result<u64> {
    let sql = "INSERT INTO outbox (action, lane, shard, id, at, text)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6
               WHERE NOT EXISTS
                   (SELECT 1 FROM outbox WHERE action = ?1 AND id = ?4 AND shard = ?3)";
    let mut added = 0;
    for NewEntry { entry, at, text } in entries {
        let new = EntryRow {
            action: queue.action.as_str(),
            lane: queue.lane,
            shard: entry.shard,
            id: &entry.id,
            at: *at,
            text,
        };
        added += insert(connection, sql, &new)? as u64;
    }
    Ok(added)
}

pub(super) fn page(
    connection: &Connection,
    queue: &Queue,
    after: RowPosition,
    limit: usize,
    now: Time,
) -> rusqlite::Result<Page<Entry>> {
    let sql = "SELECT shard, id, at, text, key FROM outbox
               WHERE action = ? AND lane = ? AND (at, key) > (?, ?) ORDER BY at, key LIMIT ?";
    let (at, key) = after.columns();
    let mut statement = connection.prepare_cached(sql)?;
    let columns =
        params![queue.action.as_str(), number(queue.lane), at, key, rows(limit.saturating_add(1))];
    let found = statement.query_map(columns, |row| {
        let entry = entry(row)?;
        Ok((RowPosition::new(entry.at, row.get(4)?), entry))
    })?;
    Ok(page::of(&cursors(queue), found.collect::<rusqlite::Result<_>>()?, limit, now))
}

pub(super) fn named(
    connection: &Connection,
    queue: &Queue,
    names: &[EntryRef],
    now: Time,
) -> rusqlite::Result<Page<Entry>> {
    let sql = "SELECT shard, id, at, text FROM outbox WHERE action = ? AND id = ? AND shard = ? \
        AND lane = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut entries = Vec::new();
    for name in names {
        let columns = params![queue.action.as_str(), name.id, name.shard, number(queue.lane)];
        entries.extend(statement.query_row(columns, entry).optional()?);
    }
    Ok(Page::new(now, entries, None))
}

/// The entry of a row that starts with shard, id, time and text.
fn entry(row: &Row) -> rusqlite::Result<Entry> {
    let entry = EntryRef { shard: row.get(0)?, id: row.get(1)? };
    Ok(Entry { entry, at: time(row, 2)?, text: text(row, 3)? })
}
