//! Small values that all workers share.

use autoreceive_store::{Cas, Expected, Space};
use rusqlite::{Connection, OptionalExtension, params};

use super::read::text;

/// A compare-and-set that owns its texts.
pub(super) struct OwnedCas {
    key: String,
    expected: ExpectedValue,
    value: Option<String>,
}

enum ExpectedValue {
    Anything,
    Nothing,
    Value(String),
}

impl From<&Cas<'_>> for OwnedCas {
    fn from(cas: &Cas) -> OwnedCas {
        let expected = match cas.expected {
            Expected::Anything => ExpectedValue::Anything,
            Expected::Nothing => ExpectedValue::Nothing,
            Expected::Value(value) => ExpectedValue::Value(value.to_owned()),
        };
        OwnedCas { key: cas.key.to_owned(), expected, value: cas.value.map(str::to_owned) }
    }
}

impl ExpectedValue {
    fn is(&self, found: Option<&str>) -> bool {
        match self {
            ExpectedValue::Anything => true,
            ExpectedValue::Nothing => found.is_none(),
            ExpectedValue::Value(value) => found == Some(value),
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

/// Applies each change whose expected value matches, in order. Returns which were applied.
pub(super) fn compare_and_set(
    connection: &Connection,
    space: Space,
    changes: &[OwnedCas],
) -> rusqlite::Result<Vec<bool>> {
    changes.iter().map(|change| compare_and_set_one(connection, space, change)).collect()
}

fn compare_and_set_one(
    connection: &Connection,
    space: Space,
    change: &OwnedCas,
) -> rusqlite::Result<bool> {
    let space_name = space.as_str();
    let key = change.key.as_str();
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

/// A value that is not UTF-8 counts as missing.
fn find(connection: &Connection, space: Space, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM register WHERE space = ? AND key = ?";
    let found = connection
        .prepare_cached(sql)?
        .query_row([space.as_str(), key], |row| text(row, 0))
        .optional()?;
    Ok(found.flatten())
}
