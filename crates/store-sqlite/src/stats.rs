//! The store's figures.

use autoreceive_domain::{ActionName, Time};
use autoreceive_store::{ActionStats, Space, Stats};
use rusqlite::{Connection, Row, params};

use super::SHARD_COUNT;
use super::read::text;

pub(super) fn stats(connection: &Connection, now: Time) -> rusqlite::Result<Stats> {
    let total = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| count(row, 0));
    let mut stats = Stats {
        now,
        orders: Vec::new(),
        totals: Vec::new(),
        waiting: total("SELECT count(*) FROM orders WHERE due_at IS NOT NULL")?,
        overdue: 0,
        oldest_overdue: None,
        held: total("SELECT count(*) FROM orders WHERE held_since IS NOT NULL")?,
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
    let mut statement = connection.prepare_cached(
        "SELECT count(*), min(due_at) FROM orders WHERE shard = ? AND due_at <= ?",
    )?;
    for shard in SHARD_COUNT.all() {
        let (late, oldest): (_, Option<i64>) = statement
            .query_row(params![shard, stats.now.ms()], |row| Ok((count(row, 0)?, row.get(1)?)))?;
        stats.overdue += late;
        stats.oldest_overdue =
            [stats.oldest_overdue, oldest.map(Time::from_ms)].into_iter().flatten().min();
    }
    Ok(())
}

/// The actions whose names are in the register. An invalid name has no queue.
fn actions(connection: &Connection) -> rusqlite::Result<Vec<ActionStats>> {
    let sql = "SELECT name.key,
                      (SELECT count(*) FROM outbox WHERE action = name.key AND lane = 0),
                      (SELECT min(at) FROM outbox WHERE action = name.key AND lane = 0),
                      (SELECT count(*) FROM outbox WHERE action = name.key AND lane = 1),
                      (SELECT min(at) FROM outbox WHERE action = name.key AND lane = 1),
                      (SELECT value FROM register WHERE space = ? AND key = name.key)
               FROM register AS name WHERE name.space = ? ORDER BY name.key";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([Space::Circuits.as_str(), Space::Actions.as_str()])?;
    let mut actions = Vec::new();
    while let Some(row) = found.next()? {
        if let Some(name) = text(row, 0)?.and_then(|name| name.parse().ok()) {
            actions.push(action(row, name)?);
        }
    }
    Ok(actions)
}

fn action(row: &Row, name: ActionName) -> rusqlite::Result<ActionStats> {
    let (next_at, oldest_dead): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(4)?);
    Ok(ActionStats {
        name,
        pending: count(row, 1)?,
        next_at: next_at.map(Time::from_ms),
        dead: count(row, 3)?,
        oldest_dead: oldest_dead.map(Time::from_ms),
        // An unreadable circuit counts as a closed circuit.
        circuit: text(row, 5)?.and_then(|text| text.parse().ok()).unwrap_or_default(),
    })
}

fn count(row: &Row, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::unsigned_abs)
}
