//! Writing what was decided. As much as possible is prepared before the writer's turn comes, because there is one writer.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoreceive_domain::{Event, Order, Time, record};
use rusqlite::{CachedStatement, Connection, params};

use autoreceive_store::{Change, Commit, Members, NewEntry, RestNote, STALE_AFTER, Shard, entry};

/// A commit with its texts.
pub(super) struct Prepared {
    commit: Arc<Commit>,
    /// The record of each change that leaves one.
    records: Vec<Option<String>>,
    /// The text of each entry, as long as no change loses.
    entries: Vec<Option<String>>,
    /// By how much all changes together move the counts.
    counts: BTreeMap<String, i64>,
}

impl Prepared {
    pub fn new(commit: Arc<Commit>) -> Prepared {
        let records = commit.changes.iter().map(|change| change.order.as_deref().map(record::encode)).collect();
        let entries = commit.entries.iter().map(|entry| entry_text(&commit, entry, &[])).collect();
        let mut counts = BTreeMap::new();
        for change in &commit.changes {
            add_tally(&mut counts, change, 1);
        }
        Prepared { commit, records, entries, counts }
    }

    /// Writes all that belongs to changes whose orders have the expected version, and returns the others.
    pub fn write(&self, connection: &Connection, now: Time) -> rusqlite::Result<Vec<u32>> {
        if is_stale(self.commit.now, now) {
            return Ok((0..).zip(&self.commit.changes).map(|(index, _)| index).collect());
        }
        let losers = self.write_orders(connection)?;
        self.write_entries(connection, &losers)?;
        self.write_counts(connection, &losers)?;
        for note in &self.commit.notes {
            self.write_note(connection, note, &losers)?;
        }
        self.remove_notes(connection)?;
        self.write_terms(connection)?;
        Ok(losers)
    }

    /// Whose order had another version than the expected one.
    fn write_orders(&self, connection: &Connection) -> rusqlite::Result<Vec<u32>> {
        let mut statements = Statements::prepare(connection)?;
        let mut losers = Vec::new();
        for ((index, change), record) in (0..).zip(&self.commit.changes).zip(&self.records) {
            let written = match change.order.as_deref().zip(record.as_deref()) {
                Some((order, record)) => statements.put(self.commit.shard, order, record, expected(change))?,
                None => statements.remove(change.id.as_str(), expected(change))?,
            };
            if !written {
                losers.push(index);
            }
        }
        Ok(losers)
    }

    fn write_entries(&self, connection: &Connection, losers: &[u32]) -> rusqlite::Result<()> {
        for (entry, text) in self.commit.entries.iter().zip(&self.entries) {
            let again = if losers.is_empty() { None } else { entry_text(&self.commit, entry, losers) };
            let text = if losers.is_empty() { text } else { &again };
            if let Some(text) = text {
                super::outbox::add(connection, self.commit.shard, entry, text)?;
            }
        }
        Ok(())
    }

    fn write_counts(&self, connection: &Connection, losers: &[u32]) -> rusqlite::Result<()> {
        let mut counts = self.counts.clone();
        for change in losers.iter().filter_map(|&loser| self.commit.changes.get(loser as usize)) {
            add_tally(&mut counts, change, -1);
        }
        let sql = "INSERT INTO counts (name, count) VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count";
        let mut statement = connection.prepare_cached(sql)?;
        for (name, by) in counts.iter().filter(|(_, by)| **by != 0) {
            statement.execute(params![name, by])?;
        }
        Ok(())
    }

    fn write_note(&self, connection: &Connection, note: &RestNote, losers: &[u32]) -> rusqlite::Result<()> {
        let members = note.members.iter().filter(|member| !losers.contains(member));
        let ids: Vec<&str> = members.filter_map(|&member| Some(self.commit.changes.get(member as usize)?.id.as_str())).collect();
        if !ids.is_empty() {
            let mut statement = connection.prepare_cached("INSERT INTO notes (shard, look_at, ids) VALUES (?, ?, ?)")?;
            statement.execute(params![self.commit.shard, note.look_at.ms(), ids.join("\n")])?;
        }
        Ok(())
    }

    fn remove_notes(&self, connection: &Connection) -> rusqlite::Result<()> {
        for key in self.commit.notes_done.iter().filter_map(|note| note.parse::<i64>().ok()) {
            connection.prepare_cached("DELETE FROM notes WHERE key = ?")?.execute([key])?;
        }
        Ok(())
    }

    /// The first terms under a revision stand: equal revisions mean equal terms.
    fn write_terms(&self, connection: &Connection) -> rusqlite::Result<()> {
        for policy in &self.commit.policies {
            let mut statement = connection.prepare_cached("INSERT INTO terms (revision, terms) VALUES (?, ?) ON CONFLICT DO NOTHING")?;
            statement.execute(params![policy.revision.as_str(), policy.terms.to_string()])?;
        }
        Ok(())
    }
}

fn is_stale(decided: Time, now: Time) -> bool {
    now.since(decided) > STALE_AFTER || decided.since(now) > STALE_AFTER
}

/// No version reaches 2^63; one that is asked for there matches nothing.
fn expected(change: &Change) -> i64 {
    i64::try_from(change.expected).unwrap_or(-1)
}

/// What is carried out for every order of a herd, and so is not looked up for each. All of it says whether the order had the
/// expected version, 0 where there is none.
struct Statements<'c> {
    insert: CachedStatement<'c>,
    update: CachedStatement<'c>,
    delete: CachedStatement<'c>,
    find: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Statements<'c>> {
        let insert = "INSERT INTO orders (version, wake, held, record, id, shard) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let update = "UPDATE orders SET version = ?, wake = ?, held = ?, record = ? WHERE id = ? AND version = ?";
        Ok(Statements {
            insert: connection.prepare_cached(insert)?,
            update: connection.prepare_cached(update)?,
            delete: connection.prepare_cached("DELETE FROM orders WHERE id = ? AND version = ?")?,
            find: connection.prepare_cached("SELECT 1 FROM orders WHERE id = ?")?,
        })
    }

    fn put(&mut self, shard: Shard, order: &Order, record: &str, expected: i64) -> rusqlite::Result<bool> {
        let (id, version) = (order.id.as_str(), i64::try_from(order.version).unwrap_or(i64::MAX));
        let (wake, held) = (order.wake().map(Time::ms), order.held_since().map(Time::ms));
        let written = match expected {
            0 => self.insert.execute(params![version, wake, held, record, id, shard])?,
            _ => self.update.execute(params![version, wake, held, record, id, expected])?,
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

/// The entry's text without the events of `losers`; nothing where none is left.
fn entry_text(commit: &Commit, entry: &NewEntry, losers: &[u32]) -> Option<String> {
    let events: Vec<&Event> = match &entry.members {
        Members::All => {
            let winners = (0..).zip(&commit.changes).filter(|(index, _)| !losers.contains(index));
            winners.flat_map(|(_, change)| &change.events).collect()
        }
        Members::Some(members) => {
            let winners = members.iter().filter(|(change, _)| !losers.contains(change));
            winners.filter_map(|&(change, event)| commit.changes.get(change as usize)?.events.get(event as usize)).collect()
        }
    };
    if events.is_empty() { None } else { Some(entry::encode(None, events)) }
}

fn add_tally(counts: &mut BTreeMap<String, i64>, change: &Change, times: i64) {
    for (name, by) in change.tally() {
        *counts.entry(name).or_default() += by * times;
    }
}
