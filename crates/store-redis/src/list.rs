//! Lists of orders and of entries over all shards, sorted by time and, within a millisecond, by id.

use std::sync::Arc;

use autoreceive_domain::{OrderId, Shard, Time};
use autoreceive_redis_connection::redis::{Pipeline, Value};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::reply::{order, text};
use super::{RedisStore, by_shard};
use autoreceive_store::{NoteRef, Page, Row, StoreError, View};

/// An item of a list, with the list's sort order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListItem {
    pub(super) at: Time,
    pub(super) id: String,
    pub(super) shard: Shard,
}

/// The time and id after which a page begins.
pub(super) type PageStart = (Time, String);

/// The key of a list's sorted set in each shard.
type KeyOf<'a> = dyn Fn(Shard) -> String + Sync + 'a;

impl RedisStore {
    pub(super) async fn list_page(
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
        let now = self.read_now().await?;
        let from = (view == View::Upcoming).then_some(now);
        let key = |shard| match view {
            View::Held => self.keys.held(shard),
            _ => self.keys.due(shard),
        };
        let mut items = self.items_after(&key, from, after.as_ref(), limit).await?;
        items.retain(|item| match view {
            View::Upcoming => item.at > now,
            View::Overdue => item.at <= now,
            _ => true,
        });
        let more = items.len() > limit;
        items.truncate(limit);
        let cursor = items.last().filter(|_| more).map(|last| write_cursor(&list, last));
        Ok(Page::new(now, self.rows(items).await?, cursor))
    }

    /// The first items of a list after the time `from` or after the position `after`. Returns more
    /// than `limit` if there are more.
    pub(super) async fn items_after(
        &self,
        key: &KeyOf<'_>,
        from: Option<Time>,
        after: Option<&PageStart>,
        limit: usize,
    ) -> Result<Vec<ListItem>, StoreError> {
        let starts = self.starts(key, from, after).await?;
        let mut items = self.items(key, &starts, limit).await?;
        items.retain(|item| after.is_none_or(|(at, id)| (item.at, &item.id) > (*at, id)));
        items.sort_unstable();
        Ok(items)
    }

    /// The rank at which the page begins in each shard.
    async fn starts(
        &self,
        key: &KeyOf<'_>,
        from: Option<Time>,
        after: Option<&PageStart>,
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

    /// Finds the first item after `id` within one millisecond by binary search; Redis sorts equal
    /// scores by member. A million orders may be due in the same millisecond, and a page of them
    /// must cost no more than another page.
    async fn narrow(
        &self,
        key: &KeyOf<'_>,
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

    /// From each shard enough items for the whole page, and one more.
    async fn items(
        &self,
        key: &KeyOf<'_>,
        starts: &[u64],
        limit: usize,
    ) -> Result<Vec<ListItem>, StoreError> {
        let mut pipe = Pipeline::with_capacity(starts.len());
        for (shard, start) in starts.iter().enumerate() {
            let end = start.saturating_add(limit as u64);
            let range = pipe.cmd("ZRANGE").arg(key(shard as Shard)).arg(*start).arg(end);
            range.arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let mut items = Vec::new();
        for shard in self.shards.all() {
            let scored = replies.scored()?.into_iter();
            items.extend(scored.map(|(id, at)| ListItem { at, id, shard }));
        }
        Ok(items)
    }

    async fn rows(&self, items: Vec<ListItem>) -> Result<Vec<Row>, StoreError> {
        let ids = items.into_iter().filter_map(|item| Some((item.at, item.id.parse().ok()?)));
        let (times, ids): (Vec<Time>, Vec<OrderId>) = ids.unzip();
        let slots = self.load_all(&ids).await;
        let mut rows = Vec::with_capacity(ids.len());
        for ((id, at), slot) in ids.into_iter().zip(times).zip(slots) {
            rows.push(Row::new(self.shards.of(&id), id, at, slot?.value));
        }
        Ok(rows)
    }

    /// Due retention notes, distributed over the shards.
    async fn resting(&self, limit: usize) -> Result<Page<Row>, StoreError> {
        let ready = self.due_entries(|shard| self.keys.retention(shard), limit).await?;
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
            notes.extend(scored.map(|(id, at)| ListItem { at, id, shard }));
        }
        notes.sort_unstable();
        Ok(Page::new(ready.now, self.noted(notes).await?, None))
    }

    /// All orders of all notes.
    async fn noted(&self, notes: Vec<ListItem>) -> Result<Vec<Row>, StoreError> {
        let ids_of = |note: &ListItem| -> Vec<OrderId> {
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

    /// The items with their texts from a hash of each shard, in the same order.
    pub(super) async fn with_texts(
        &self,
        key: &KeyOf<'_>,
        items: Vec<ListItem>,
    ) -> Result<Vec<(ListItem, Option<String>)>, StoreError> {
        let shards = by_shard(items.iter().map(|item| item.shard));
        let mut pipe = Pipeline::with_capacity(shards.len());
        for (shard, indexes) in &shards {
            let get = pipe.cmd("HMGET").arg(key(*shard));
            for &index in indexes {
                get.arg(&items[index].id);
            }
        }
        let mut replies = self.ask(&pipe).await?;
        let mut texts: Vec<Option<String>> = vec![None; items.len()];
        for indexes in shards.values() {
            for (&index, found) in indexes.iter().zip(replies.list()?) {
                texts[index] = match found {
                    Value::Nil => None,
                    found => text(found),
                };
            }
        }
        Ok(items.into_iter().zip(texts).collect())
    }
}

pub(super) fn write_cursor(list: &str, item: &ListItem) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{list} {} {}", item.at.ms(), item.id))
}

pub(super) fn read_cursor(list: &str, cursor: &str) -> Result<PageStart, StoreError> {
    let read = || -> Option<PageStart> {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (at, id) = text.strip_prefix(list)?.strip_prefix(' ')?.split_once(' ')?;
        Some((Time::from_ms(at.parse().ok()?), id.to_owned()))
    };
    read().ok_or_else(|| StoreError::wrong_cursor(cursor))
}
