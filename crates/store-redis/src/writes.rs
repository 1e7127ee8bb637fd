//! The Redis commands of a commit. The script and the transaction send the same list, so a commit
//! has one meaning.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use autoreceive_domain::{Order, Shard, record};
use autoreceive_redis_connection::redis::Cmd;

use super::keys::KeyNames;
use autoreceive_store::{Change, EventSelection, RetentionNote, Round, entry};

/// The commands of a commit.
pub(super) struct Writes {
    pub(super) list: Vec<Write>,
    /// Every key that is written, and those that the script reads: orders, clock and counts first.
    pub(super) keys: Vec<String>,
    /// The names of the counts that change.
    pub(super) counts: Vec<String>,
}

/// One command.
#[derive(Clone)]
pub(super) struct Write {
    pub(super) kind: WriteKind,
    pub(super) command: Cmd,
    key: String,
}

/// The kind of data that a command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteKind {
    /// RecordTexts.
    Orders,
    /// Due times.
    Due,
    /// The index of held orders.
    Held,
    /// Counts.
    Counts,
    /// Data that stays valid if the orders change later: entries, notes, terms.
    Facts,
}

impl Writes {
    /// All commands of a round.
    pub(super) fn of(keys: &KeyNames, shard: Shard, round: &Round) -> Writes {
        let changes: Vec<&Change> = round.changes.iter().collect();
        let records = RecordTexts::of(&changes);
        let mut writes = Writes::none(keys, shard);
        writes.orders(keys.orders(shard), &changes, &records);
        writes.due(keys.due(shard), &changes);
        writes.held(keys.held(shard), &changes);
        writes.counts(keys.counts(shard), round);
        writes.entries(keys, shard, round, &records);
        writes.notes(keys.retention(shard), round);
        for policy in &round.policies {
            let set = writes.add(WriteKind::Facts, "HSETNX", keys.terms(shard));
            set.arg(policy.revision.as_str()).arg(policy.terms.to_string());
        }
        writes
    }

    /// The commands of some kinds for some changes, without facts.
    pub(super) fn of_orders(
        keys: &KeyNames,
        shard: Shard,
        changes: &[&Change],
        kinds: &[WriteKind],
    ) -> Writes {
        let mut writes = Writes::none(keys, shard);
        writes.orders(keys.orders(shard), changes, &RecordTexts::of(changes));
        writes.due(keys.due(shard), changes);
        writes.held(keys.held(shard), changes);
        writes.list.retain(|write| kinds.contains(&write.kind));
        writes
    }

    fn none(keys: &KeyNames, shard: Shard) -> Writes {
        let keys = vec![keys.orders(shard), keys.clock(shard), keys.counts(shard)];
        Writes { list: Vec::with_capacity(10), keys, counts: Vec::new() }
    }

    /// Adds a command of another list.
    pub(super) fn again(&mut self, write: &Write) {
        if !self.keys.contains(&write.key) {
            self.keys.push(write.key.clone());
        }
        self.list.push(write.clone());
    }

    fn add(&mut self, kind: WriteKind, command: &str, key: String) -> &mut Cmd {
        self.add_large(kind, command, key, 0, 0)
    }

    /// The same, with capacity for `args` arguments of `bytes` bytes in all.
    fn add_large(
        &mut self,
        kind: WriteKind,
        name: &str,
        key: String,
        args: usize,
        bytes: usize,
    ) -> &mut Cmd {
        let mut command = Cmd::with_capacity(2 + args, name.len() + key.len() + bytes);
        command.arg(name).arg(&key);
        if !self.keys.contains(&key) {
            self.keys.push(key.clone());
        }
        let index = self.list.len();
        self.list.push(Write { kind, command, key });
        &mut self.list[index].command
    }

    fn orders(&mut self, key: String, changes: &[&Change], records: &RecordTexts) {
        let kept = changes.iter().filter(|change| change.order.is_some()).count();
        if kept > 0 {
            let bytes = records.text.len();
            let set = self.add_large(WriteKind::Orders, "HSET", key.clone(), 2 * kept, bytes);
            for (i, change) in changes.iter().enumerate().filter(|(_, c)| c.order.is_some()) {
                set.arg(change.id.as_str()).arg(records.record(i));
            }
        }
        let removed = changes.iter().filter(|change| change.order.is_none());
        self.remove(WriteKind::Orders, "HDEL", key, removed.map(|change| change.id.as_str()));
    }

    fn due(&mut self, key: String, changes: &[&Change]) {
        let due = |change: &Change| change.order.as_ref().and_then(|order| order.next_due_at());
        let mut timed = changes.iter().filter_map(|change| Some((due(change)?, change))).peekable();
        if timed.peek().is_some() {
            let add = self.add(WriteKind::Due, "ZADD", key.clone());
            for (at, change) in timed {
                add.arg(at.ms()).arg(change.id.as_str());
            }
        }
        let idle = changes.iter().filter(|change| due(change).is_none());
        self.remove(WriteKind::Due, "ZREM", key, idle.map(|change| change.id.as_str()));
    }

    /// Only orders with a hold in their record can be in the index of held orders; released holds
    /// stay in the record.
    fn held(&mut self, key: String, changes: &[&Change]) {
        let since = |order: &Order| order.held_since();
        for change in changes {
            if let Some(at) = change.order.as_deref().and_then(since) {
                self.add(WriteKind::Held, "ZADD", key.clone()).arg(at.ms()).arg(change.id.as_str());
            }
        }
        let released = |change: &&&Change| match &change.order {
            Some(order) => !order.holds.is_empty() && since(order).is_none(),
            None => true,
        };
        let released = changes.iter().filter(released).map(|change| change.id.as_str());
        self.remove(WriteKind::Held, "ZREM", key, released);
    }

    /// One command for all members, or none without members.
    fn remove<'a>(
        &mut self,
        kind: WriteKind,
        command: &str,
        key: String,
        members: impl Iterator<Item = &'a str>,
    ) {
        let mut members = members.peekable();
        if members.peek().is_some() {
            let remove = self.add(kind, command, key);
            for member in members {
                remove.arg(member);
            }
        }
    }

    fn counts(&mut self, key: String, round: &Round) {
        for (count, by) in round.tally() {
            self.add(WriteKind::Counts, "HINCRBY", key.clone()).arg(&count).arg(by);
            self.counts.push(count);
        }
    }

    fn entries(&mut self, keys: &KeyNames, shard: Shard, round: &Round, records: &RecordTexts) {
        // Most entries of a commit have the same events, each for another action.
        let mut texts: Vec<(&EventSelection, Cow<'_, str>)> = Vec::new();
        for entry in &round.entries {
            let known = texts.iter().position(|(events, _)| **events == entry.events);
            let index = known.unwrap_or(texts.len());
            if known.is_none() {
                texts.push((&entry.events, records.events(&entry.events, &round.changes)));
            }
            let text = &*texts[index].1;
            if !text.is_empty() {
                let key = keys.outdata(shard, &entry.action);
                self.add_large(WriteKind::Facts, "HSET", key, 2, text.len())
                    .arg(&entry.id)
                    .arg(text);
                let key = keys.out(shard, &entry.action);
                self.add(WriteKind::Facts, "ZADD", key).arg(entry.at.ms()).arg(&entry.id);
            }
        }
    }

    fn notes(&mut self, key: String, round: &Round) {
        for note in &round.notes {
            let ids = members(note, &round.changes);
            if !ids.is_empty() {
                self.add(WriteKind::Facts, "ZADD", key.clone()).arg(note.look_at.ms()).arg(ids);
            }
        }
        let done = round.notes_done.iter().map(|note| &*note.0);
        self.remove(WriteKind::Facts, "ZREM", key, done);
    }
}

/// The order ids of a note, one a line.
fn members(note: &RetentionNote, changes: &[Change]) -> String {
    let ids = note.members.iter().filter_map(|&i| Some(changes.get(i as usize)?.id.as_str()));
    ids.collect::<Vec<_>>().join("\n")
}

/// The records of changes in entry format: an id and its record, one line each. Encoded once for
/// the orders and the entries.
struct RecordTexts {
    text: String,
    /// For each change: the range of its id and record, and the start of the record.
    ranges: Vec<(Range<usize>, usize)>,
}

impl RecordTexts {
    fn of(changes: &[&Change]) -> RecordTexts {
        let text = String::with_capacity(changes.len() * 160);
        let mut records = RecordTexts { text, ranges: Vec::with_capacity(changes.len()) };
        for change in changes {
            let begin = records.text.len();
            records.text.push_str(change.id.as_str());
            records.text.push('\n');
            let record = records.text.len();
            if let Some(order) = &change.order {
                record::write(&mut records.text, order);
            }
            records.ranges.push((begin..records.text.len(), record));
            records.text.push('\n');
        }
        records
    }

    fn record(&self, i: usize) -> &str {
        self.ranges.get(i).map_or("", |(range, record)| &self.text[*record..range.end])
    }

    /// The text of an entry. A change's last event equals its order, so its text is already here.
    fn events<'a>(&'a self, events: &EventSelection, changes: &[Change]) -> Cow<'a, str> {
        let is_plain = |change: &Change| match (&change.order, &*change.events) {
            (Some(order), [event]) => Arc::ptr_eq(order, &event.0) || **order == *event.0,
            _ => false,
        };
        if *events == EventSelection::All && changes.iter().all(is_plain) {
            return Cow::Borrowed(self.text.strip_suffix('\n').unwrap_or(&self.text));
        }
        let events: Vec<_> = events.of(changes).collect();
        if events.is_empty() {
            return Cow::Borrowed("");
        }
        Cow::Owned(entry::encode(None, events))
    }
}
