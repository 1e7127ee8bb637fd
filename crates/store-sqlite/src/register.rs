//! Small facts that all workers share.

use autoreceive_store::{Cas, Expected, Space};
use rusqlite::{Connection, OptionalExtension, params};

use super::read::text;

/// A change of one value that does not borrow.
pub(super) struct Change {
    key: String,
    expected: Wanted,
    value: Option<String>,
}

enum Wanted {
    Anything,
    Nothing,
    Value(String),
}

impl From<&Cas<'_>> for Change {
    fn from(cas: &Cas) -> Change {
        let expected = match cas.expected {
            Expected::Anything => Wanted::Anything,
            Expected::Nothing => Wanted::Nothing,
            Expected::Value(value) => Wanted::Value(value.to_owned()),
        };
        Change { key: cas.key.to_owned(), expected, value: cas.value.map(str::to_owned) }
    }
}

impl Wanted {
    fn is(&self, found: Option<&str>) -> bool {
        match self {
            Wanted::Anything => true,
            Wanted::Nothing => found.is_none(),
            Wanted::Value(value) => found == Some(value),
        }
    }
}

pub(super) fn get(
    connection: &Connection,
    space: Space,
    keys: &[String],
) -> rusqlite::Result<Vec<Option<String>>> {
    keys.iter().map(|key| find(connection, space, key)).collect()
}

/// Makes the changes that find what they expect, one after the other, and says which they are.
pub(super) fn compare_and_set(
    connection: &Connection,
    space: Space,
    changes: &[Change],
) -> rusqlite::Result<Vec<bool>> {
    changes.iter().map(|change| compare_and_set_one(connection, space, change)).collect()
}

fn compare_and_set_one(
    connection: &Connection,
    space: Space,
    change: &Change,
) -> rusqlite::Result<bool> {
    let (space_name, key) = (space.as_str(), change.key.as_str());
    if !change.expected.is(find(connection, space, key)?.as_deref()) {
        return Ok(false);
    }
    match &change.value {
        Some(value) => {
            let sql = "INSERT INTO register (space, key, value) VALUES (?, ?, ?) ON CONFLICT DO \
                UPDATE SET value = excluded.value";
            connection.prepare_cached(sql)?.execute(params![space_name, key, value])?;
        }
        None => {
            let sql = "DELETE FROM register WHERE space = ? AND key = ?";
            connection.prepare_cached(sql)?.execute([space_name, key])?;
        }
    }
    Ok(true)
}

/// A value that is not UTF-8 is none.
fn find(connection: &Connection, space: Space, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM register WHERE space = ? AND key = ?";
    let found = connection
        .prepare_cached(sql)?
        .query_row([space.as_str(), key], |row| text(row, 0))
        .optional()?;
    Ok(found.flatten())
}
