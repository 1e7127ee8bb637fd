//! The outbox: adding, claiming, renewing and settling entries, and burying dead letters.

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Event, Span, Time};
use rusqlite::{Connection, params};

use autoreceive_store::{After, Claimed, ClaimedEntry, EntryRef, History, NewEntry, Settlement, Shard, entry};

pub(super) fn add(connection: &Connection, shard: Shard, entry: &NewEntry, text: &str) -> rusqlite::Result<()> {
    note(connection, entry.action.as_str())?;
    put(connection, "outbox", entry.action.as_str(), shard, &entry.id, entry.at, text)
}

/// Notes that there is, or was, something of this action.
pub(super) fn note(connection: &Connection, action: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO actions (name) VALUES (?) ON CONFLICT DO NOTHING")?.execute([action])?;
    Ok(())
}

/// An id that is there already is that of the same events.
pub(super) fn put(
    connection: &Connection,
    table: &str,
    action: &str,
    shard: Shard,
    id: &str,
    at: Time,
    text: &str,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO {table} (action, shard, id, at, data) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET at = excluded.at, data = excluded.data"
    );
    connection.prepare_cached(&sql)?.execute(params![action, shard, id, at.ms(), text])?;
    Ok(())
}

/// Entries as they lie in the file.
pub(super) struct Leased {
    now: Time,
    rows: Vec<Row>,
    next_at: Option<Time>,
}

struct Row {
    key: i64,
    entry: EntryRef,
    text: Result<String, Unreadable>,
}

pub(super) fn claim(connection: &Connection, action: &str, limit: usize, lease: Span, now: Time) -> rusqlite::Result<Leased> {
    let sql = "SELECT key, at, shard, id, data FROM outbox WHERE action = ? ORDER BY at LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params![action, super::read::rows(limit.saturating_add(1))])?;
    let (mut rows, mut next_at) = (Vec::new(), None);
    while let Some(row) = found.next()? {
        let at = super::read::time(row, 1)?;
        if at > now || rows.len() == limit {
            next_at = Some(at);
            break;
        }
        let entry = EntryRef { shard: row.get(2)?, id: row.get(3)? };
        rows.push(Row { key: row.get(0)?, text: super::read::text(row, 4, &entry.id)?, entry });
    }
    let mut extend = connection.prepare_cached("UPDATE outbox SET at = ? WHERE key = ?")?;
    for row in &rows {
        extend.execute(params![now.after(lease).ms(), row.key])?;
    }
    Ok(Leased { now, rows, next_at })
}

impl Leased {
    /// The entries, read: apart from [`claim`], because the writer need not wait for it.
    pub fn read(self) -> Claimed {
        let mut claimed = Claimed { now: self.now, entries: Vec::new(), unreadable: Vec::new(), next_at: self.next_at };
        for row in self.rows {
            match row.text.and_then(|text| entry::decode(&row.entry.id, &text)) {
                Ok((history, events)) => claimed.entries.push(ClaimedEntry { entry: row.entry, events, history }),
                Err(unreadable) => claimed.unreadable.push(unreadable),
            }
        }
        claimed
    }
}

pub(super) fn settle(connection: &Connection, action: &str, settlements: &[Settlement]) -> rusqlite::Result<()> {
    let mut remove = connection.prepare_cached("DELETE FROM outbox WHERE action = ? AND id = ?")?;
    for settlement in settlements {
        if remove.execute(params![action, settlement.entry.id])? == 0 {
            continue;
        }
        for after in &settlement.after {
            follow(connection, action, &settlement.entry, after)?;
        }
    }
    Ok(())
}

fn follow(connection: &Connection, action: &str, from: &EntryRef, after: &After) -> rusqlite::Result<()> {
    let one = |table, event: &Event, history: &History, at| {
        put(connection, table, action, from.shard, &event.id(), at, &entry::encode(Some(history), [event]))
    };
    match after {
        After::Retry { event, history, at } => one("outbox", event, history, *at),
        After::Dead { event, history, at } => one("dead", event, history, *at),
        After::Rest { events, at } => put(connection, "outbox", action, from.shard, &from.id, *at, &entry::encode(None, events)),
    }
}

pub(super) fn renew(connection: &Connection, action: &str, entries: &[EntryRef], until: Time) -> rusqlite::Result<()> {
    let mut extend = connection.prepare_cached("UPDATE outbox SET at = ? WHERE action = ? AND id = ?")?;
    for entry in entries {
        extend.execute(params![until.ms(), action, entry.id])?;
    }
    Ok(())
}
