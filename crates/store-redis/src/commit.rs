//! A commit as the script wants it: ready-made columns in one msgpack text, in which each id and record stands once.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use autoreceive_domain::{Event, record};
use autoreceive_redis_connection::Failure;
use autoreceive_redis_connection::redis::{Pipeline, Value};

use super::pack::Pack;
use super::reply::number;
use super::{MAX_CHANGES, RedisStore};

use autoreceive_store::{ActionName, Change, Commit, Members, StoreError, Verdict, entry};

/// Changes in the order in which the script counts them, those with a record first.
pub(super) struct Columns<'a> {
    commit: &'a Commit,
    /// Position → index of the change.
    index: Vec<usize>,
    /// Index of the change → position.
    position: Vec<usize>,
    /// How many have a record.
    kept: usize,
}

/// What an entry or a note consists of: changes that stand next to each other, or a text of one change.
#[derive(PartialEq)]
pub(super) enum Piece {
    Range(usize, usize),
    Text(usize, String),
}

impl RedisStore {
    pub(super) async fn commit_all(&self, commits: Vec<Arc<Commit>>) -> Vec<Verdict> {
        let mut verdicts: Vec<Option<Verdict>> = commits.iter().map(|commit| too_large(commit)).collect();
        let mut calls = Pipeline::with_capacity(commits.len());
        let mut sent = Vec::with_capacity(commits.len());
        for (i, commit) in commits.iter().enumerate() {
            if verdicts[i].is_none() {
                verdicts[i] = self.commit_watched(commit).await;
            }
            if verdicts[i].is_none() {
                verdicts[i] = self.note_actions(commit).await.err().map(Verdict::Refused);
            }
            if verdicts[i].is_none() {
                let columns = Columns::new(commit);
                let (keys, places) = self.commit_keys(commit);
                let mut call = self.scripts.commit.call(&keys);
                call.arg(columns.pack(&places));
                calls.add_command(call);
                sent.push((i, columns.index));
            }
        }
        if sent.is_empty() {
            return finished(verdicts);
        }
        let (begun, largest) = (Instant::now(), sent.iter().map(|(_, index)| index.len()).max().unwrap_or(0));
        let answers = self.link.run(&self.scripts.commit, &calls).await;
        self.pace.answered(largest, begun.elapsed());
        for ((i, index), answer) in sent.into_iter().zip(answers) {
            verdicts[i] = Some(verdict(&index, answer));
        }
        finished(verdicts)
    }

    /// The keys of a commit, and where those of each action begin among them, counted from 1.
    fn commit_keys<'a>(&self, commit: &'a Commit) -> (Vec<String>, Vec<(&'a ActionName, usize)>) {
        let mut keys = self.keys.commit(commit.shard);
        let mut places: Vec<(&ActionName, usize)> = Vec::new();
        for entry in &commit.entries {
            if !places.iter().any(|(action, _)| **action == entry.action) {
                places.push((&entry.action, keys.len() + 1));
                keys.push(self.keys.out(commit.shard, &entry.action));
                keys.push(self.keys.outdata(commit.shard, &entry.action));
            }
        }
        (keys, places)
    }

    /// Notes the names of actions before their first entry is stored: the list of names lies in another slot.
    async fn note_actions(&self, commit: &Commit) -> Result<(), String> {
        for entry in &commit.entries {
            self.note_action(&entry.action).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    pub(super) async fn note_action(&self, action: &ActionName) -> Result<(), StoreError> {
        if self.is_noted(action) {
            return Ok(());
        }
        let mut pipe = Pipeline::new();
        pipe.cmd("SADD").arg(self.keys.actions()).arg(action.as_str());
        self.ask(&pipe).await.and_then(|mut replies| replies.integer())?;
        self.set_noted(action);
        Ok(())
    }
}

fn finished(verdicts: Vec<Option<Verdict>>) -> Vec<Verdict> {
    verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(|| Verdict::Unknown("no answer".to_owned()))).collect()
}

fn too_large(commit: &Commit) -> Option<Verdict> {
    let counts = [commit.changes.len(), commit.notes_done.len()];
    let largest = counts.into_iter().max().unwrap_or(0);
    (largest > MAX_CHANGES).then(|| Verdict::Refused(format!("a commit of {largest} parts; at most {MAX_CHANGES} are allowed")))
}

fn verdict(index: &[usize], answer: Result<Value, Failure>) -> Verdict {
    match answer {
        Ok(Value::Array(losers)) => {
            let change = |value: &Value| index.get(usize::try_from(number(value)?).ok()?.checked_sub(1)?);
            let mut losers: Vec<u32> = losers.iter().filter_map(change).map(|&i| i as u32).collect();
            losers.sort_unstable();
            Verdict::Done { losers }
        }
        Ok(other) => Verdict::Unknown(format!("Redis answered {other:?}")),
        Err(Failure::Unreachable(why) | Failure::Refused(why)) => Verdict::Refused(why.into()),
        Err(Failure::Unanswered(why)) => Verdict::Unknown(why.into()),
    }
}

impl<'a> Columns<'a> {
    pub(super) fn new(commit: &'a Commit) -> Columns<'a> {
        let changes = &commit.changes;
        let (mut index, gone): (Vec<usize>, Vec<usize>) = (0..changes.len()).partition(|&i| changes[i].order.is_some());
        let kept = index.len();
        index.extend(gone);
        let mut position = vec![0; index.len()];
        for (at, &i) in index.iter().enumerate() {
            position[i] = at;
        }
        Columns { commit, index, position, kept }
    }

    fn changes(&self) -> impl Iterator<Item = &'a Change> {
        self.index.iter().map(|&i| &self.commit.changes[i])
    }

    fn pack(&self, places: &[(&ActionName, usize)]) -> Vec<u8> {
        let mut pack = Pack::with_capacity(64 + self.index.len() * 160);
        pack.array(14);
        pack.number(self.commit.now.ms());
        self.pack_versions(&mut pack);
        self.pack_records(&mut pack);
        self.pack_wakes(&mut pack);
        self.pack_held(&mut pack);
        self.pack_tallies(&mut pack);
        self.pack_entries(&mut pack, places);
        self.pack_notes(&mut pack);
        pack.texts(&self.commit.notes_done);
        pack.array(self.commit.policies.len() * 2);
        for policy in &self.commit.policies {
            pack.text(policy.revision.as_str());
            pack.text(&policy.terms.to_string());
        }
        pack.into_bytes()
    }

    fn pack_versions(&self, pack: &mut Pack) {
        let mut prefix = String::new();
        pack.array(self.index.len());
        for change in self.changes() {
            prefix.clear();
            if change.expected > 0 {
                let _ = write!(prefix, "{}|", change.expected);
            }
            pack.text(&prefix);
        }
    }

    fn pack_records(&self, pack: &mut Pack) {
        pack.array(self.kept * 2);
        let mut text = String::with_capacity(256);
        for change in self.changes().take(self.kept) {
            pack.text(change.id.as_str());
            text.clear();
            change.order.iter().for_each(|order| record::write(&mut text, order));
            pack.text(&text);
        }
        pack.array(self.index.len() - self.kept);
        for change in self.changes().skip(self.kept) {
            pack.text(change.id.as_str());
        }
    }

    fn pack_wakes(&self, pack: &mut Pack) {
        let wake = |change: &Change| change.order.as_ref().and_then(|order| order.wake());
        if !self.changes().any(|change| wake(change).is_some()) {
            return pack.array(0);
        }
        pack.array(self.index.len());
        for change in self.changes() {
            pack.moment(wake(change));
        }
    }

    /// Only an order that was held once in its life can stand in the list of the held, for its record keeps released holds.
    fn pack_held(&self, pack: &mut Pack) {
        let once_held = || {
            let orders = self.changes().take(self.kept).enumerate();
            orders.filter_map(|(at, change)| change.order.as_ref().filter(|order| !order.holds.is_empty()).map(|order| (at, order)))
        };
        pack.array(once_held().count() * 2);
        for (at, order) in once_held() {
            pack.index(at);
            pack.moment(order.held_since());
        }
    }

    fn pack_tallies(&self, pack: &mut Pack) {
        let (tallies, which) = self.tallies();
        let sums = sums(&tallies, &which);
        pack.map(sums.len());
        for (count, by) in sums {
            pack.text(&count);
            pack.number(by);
        }
        pack.array(tallies.len());
        for tally in &tallies {
            pack.map(tally.len());
            for (count, by) in tally {
                pack.text(count);
                pack.number(*by);
            }
        }
        let all_alike = tallies.len() <= 1;
        pack.array(if all_alike { 0 } else { which.len() });
        for &tally in which.iter().filter(|_| !all_alike) {
            pack.index(tally);
        }
    }

    /// By how much all changes together move each count.
    pub(super) fn sums(&self) -> HashMap<String, i64> {
        let (tallies, which) = self.tallies();
        sums(&tallies, &which)
    }

    /// The different tallies, and which of them each change has.
    fn tallies(&self) -> (Vec<HashMap<String, i64>>, Vec<usize>) {
        let mut firsts: Vec<&Change> = Vec::new();
        let mut which = Vec::with_capacity(self.index.len());
        for change in self.changes() {
            // From the latest backwards, for changes that are alike mostly stand together.
            let known = firsts.iter().rposition(|first| counts_alike(first, change));
            which.push(known.unwrap_or(firsts.len()));
            if known.is_none() {
                firsts.push(change);
            }
        }
        let tally = |change: &&Change| {
            let mut tally: HashMap<String, i64> = HashMap::new();
            change.tally().into_iter().for_each(|(count, by)| *tally.entry(count).or_default() += by);
            tally
        };
        (firsts.iter().map(tally).collect(), which)
    }

    fn pack_entries(&self, pack: &mut Pack, places: &[(&ActionName, usize)]) {
        let mut texts: Vec<Vec<Piece>> = Vec::new();
        let mut entries = Vec::with_capacity(self.commit.entries.len());
        for entry in &self.commit.entries {
            let pieces = self.event_pieces(&entry.members);
            let text = texts.iter().position(|known| *known == pieces).unwrap_or(texts.len());
            if text == texts.len() {
                texts.push(pieces);
            }
            let place = places.iter().find(|(action, _)| **action == entry.action).map_or(0, |(_, place)| *place);
            entries.push((place, entry, text));
        }
        pack.array(texts.len());
        for pieces in &texts {
            pack_pieces(pack, pieces);
        }
        pack.array(entries.len() * 4);
        for (place, entry, text) in entries {
            pack.number(place as i64);
            pack.text(&entry.id);
            pack.moment(Some(entry.at));
            pack.index(text);
        }
    }

    pub(super) fn event_pieces(&self, members: &Members) -> Vec<Piece> {
        let mut pieces = Vec::new();
        match members {
            Members::All => {
                for (i, change) in self.commit.changes.iter().enumerate() {
                    for event in 0..change.events.len() {
                        self.add_event(&mut pieces, i, event);
                    }
                }
            }
            Members::Some(some) => some.iter().for_each(|&(i, event)| self.add_event(&mut pieces, i as usize, event as usize)),
        }
        pieces
    }

    /// The last event of a change shows the order as it is kept, so that the script can take it from the record.
    fn add_event(&self, pieces: &mut Vec<Piece>, i: usize, event: usize) {
        let Some((change, at)) = self.commit.changes.get(i).zip(self.position.get(i)) else { return };
        let Some(happened) = change.events.get(event) else { return };
        let is_kept = |order: &Arc<_>| Arc::ptr_eq(order, &happened.0) || **order == *happened.0;
        if event + 1 == change.events.len() && change.order.as_ref().is_some_and(is_kept) {
            add_range(pieces, *at);
        } else {
            pieces.push(Piece::Text(*at, entry::encode(None, [happened])));
        }
    }

    fn pack_notes(&self, pack: &mut Pack) {
        pack.array(self.commit.notes.len() * 2);
        for note in &self.commit.notes {
            let mut pieces = Vec::new();
            for at in note.members.iter().filter_map(|&i| self.position.get(i as usize)) {
                add_range(&mut pieces, *at);
            }
            pack.moment(Some(note.look_at));
            pack_pieces(pack, &pieces);
        }
    }
}

fn sums(tallies: &[HashMap<String, i64>], which: &[usize]) -> HashMap<String, i64> {
    let mut times = vec![0; tallies.len()];
    which.iter().for_each(|&tally| times[tally] += 1);
    let mut sums: HashMap<String, i64> = HashMap::new();
    for (tally, times) in tallies.iter().zip(times) {
        for (count, by) in tally {
            *sums.entry(count.clone()).or_default() += by * times;
        }
    }
    sums
}

/// Whether two changes move the same counts by the same: most changes of a commit do.
fn counts_alike(one: &Change, other: &Change) -> bool {
    let is = |change: &Change| change.order.as_ref().filter(|order| !order.is_resting()).map(|order| order.status);
    let event = |event: &Event| (event.kind(), event.cause());
    one.was == other.was && is(one) == is(other) && one.events.iter().map(event).eq(other.events.iter().map(event))
}

fn add_range(pieces: &mut Vec<Piece>, at: usize) {
    match pieces.last_mut() {
        Some(Piece::Range(_, last)) if *last + 1 == at => *last = at,
        _ => pieces.push(Piece::Range(at, at)),
    }
}

fn pack_pieces(pack: &mut Pack, pieces: &[Piece]) {
    pack.array(pieces.len() * 2);
    for piece in pieces {
        match piece {
            Piece::Range(first, last) => {
                pack.index(*first);
                pack.index(*last);
            }
            Piece::Text(at, text) => {
                pack.index(*at);
                pack.text(text);
            }
        }
    }
}
