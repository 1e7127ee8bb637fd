//! Capped lists of rows.

use autoreceive_domain::Time;
use autoreceive_store::{List, Page, StoreError};
use rusqlite::{Connection, Row, params};

use super::read::rows;

/// The row before which the next page begins; later pages are older.
pub(super) fn before(list: &List, cursor: Option<&str>) -> Result<i64, StoreError> {
    let Some(cursor) = cursor else { return Ok(i64::MAX) };
    let seq = cursor.strip_prefix(list.as_str()).and_then(|rest| rest.strip_prefix('.'));
    seq.and_then(|seq| seq.parse().ok()).ok_or_else(|| StoreError::wrong_cursor(cursor))
}

pub(super) const NEWEST: &str = "SELECT ifnull(max(seq), 0) FROM log WHERE list = ?";

pub(super) fn append(
    connection: &Connection,
    list: &List,
    lines: &[String],
    cap: usize,
) -> rusqlite::Result<()> {
    let mut seq: i64 =
        connection.prepare_cached(NEWEST)?.query_row([list.as_str()], |row| row.get(0))?;
    let mut insert =
        connection.prepare_cached("INSERT INTO log (list, seq, row) VALUES (?, ?, ?)")?;
    for line in lines {
        seq += 1;
        insert.execute(params![list.as_str(), seq, line])?;
    }
    let mut remove = connection.prepare_cached("DELETE FROM log WHERE list = ? AND seq <= ?")?;
    remove.execute(params![list.as_str(), seq.saturating_sub(rows(cap))])?;
    Ok(())
}

pub(super) fn page(
    connection: &Connection,
    list: &List,
    before: i64,
    limit: usize,
    now: Time,
) -> rusqlite::Result<Page<String>> {
    let sql = "SELECT seq, row FROM log WHERE list = ? AND seq < ? ORDER BY seq DESC LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let found =
        statement.query_map(params![list.as_str(), before, rows(limit.saturating_add(1))], line)?;
    let mut found: Vec<(i64, String)> = found.collect::<rusqlite::Result<_>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let cursor = found.last().filter(|_| more).map(|(seq, _)| format!("{list}.{seq}"));
    Ok(Page::new(now, found.into_iter().map(|(_, line)| line).collect(), cursor))
}

/// Bytes that are not UTF-8 are replaced.
fn line(row: &Row) -> rusqlite::Result<(i64, String)> {
    Ok((row.get(0)?, String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?).into_owned()))
}
