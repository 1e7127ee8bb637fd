//! Commits. As much as possible is prepared before the writer runs, because there is only one
//! writer.

use std::sync::Arc;

use autoreceive_domain::{Order, OrderId, Shard, Time, record};
use autoreceive_store::{
    Change, Commit, CommitResult, Lane, RetentionNote, Round, STALE_AFTER, Why, entry,
};
use rusqlite::{CachedStatement, Connection, params};

use super::outbox::{self, EntryRow};

/// A commit with its encoded texts.
pub(super) struct PreparedCommit {
    shard: Shard,
    decided: Time,
    round: Arc<Round>,
    /// The record of each change; `None` if the change removes the order.
    records: Vec<Option<String>>,
    /// The text of each entry; `None` without events.
    entries: Vec<Option<String>>,
    /// The changes of the counts.
    counts: Vec<(String, i64)>,
}

impl PreparedCommit {
    /// Drops the read token: the only writer checks all versions.
    pub fn new(commit: Commit) -> PreparedCommit {
        let round = commit.round;
        let records = round
            .changes
            .iter()
            .map(|change| change.order.as_deref().map(record::encode))
            .collect();
        let text = |events| Some(entry::encode(None, events)).filter(|text| !text.is_empty());
        let entries =
            round.entries.iter().map(|entry| text(entry.events.of(&round.changes))).collect();
        let counts = round.tally();
        PreparedCommit { shard: commit.shard, decided: commit.now, round, records, entries, counts }
    }

    /// Writes everything or nothing.
    pub fn write(&self, connection: &Connection, now: Time) -> rusqlite::Result<CommitResult> {
        if is_stale(self.decided, now) {
            return Ok(CommitResult::Conflict { losers: Vec::new(), why: Why::Stale });
        }
        let losers = self.write_orders(connection)?;
        if !losers.is_empty() {
            return Ok(CommitResult::Conflict { losers, why: Why::Version });
        }
        self.write_entries(connection)?;
        self.write_counts(connection)?;
        self.write_notes(connection)?;
        self.write_terms(connection)?;
        Ok(CommitResult::Committed)
    }

    /// Writes all changes, or none and returns the losers.
    ///
    /// Each write checks the version itself, because a separate check would cost a herd a second
    /// search for each order. Other commits share the transaction, so a savepoint undoes the writes
    /// before the first loser. A single change needs no savepoint: if it loses, it has written
    /// nothing.
    fn write_orders(&self, connection: &Connection) -> rusqlite::Result<Vec<OrderId>> {
        if self.round.changes.len() < 2 {
            return self.try_orders(connection);
        }
        let run = |sql| connection.prepare_cached(sql)?.execute([]);
        run("SAVEPOINT changes")?;
        let losers = self.try_orders(connection)?;
        if !losers.is_empty() {
            run("ROLLBACK TO changes")?;
        }
        run("RELEASE changes")?;
        Ok(losers)
    }

    /// Writes the changes with the expected version, and returns the losers.
    fn try_orders(&self, connection: &Connection) -> rusqlite::Result<Vec<OrderId>> {
        let mut statements = Statements::prepare(connection)?;
        let mut losers = Vec::new();
        for (change, record) in self.round.changes.iter().zip(&self.records) {
            let written = match change.order.as_deref().zip(record.as_deref()) {
                Some((order, record)) => {
                    statements.put(self.shard, order, record, expected(change))?
                }
                None => statements.remove(change.id.as_str(), expected(change))?,
            };
            if !written {
                losers.push(change.id.clone());
            }
        }
        Ok(losers)
    }

    fn write_entries(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (entry, text) in self.round.entries.iter().zip(&self.entries) {
            let Some(text) = text else { continue };
            let stored = EntryRow {
                action: entry.action.as_str(),
                lane: Lane::Pending,
                shard: self.shard,
                id: &entry.id,
                at: entry.at,
                text,
            };
            outbox::store(connection, &stored)?;
        }
        Ok(())
    }

    fn write_counts(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "INSERT INTO counts (name, count) VALUES (?, ?) ON CONFLICT DO UPDATE SET count \
            = count + excluded.count";
        let mut statement = connection.prepare_cached(sql)?;
        for (name, by) in &self.counts {
            statement.execute(params![name, by])?;
        }
        Ok(())
    }

    fn write_notes(&self, connection: &Connection) -> rusqlite::Result<()> {
        for note in &self.round.notes {
            let ids = self.members(note);
            if !ids.is_empty() {
                let mut statement = connection.prepare_cached(
                    "INSERT INTO retention (shard, look_at, ids) VALUES (?, ?, ?)",
                )?;
                statement.execute(params![self.shard, note.look_at.ms(), ids.join("\n")])?;
            }
        }
        for key in self.round.notes_done.iter().filter_map(|note| note.0.parse::<i64>().ok()) {
            connection.prepare_cached("DELETE FROM retention WHERE key = ?")?.execute([key])?;
        }
        Ok(())
    }

    fn members(&self, note: &RetentionNote) -> Vec<&str> {
        let changes =
            note.members.iter().filter_map(|&member| self.round.changes.get(member as usize));
        changes.map(|change| change.id.as_str()).collect()
    }

    /// Existing terms of a revision are kept: equal revisions mean equal terms.
    fn write_terms(&self, connection: &Connection) -> rusqlite::Result<()> {
        for policy in &self.round.policies {
            let mut statement = connection.prepare_cached(
                "INSERT INTO terms (revision, terms) VALUES (?, ?) ON CONFLICT DO NOTHING",
            )?;
            statement.execute(params![policy.revision.as_str(), policy.terms.to_string()])?;
        }
        Ok(())
    }
}

fn is_stale(decided: Time, now: Time) -> bool {
    now.since(decided) > STALE_AFTER || decided.since(now) > STALE_AFTER
}

/// No version reaches 2^63; a larger expected version matches nothing.
fn expected(change: &Change) -> i64 {
    i64::try_from(change.expected).unwrap_or(-1)
}

/// The statements for each order of a herd, prepared once. Each tells whether the order had the
/// expected version; version 0 means no order.
struct Statements<'c> {
    insert: CachedStatement<'c>,
    update: CachedStatement<'c>,
    delete: CachedStatement<'c>,
    find: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Statements<'c>> {
        let insert = "INSERT INTO orders (version, due_at, held_since, record, id, shard) VALUES \
            (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let update = "UPDATE orders SET version = ?, due_at = ?, held_since = ?, record = ? WHERE \
            id = ? AND version = ?";
        Ok(Statements {
            insert: connection.prepare_cached(insert)?,
            update: connection.prepare_cached(update)?,
            delete: connection.prepare_cached("DELETE FROM orders WHERE id = ? AND version = ?")?,
            find: connection.prepare_cached("SELECT 1 FROM orders WHERE id = ?")?,
        })
    }

    fn put(
        &mut self,
        shard: Shard,
        order: &Order,
        record: &str,
        expected: i64,
    ) -> rusqlite::Result<bool> {
        let id = order.id.as_str();
        let version = i64::try_from(order.version).unwrap_or(i64::MAX);
        let due_at = order.next_due_at().map(Time::ms);
        let held_since = order.held_since().map(Time::ms);
        let written = match expected {
            0 => self.insert.execute(params![version, due_at, held_since, record, id, shard])?,
            _ => self.update.execute(params![version, due_at, held_since, record, id, expected])?,
        };
        Ok(written == 1)
    }

    fn remove(&mut self, id: &str, expected: i64) -> rusqlite::Result<bool> {
        match expected {
            0 => self.find.exists([id]).map(|found| !found),
            _ => self.delete.execute(params![id, expected]).map(|removed| removed == 1),
        }
    }
}
