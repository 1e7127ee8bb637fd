//! Pages of orders over all shards, by time and, within the same millisecond, by id.

use autoreceive_domain::{OrderId, Time};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use redis::Pipeline;

use super::RedisStore;
use crate::store::{Item, Page, Shard, Store, StoreError, View};

/// A line of a page: an order's id and its time.
type Line = (Time, String);

impl RedisStore {
    pub(super) async fn page_of(&self, view: View, cursor: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let after = cursor.map(|cursor| read_cursor(view, cursor)).transpose()?;
        let now = self.now().await?;
        let starts = self.starts(view, now, after.as_ref()).await?;
        let mut lines = self.lines(view, &starts, limit).await?;
        lines.retain(|line| is_in(view, line.0, now) && after.as_ref().is_none_or(|after| line > after));
        lines.sort_unstable();
        let more = lines.len() > limit;
        lines.truncate(limit);
        let cursor = lines.last().filter(|_| more).map(|last| write_cursor(view, last));
        Ok(Page { now, items: self.items(lines).await?, cursor })
    }

    async fn now(&self) -> Result<Time, StoreError> {
        let mut pipe = Pipeline::new();
        pipe.cmd("TIME");
        self.ask(&pipe).await?.time()
    }

    fn view_key(&self, view: View, shard: Shard) -> String {
        match view {
            View::Upcoming | View::Overdue => self.keys.due(shard),
            View::Held => self.keys.held(shard),
        }
    }

    /// At which rank the page begins in each shard.
    async fn starts(&self, view: View, now: Time, after: Option<&Line>) -> Result<Vec<u64>, StoreError> {
        let (first, beyond) = match (after, view) {
            (Some((at, _)), _) => (format!("({}", at.ms()), at.ms().to_string()),
            (None, View::Upcoming) => (now.ms().to_string(), now.ms().to_string()),
            (None, View::Overdue | View::Held) => return Ok(vec![0; self.shards.into()]),
        };
        let mut pipe = Pipeline::with_capacity(2 * usize::from(self.shards));
        for shard in 0..self.shards {
            pipe.cmd("ZCOUNT").arg(self.view_key(view, shard)).arg("-inf").arg(&first);
            pipe.cmd("ZCOUNT").arg(self.view_key(view, shard)).arg("-inf").arg(&beyond);
        }
        let mut replies = self.ask(&pipe).await?;
        let mut ranks = (0..self.shards).map(|_| Ok((replies.count()?, replies.count()?))).collect::<Result<Vec<_>, StoreError>>()?;
        if let Some((_, id)) = after {
            self.narrow(view, &mut ranks, id).await?;
        }
        Ok(ranks.into_iter().map(|(low, _)| low).collect())
    }

    /// Among entries of the same millisecond, which Redis keeps in the order of their ids, finds the first beyond `id` by
    /// halving: a herd of a million falls due in one millisecond, and a page of it should cost no more than another.
    async fn narrow(&self, view: View, ranks: &mut [(u64, u64)], id: &str) -> Result<(), StoreError> {
        loop {
            let mut pipe = Pipeline::new();
            let open: Vec<usize> = (0..ranks.len()).filter(|&shard| ranks[shard].0 < ranks[shard].1).collect();
            for &shard in &open {
                let middle = ranks[shard].0.midpoint(ranks[shard].1);
                pipe.cmd("ZRANGE").arg(self.view_key(view, shard as Shard)).arg(middle).arg(middle);
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
    async fn lines(&self, view: View, starts: &[u64], limit: usize) -> Result<Vec<Line>, StoreError> {
        let mut pipe = Pipeline::with_capacity(starts.len());
        for (shard, start) in starts.iter().enumerate() {
            let end = start.saturating_add(limit as u64);
            pipe.cmd("ZRANGE").arg(self.view_key(view, shard as Shard)).arg(*start).arg(end).arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let mut lines = Vec::new();
        for _ in starts {
            lines.extend(replies.scored()?.into_iter().map(|(id, at)| (at, id)));
        }
        Ok(lines)
    }

    async fn items(&self, lines: Vec<Line>) -> Result<Vec<Item>, StoreError> {
        let (times, ids): (Vec<Time>, Vec<OrderId>) = lines.into_iter().filter_map(|(at, id)| Some((at, id.parse().ok()?))).unzip();
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

fn write_cursor(view: View, (at, id): &Line) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{view} {} {id}", at.ms()))
}

fn read_cursor(view: View, cursor: &str) -> Result<Line, StoreError> {
    let read = || -> Option<Line> {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (at, id) = text.strip_prefix(&view.to_string())?.strip_prefix(' ')?.split_once(' ')?;
        id.parse::<OrderId>().ok()?;
        Some((Time::from_ms(at.parse().ok()?), id.to_string()))
    };
    read().ok_or_else(|| StoreError::WrongCursor(cursor.chars().take(80).collect()))
}
