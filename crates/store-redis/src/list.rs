//! Lists of orders, and of entries, over all shards, by time and, within the same millisecond, by
//! id.

use std::sync::Arc;

use autoreceive_domain::{OrderId, Shard, Time};
use autoreceive_redis_connection::redis::{Pipeline, Value};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::reply::{order, text};
use super::{RedisStore, by_shard};
use autoreceive_store::{NoteRef, Page, Row, StoreError, View};

/// A line of a list, in the order of lists.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) at: Time,
    pub(super) id: String,
    pub(super) shard: Shard,
}

/// After which time and id a page begins.
pub(super) type After = (Time, String);

/// The sorted set of each shard that a list is made of.
type Key<'a> = dyn Fn(Shard) -> String + Sync + 'a;

impl RedisStore {
    pub(super) async fn page_of(
        &self,
        view: View,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError> {
        match view {
            View::Upcoming | View::Overdue | View::Held => {
                self.page_by_time(view, cursor, limit).await
            }
            View::Resting => match cursor {
                Some(cursor) => Err(StoreError::wrong_cursor(cursor)),
                None => self.resting(limit).await,
            },
            View::All => self.scan(cursor, limit).await,
            other => Err(StoreError::Unavailable(format!("Redis has no list of {other} orders"))),
        }
    }

    async fn page_by_time(
        &self,
        view: View,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError> {
        let list = view.to_string();
        let after = cursor.map(|cursor| read_cursor(&list, cursor)).transpose()?;
        let now = self.ask_now().await?;
        let from = (view == View::Upcoming).then_some(now);
        let key = |shard| match view {
            View::Held => self.keys.held(shard),
            _ => self.keys.due(shard),
        };
        let mut lines = self.lines_after(&key, from, after.as_ref(), limit).await?;
        lines.retain(|line| match view {
            View::Upcoming => line.at > now,
            View::Overdue => line.at <= now,
            _ => true,
        });
        let more = lines.len() > limit;
        lines.truncate(limit);
        let cursor = lines.last().filter(|_| more).map(|last| write_cursor(&list, last));
        Ok(Page::new(now, self.rows(lines).await?, cursor))
    }

    /// The first lines of a list beyond the instant `from`, or beyond `after`: more than `limit`,
    /// where there are more.
    pub(super) async fn lines_after(
        &self,
        key: &Key<'_>,
        from: Option<Time>,
        after: Option<&After>,
        limit: usize,
    ) -> Result<Vec<Line>, StoreError> {
        let starts = self.starts(key, from, after).await?;
        let mut lines = self.lines(key, &starts, limit).await?;
        lines.retain(|line| after.is_none_or(|(at, id)| (line.at, &line.id) > (*at, id)));
        lines.sort_unstable();
        Ok(lines)
    }

    /// At which rank the page begins in each shard.
    async fn starts(
        &self,
        key: &Key<'_>,
        from: Option<Time>,
        after: Option<&After>,
    ) -> Result<Vec<u64>, StoreError> {
        let (first, beyond) = match (after, from) {
            (Some((at, _)), _) => (format!("({}", at.ms()), at.ms().to_string()),
            (None, Some(from)) => (from.ms().to_string(), from.ms().to_string()),
            (None, None) => return Ok(vec![0; self.shards.get().into()]),
        };
        let mut pipe = Pipeline::with_capacity(2 * usize::from(self.shards.get()));
        for shard in self.shards.all() {
            pipe.cmd("ZCOUNT").arg(key(shard)).arg("-inf").arg(&first);
            pipe.cmd("ZCOUNT").arg(key(shard)).arg("-inf").arg(&beyond);
        }
        let mut replies = self.ask(&pipe).await?;
        let mut ranks = Vec::with_capacity(self.shards.get().into());
        for _ in self.shards.all() {
            ranks.push((replies.count()?, replies.count()?));
        }
        if let Some((_, id)) = after {
            self.narrow(key, &mut ranks, id).await?;
        }
        Ok(ranks.into_iter().map(|(low, _)| low).collect())
    }

    /// Among entries of the same millisecond, which Redis keeps in the order of their ids, finds
    /// the first beyond `id` by halving: a herd of a million falls due in one millisecond, and a
    /// page of it should cost no more than another.
    async fn narrow(
        &self,
        key: &Key<'_>,
        ranks: &mut [(u64, u64)],
        id: &str,
    ) -> Result<(), StoreError> {
        loop {
            let mut pipe = Pipeline::new();
            let open = (0..ranks.len()).filter(|&shard| ranks[shard].0 < ranks[shard].1);
            let open: Vec<usize> = open.collect();
            for &shard in &open {
                let middle = ranks[shard].0.midpoint(ranks[shard].1);
                pipe.cmd("ZRANGE").arg(key(shard as Shard)).arg(middle).arg(middle);
            }
            if open.is_empty() {
                return Ok(());
            }
            let mut replies = self.ask(&pipe).await?;
            for shard in open {
                let (low, high) = ranks[shard];
                let middle = low.midpoint(high);
                let before = replies.texts()?.first().is_some_and(|member| member.as_str() <= id);
                ranks[shard] = if before { (middle + 1, high) } else { (low, middle) };
            }
        }
    }

    /// From each shard as many lines as the whole page can take, and one more.
    async fn lines(
        &self,
        key: &Key<'_>,
        starts: &[u64],
        limit: usize,
    ) -> Result<Vec<Line>, StoreError> {
        let mut pipe = Pipeline::with_capacity(starts.len());
        for (shard, start) in starts.iter().enumerate() {
            let end = start.saturating_add(limit as u64);
            let range = pipe.cmd("ZRANGE").arg(key(shard as Shard)).arg(*start).arg(end);
            range.arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let mut lines = Vec::new();
        for shard in self.shards.all() {
            let scored = replies.scored()?.into_iter();
            lines.extend(scored.map(|(id, at)| Line { at, id, shard }));
        }
        Ok(lines)
    }

    async fn rows(&self, lines: Vec<Line>) -> Result<Vec<Row>, StoreError> {
        let ids = lines.into_iter().filter_map(|line| Some((line.at, line.id.parse().ok()?)));
        let (times, ids): (Vec<Time>, Vec<OrderId>) = ids.unzip();
        let slots = self.load_all(&ids).await;
        let mut rows = Vec::with_capacity(ids.len());
        for ((id, at), slot) in ids.into_iter().zip(times).zip(slots) {
            rows.push(Row::new(self.shards.of(&id), id, at, slot?.value));
        }
        Ok(rows)
    }

    /// Notes whose time has come, shared out over the shards.
    async fn resting(&self, limit: usize) -> Result<Page<Row>, StoreError> {
        let ready = self.ready(|shard| self.keys.retention(shard), limit).await?;
        let takes = ready.takes;
        let mut pipe = Pipeline::with_capacity(takes.len());
        for (shard, take) in &takes {
            let key = self.keys.retention(*shard);
            pipe.cmd("ZRANGE").arg(key).arg(0).arg(take.saturating_sub(1)).arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let mut notes = Vec::new();
        for (shard, _) in takes {
            let scored = replies.scored()?.into_iter();
            notes.extend(scored.map(|(id, at)| Line { at, id, shard }));
        }
        notes.sort_unstable();
        Ok(Page::new(ready.now, self.noted(notes).await?, None))
    }

    /// Every order of every note.
    async fn noted(&self, notes: Vec<Line>) -> Result<Vec<Row>, StoreError> {
        let ids_of = |note: &Line| -> Vec<OrderId> {
            note.id.split('\n').filter_map(|id| id.parse().ok()).collect()
        };
        let ids: Vec<Vec<OrderId>> = notes.iter().map(ids_of).collect();
        let mut pipe = Pipeline::with_capacity(notes.len());
        for (note, ids) in notes.iter().zip(&ids).filter(|(_, ids)| !ids.is_empty()) {
            pipe.add_command(self.records(note.shard, ids.iter()));
        }
        let mut replies = self.ask(&pipe).await?;
        let mut rows = Vec::new();
        for (note, ids) in notes.into_iter().zip(ids).filter(|(_, ids)| !ids.is_empty()) {
            let name = NoteRef(Arc::from(note.id));
            for (id, record) in ids.into_iter().zip(replies.list()?) {
                let slot = order(&id, &record);
                let mut row = Row::new(note.shard, id, note.at, slot);
                row.note = Some(name.clone());
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The lines with what a hash of each shard has under their ids, in their order.
    pub(super) async fn with_texts(
        &self,
        key: &Key<'_>,
        lines: Vec<Line>,
    ) -> Result<Vec<(Line, Option<String>)>, StoreError> {
        let shards = by_shard(lines.iter().map(|line| line.shard));
        let mut pipe = Pipeline::with_capacity(shards.len());
        for (shard, places) in &shards {
            let get = pipe.cmd("HMGET").arg(key(*shard));
            for &place in places {
                get.arg(&lines[place].id);
            }
        }
        let mut replies = self.ask(&pipe).await?;
        let mut texts: Vec<Option<String>> = vec![None; lines.len()];
        for places in shards.values() {
            for (&place, found) in places.iter().zip(replies.list()?) {
                texts[place] = match found {
                    Value::Nil => None,
                    found => text(found),
                };
            }
        }
        Ok(lines.into_iter().zip(texts).collect())
    }
}

pub(super) fn write_cursor(list: &str, line: &Line) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{list} {} {}", line.at.ms(), line.id))
}

pub(super) fn read_cursor(list: &str, cursor: &str) -> Result<After, StoreError> {
    let read = || -> Option<After> {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (at, id) = text.strip_prefix(list)?.strip_prefix(' ')?.split_once(' ')?;
        Some((Time::from_ms(at.parse().ok()?), id.to_owned()))
    };
    read().ok_or_else(|| StoreError::wrong_cursor(cursor))
}
