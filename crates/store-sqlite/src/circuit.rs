//! How receivers are doing.

use autoreceive_domain::{Circuit, Time};
use rusqlite::{Connection, OptionalExtension, params};

/// What cannot be read says nothing against a receiver.
pub(super) fn of(connection: &Connection, action: &str, now: Time) -> rusqlite::Result<(Time, Circuit)> {
    let found = text(connection, action)?;
    Ok((now, found.and_then(|text| text.parse().ok()).unwrap_or_default()))
}

pub(super) fn set(connection: &Connection, action: &str, known: Option<&Circuit>, next: &Circuit) -> rusqlite::Result<bool> {
    let is = text(connection, action)?.unwrap_or_else(|| Circuit::default().to_string());
    if known.is_some_and(|known| known.to_string() != is) {
        return Ok(false);
    }
    super::outbox::note(connection, action)?;
    let sql = "INSERT INTO circuits (action, circuit) VALUES (?, ?) ON CONFLICT DO UPDATE SET circuit = excluded.circuit";
    connection.prepare_cached(sql)?.execute(params![action, next.to_string()])?;
    Ok(true)
}

fn text(connection: &Connection, action: &str) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached("SELECT circuit FROM circuits WHERE action = ?")?.query_row([action], |row| row.get(0)).optional()
}
