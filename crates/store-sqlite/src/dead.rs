//! Dead letters: shown, and given back to the outbox or dropped when somebody says so.

use autoreceive_domain::Time;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::outbox;
use super::page::Place;
use super::read::{rows, text, time};
use autoreceive_store::{DeadLetter, DeadPage, EntryRef, Resolution, entry};

/// What the cursors of an action's pages begin with.
pub(super) fn list(action: &str) -> String {
    format!("dead/{action}")
}

pub(super) fn page(connection: &Connection, action: &str, after: Place, limit: usize, now: Time) -> rusqlite::Result<DeadPage> {
    let sql = "SELECT shard, id, at, data, key FROM dead WHERE action = ? AND (at, key) > (?, ?) ORDER BY at, key LIMIT ?";
    let (at, key) = after.columns();
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(params![action, at, key, rows(limit.saturating_add(1))], |row| {
        let letter = letter(row)?;
        Ok((Place::new(letter.died_at, row.get(4)?), letter))
    })?;
    let mut found: Vec<(Place, DeadLetter)> = found.collect::<rusqlite::Result<_>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let cursor = found.last().filter(|_| more).map(|(place, _)| place.cursor(&list(action)));
    Ok(DeadPage { now, letters: found.into_iter().map(|(_, letter)| letter).collect(), cursor })
}

pub(super) fn find(connection: &Connection, action: &str, letters: &[EntryRef]) -> rusqlite::Result<Vec<DeadLetter>> {
    let mut statement = connection.prepare_cached("SELECT shard, id, at, data FROM dead WHERE action = ? AND id = ?")?;
    let mut find = |wanted: &EntryRef| statement.query_row(params![action, wanted.id], letter).optional();
    letters.iter().filter_map(|wanted| find(wanted).transpose()).collect()
}

fn letter(row: &Row) -> rusqlite::Result<DeadLetter> {
    let letter = EntryRef { shard: row.get(0)?, id: row.get(1)? };
    let (died_at, text) = (time(row, 2)?, text(row, 3, &letter.id)?);
    Ok(match text {
        Ok(text) => DeadLetter::read(letter, died_at, Some(&text)),
        Err(unreadable) => DeadLetter { letter, died_at, content: Err(unreadable) },
    })
}

pub(super) fn resolve(connection: &Connection, action: &str, letters: &[EntryRef], how: Resolution, now: Time) -> rusqlite::Result<u64> {
    let mut done = 0;
    for letter in letters {
        let ended = match how {
            Resolution::Discard => true,
            Resolution::Replay => revive(connection, action, letter, now)?,
        };
        if ended {
            let mut remove = connection.prepare_cached("DELETE FROM dead WHERE action = ? AND id = ?")?;
            done += remove.execute(params![action, letter.id])? as u64;
        }
    }
    Ok(done)
}

/// Puts a dead letter that is there, and is text, into the outbox.
fn revive(connection: &Connection, action: &str, letter: &EntryRef, now: Time) -> rusqlite::Result<bool> {
    let mut find = connection.prepare_cached("SELECT shard, data FROM dead WHERE action = ? AND id = ?")?;
    let found = find.query_row(params![action, letter.id], |row| Ok((row.get(0)?, text(row, 1, &letter.id)?))).optional()?;
    let Some((shard, Ok(text))) = found else { return Ok(false) };
    outbox::put(connection, "outbox", action, shard, &letter.id, now, &entry::afresh(&text, now))?;
    Ok(true)
}
