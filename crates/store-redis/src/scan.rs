//! Scans all orders, page by page.
//!
//! `HSCAN` returns each order that stays in the hash at least once, even if others are added and
//! removed meanwhile. This holds only within one server process, because another process hashes
//! differently. So a cursor names the process, and if another process answers, the shard starts
//! again.

use autoreceive_domain::{OrderId, Shard, Time};
use autoreceive_redis_connection::redis::{Pipeline, Value};

use super::RedisStore;
use super::reply::{order, text};
use autoreceive_store::{Page, Row, StoreError};

/// The position of a scan.
struct ScanCursor {
    shard: Shard,
    scan: String,
    process: String,
}

impl ScanCursor {
    fn parse(cursor: &str) -> Result<ScanCursor, StoreError> {
        let read = || {
            let parts: Vec<&str> = cursor.split('.').collect();
            let [shard, scan, process] = parts.try_into().ok()?;
            scan.parse::<u64>().ok()?;
            Some(ScanCursor {
                shard: shard.parse().ok()?,
                scan: scan.to_owned(),
                process: process.to_owned(),
            })
        };
        read().ok_or_else(|| StoreError::wrong_cursor(cursor))
    }
}

impl RedisStore {
    pub(super) async fn scan(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError> {
        let first = || ScanCursor { shard: 0, scan: "0".to_owned(), process: String::new() };
        let start = cursor.map_or_else(|| Ok(first()), ScanCursor::parse)?;
        if start.shard >= self.shards.get() {
            return Err(StoreError::wrong_cursor(cursor.unwrap_or_default()));
        }
        let total = if cursor.is_none() { Some(self.count_orders().await?) } else { None };
        let (mut page, process) = self.scan_shard(start.shard, &start.scan, limit).await?;
        if start.scan != "0" && process != start.process {
            (page, _) = self.scan_shard(start.shard, "0", limit).await?;
        }
        let cursor = page.cursor.filter(|_| total != Some(0));
        Ok(Page { total, cursor, ..page })
    }

    async fn count_orders(&self) -> Result<u64, StoreError> {
        let mut pipe = Pipeline::with_capacity(self.shards.get().into());
        for shard in self.shards.all() {
            pipe.cmd("HLEN").arg(self.keys.orders(shard));
        }
        let mut replies = self.ask(&pipe).await?;
        self.shards.all().map(|_| replies.count()).sum()
    }

    /// One step, with the id of the server process.
    async fn scan_shard(
        &self,
        shard: Shard,
        from: &str,
        limit: usize,
    ) -> Result<(Page<Row>, String), StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        pipe.cmd("INFO").arg("server");
        let key = self.keys.orders(shard);
        pipe.cmd("HSCAN").arg(key).arg(from).arg("COUNT").arg(limit.max(1));
        let mut replies = self.ask(&pipe).await?;
        let now = self.time_of(&mut replies)?;
        let process = process(&replies.text()?.unwrap_or_default());
        let mut answer = replies.nested()?;
        let next = answer.text()?.filter(|next| next != "0");
        let shard_after = Some(shard + 1).filter(|after| *after < self.shards.get());
        let cursor = match next {
            Some(next) => Some(format!("{shard}.{next}.{process}")),
            None => shard_after.map(|after| format!("{after}.0.{process}")),
        };
        Ok((Page::new(now, rows(shard, answer.list()?), cursor), process))
    }
}

/// The process id, from the answer to `INFO server`.
fn process(info: &str) -> String {
    let id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
    id.chars().filter(char::is_ascii_alphanumeric).take(12).collect()
}

/// The orders of an answer. An invalid id was not written by this program and is skipped.
fn rows(shard: Shard, fields: Vec<Value>) -> Vec<Row> {
    let mut fields = fields.into_iter();
    let mut rows = Vec::with_capacity(fields.len() / 2);
    while let (Some(id), Some(record)) = (fields.next(), fields.next()) {
        if let Some(id) = text(id).and_then(|id| id.parse::<OrderId>().ok()) {
            let slot = order(&id, &record);
            let due = slot.as_ref().ok().and_then(|order| order.as_ref()?.next_due_at());
            rows.push(Row::new(shard, id, due.unwrap_or(Time::from_ms(0)), slot));
        }
    }
    rows
}
