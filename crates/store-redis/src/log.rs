//! Capped lists of rows, each a stream: a row's id does not change when rows are added or removed.

use async_trait::async_trait;
use autoreceive_redis_connection::redis::Pipeline;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::RedisStore;
use super::outbox::unavailable;
use autoreceive_store::{List, Log, Page, StoreError};

#[async_trait]
impl Log for RedisStore {
    async fn append(&self, list: &List, rows: &[String], cap: usize) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut call = self.scripts.append.call(&[self.keys.log(list)]);
        call.arg(cap).arg(rows);
        let mut calls = Pipeline::with_capacity(1);
        calls.add_command(call);
        for answer in self.link.run(&self.scripts.append, &calls).await {
            answer.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn page(
        &self,
        list: &List,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, StoreError> {
        let from = match cursor {
            Some(cursor) => format!("({}", read_cursor(list, cursor)?),
            None => "+".to_owned(),
        };
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        let range = pipe.cmd("XREVRANGE").arg(self.keys.log(list)).arg(from).arg("-");
        range.arg("COUNT").arg(limit.saturating_add(1));
        let mut replies = self.ask(&pipe).await?;
        let now = self.time_of(&mut replies)?;
        let mut rows = replies.nested()?;
        let mut items = Vec::new();
        let mut last = None;
        let mut more = false;
        while let Some(row) = rows.more() {
            let mut row = row?;
            if items.len() == limit {
                more = true;
                break;
            }
            last = row.text()?;
            items.push(row.texts()?.into_iter().nth(1).unwrap_or_default());
        }
        let cursor = last.filter(|_| more).map(|id| write_cursor(list, &id));
        Ok(Page::new(now, items, cursor))
    }
}

fn write_cursor(list: &List, id: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("log/{list} {id}"))
}

/// The id of the last row on the previous page.
fn read_cursor(list: &List, cursor: &str) -> Result<String, StoreError> {
    let read = || {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let id = text.strip_prefix("log/")?.strip_prefix(list.as_str())?.strip_prefix(' ')?;
        let (ms, number) = id.split_once('-')?;
        let is_number = |part: &str| part.parse::<u64>().is_ok();
        (is_number(ms) && is_number(number)).then(|| id.to_owned())
    };
    read().ok_or_else(|| StoreError::wrong_cursor(cursor))
}
