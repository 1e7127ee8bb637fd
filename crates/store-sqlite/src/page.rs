//! Pages of orders, and the figures of the whole.

use autoreceive_domain::Time;
use rusqlite::{Connection, Row, params};

use super::SHARDS;
use super::read::{action_name, order, order_id, rows, time};
use autoreceive_store::{ActionStats, Item, Page, Stats, StoreError, View};

/// A place in a view: after the order with this time and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    at: i64,
    key: i64,
}

impl Place {
    /// Before every order.
    const START: Place = Place { at: i64::MIN, key: i64::MIN };

    /// The place of an item with this time and key.
    pub fn new(at: Time, key: i64) -> Place {
        Place { at: at.ms(), key }
    }

    /// Its time and key, as the columns of a query.
    pub fn columns(self) -> (i64, i64) {
        (self.at, self.key)
    }

    /// What leads back here in `list`.
    pub fn cursor(self, list: &str) -> String {
        format!("{list}.{}.{}", self.at, self.key)
    }

    /// Where `cursor` points in `list`.
    pub fn parse(list: &str, cursor: Option<&str>) -> Result<Place, StoreError> {
        let Some(cursor) = cursor else { return Ok(Place::START) };
        let read = || {
            let (at, key) = cursor.strip_prefix(&format!("{list}."))?.split_once('.')?;
            Some(Place { at: at.parse().ok()?, key: key.parse().ok()? })
        };
        read().ok_or_else(|| StoreError::WrongCursor(cursor.chars().take(60).collect()))
    }
}

pub(super) fn page(connection: &Connection, view: View, after: Place, limit: usize, now: Time) -> rusqlite::Result<Page> {
    let mut found = match view {
        View::Held => held(connection, after, limit)?,
        View::Upcoming => by_wake(connection, after.max(Place { at: now.ms(), key: i64::MAX }), i64::MAX, limit)?,
        View::Overdue => by_wake(connection, after, now.ms(), limit)?,
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let cursor = found.last().filter(|_| more).map(|(place, _)| place.cursor(&view.to_string()));
    Ok(Page { now, items: found.into_iter().map(|(_, item)| item).collect(), cursor })
}

/// One more than `limit`, where there are more.
fn held(connection: &Connection, after: Place, limit: usize) -> rusqlite::Result<Vec<(Place, Item)>> {
    let sql = "SELECT key, held, id, record FROM orders WHERE (held, key) > (?, ?) AND held IS NOT NULL ORDER BY held, key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params![after.at, after.key, rows(limit.saturating_add(1))], item)?.collect()
}

/// One more than `limit`, where there are more; those of all shards, merged.
fn by_wake(connection: &Connection, after: Place, until: i64, limit: usize) -> rusqlite::Result<Vec<(Place, Item)>> {
    let sql = "SELECT key, wake, id, record FROM orders
               WHERE shard = ? AND (wake, key) > (?, ?) AND wake <= ? ORDER BY wake, key LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for shard in 0..SHARDS {
        let of_shard = statement.query_map(params![shard, after.at, after.key, until, rows(limit.saturating_add(1))], item)?;
        for item in of_shard {
            found.push(item?);
        }
    }
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found)
}

fn item(row: &Row) -> rusqlite::Result<(Place, Item)> {
    let (at, id) = (time(row, 1)?, order_id(row, 2)?);
    let place = Place::new(at, row.get(0)?);
    Ok((place, Item { at, order: order(row, 3, &id)?.map(Some), id }))
}

pub(super) fn stats(connection: &Connection, now: Time) -> rusqlite::Result<Stats> {
    let total = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| count(row, 0));
    let mut stats = Stats {
        now,
        orders: Vec::new(),
        totals: Vec::new(),
        waiting: total("SELECT count(*) FROM orders WHERE wake IS NOT NULL")?,
        overdue: 0,
        oldest_overdue: None,
        held: total("SELECT count(*) FROM orders WHERE held IS NOT NULL")?,
        actions: actions(connection)?,
    };
    add_overdue(connection, &mut stats)?;
    let mut counts = connection.prepare_cached("SELECT name, count FROM counts")?;
    let mut found = counts.query([])?;
    while let Some(row) = found.next()? {
        stats.add_count(row.get_ref(0)?.as_str()?, row.get(1)?);
    }
    Ok(stats)
}

fn add_overdue(connection: &Connection, stats: &mut Stats) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT count(*), min(wake) FROM orders WHERE shard = ? AND wake <= ?")?;
    for shard in 0..SHARDS {
        let (late, oldest): (_, Option<i64>) =
            statement.query_row(params![shard, stats.now.ms()], |row| Ok((count(row, 0)?, row.get(1)?)))?;
        stats.overdue += late;
        stats.oldest_overdue = [stats.oldest_overdue, oldest.map(Time::from_ms)].into_iter().flatten().min();
    }
    Ok(())
}

fn actions(connection: &Connection) -> rusqlite::Result<Vec<ActionStats>> {
    let sql = "SELECT name,
                      (SELECT count(*) FROM outbox WHERE action = name),
                      (SELECT min(at) FROM outbox WHERE action = name),
                      (SELECT count(*) FROM dead WHERE action = name),
                      (SELECT min(at) FROM dead WHERE action = name),
                      (SELECT circuit FROM circuits WHERE action = name)
               FROM actions ORDER BY name";
    let action = |row: &Row| {
        let (next_at, oldest_dead): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(4)?);
        Ok(ActionStats {
            name: action_name(row, 0)?,
            pending: count(row, 1)?,
            next_at: next_at.map(Time::from_ms),
            dead: count(row, 3)?,
            oldest_dead: oldest_dead.map(Time::from_ms),
            circuit: row.get::<_, Option<String>>(5)?.and_then(|text| text.parse().ok()).unwrap_or_default(),
        })
    };
    connection.prepare_cached(sql)?.query_map([], action)?.collect()
}

fn count(row: &Row, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::unsigned_abs)
}
