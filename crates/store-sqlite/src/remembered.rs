//! Names that are kept in mind.

use rusqlite::Connection;

pub(super) fn remember(connection: &Connection, names: &[String]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR IGNORE INTO remembered (name) VALUES (?)")?;
    names.iter().try_for_each(|name| statement.execute([name]).map(drop))
}

pub(super) fn forget(connection: &Connection, names: &[String]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM remembered WHERE name = ?")?;
    names.iter().try_for_each(|name| statement.execute([name]).map(drop))
}

pub(super) fn remembered(connection: &Connection, names: &[String]) -> rusqlite::Result<Vec<bool>> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM remembered WHERE name = ?")?;
    names.iter().map(|name| statement.exists([name])).collect()
}
