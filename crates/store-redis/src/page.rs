//! Pages of orders, and of dead letters, over all shards, by time and, within the same millisecond, by id.

use autoreceive_domain::{OrderId, Time};
use autoreceive_redis_connection::redis::Pipeline;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::RedisStore;
use autoreceive_store::{Item, Page, Shard, Store, StoreError, View};

/// A line of a page, in the order of pages.
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
    pub(super) async fn page_of(&self, view: View, cursor: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let list = view.to_string();
        let after = cursor.map(|cursor| read_cursor(&list, cursor)).transpose()?;
        let now = self.now().await?;
        let from = (view == View::Upcoming).then_some(now);
        let mut lines = self.lines_after(&|shard| self.view_key(view, shard), from, after.as_ref(), limit).await?;
        lines.retain(|line| is_in(view, line.at, now));
        let more = lines.len() > limit;
        lines.truncate(limit);
        let cursor = lines.last().filter(|_| more).map(|last| write_cursor(&list, last));
        Ok(Page { now, items: self.items(lines).await?, cursor })
    }

    /// The first lines of a list beyond the instant `from`, or beyond `after`: more than `limit`, where there are more.
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

    fn view_key(&self, view: View, shard: Shard) -> String {
        match view {
            View::Upcoming | View::Overdue => self.keys.due(shard),
            View::Held => self.keys.held(shard),
        }
    }

    /// At which rank the page begins in each shard.
    async fn starts(&self, key: &Key<'_>, from: Option<Time>, after: Option<&After>) -> Result<Vec<u64>, StoreError> {
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
        let mut ranks = self.shards.all().map(|_| Ok((replies.count()?, replies.count()?))).collect::<Result<Vec<_>, StoreError>>()?;
        if let Some((_, id)) = after {
            self.narrow(key, &mut ranks, id).await?;
        }
        Ok(ranks.into_iter().map(|(low, _)| low).collect())
    }

    /// Among entries of the same millisecond, which Redis keeps in the order of their ids, finds the first beyond `id` by
    /// halving: a herd of a million falls due in one millisecond, and a page of it should cost no more than another.
    async fn narrow(&self, key: &Key<'_>, ranks: &mut [(u64, u64)], id: &str) -> Result<(), StoreError> {
        loop {
            let mut pipe = Pipeline::new();
            let open: Vec<usize> = (0..ranks.len()).filter(|&shard| ranks[shard].0 < ranks[shard].1).collect();
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
    async fn lines(&self, key: &Key<'_>, starts: &[u64], limit: usize) -> Result<Vec<Line>, StoreError> {
        let mut pipe = Pipeline::with_capacity(starts.len());
        for (shard, start) in starts.iter().enumerate() {
            let end = start.saturating_add(limit as u64);
            pipe.cmd("ZRANGE").arg(key(shard as Shard)).arg(*start).arg(end).arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let mut lines = Vec::new();
        for shard in self.shards.all() {
            lines.extend(replies.scored()?.into_iter().map(|(id, at)| Line { at, id, shard }));
        }
        Ok(lines)
    }

    async fn items(&self, lines: Vec<Line>) -> Result<Vec<Item>, StoreError> {
        let (times, ids): (Vec<Time>, Vec<OrderId>) = lines.into_iter().filter_map(|line| Some((line.at, line.id.parse().ok()?))).unzip();
        let loaded = self.load(&ids).await?;
        let items = ids.into_iter().zip(times).zip(loaded.orders);
        Ok(items.map(|((id, at), order)| Item { id, at, order }).collect())
    }
}

fn is_in(view: View, at: Time, now: Time) -> bool {
    match view {
        View::Upcoming => at > now,
        View::Overdue => at <= now,
        View::Held => true,
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
    read().ok_or_else(|| StoreError::WrongCursor(cursor.chars().take(80).collect()))
}
