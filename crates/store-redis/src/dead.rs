//! Dead letters: shown by plain commands, and given back to the outbox or dropped by a script when somebody says so.

use autoreceive_redis_connection::redis::Pipeline;

use super::outbox::unavailable;
use super::page::{Line, read_cursor, write_cursor};
use super::reply::Replies;
use super::{MAX_CHANGES, RedisStore, by_shard};
use autoreceive_store::{ActionName, DeadLetter, DeadPage, EntryRef, Resolution, StoreError};

/// What the cursors of an action's pages begin with.
fn list(action: &ActionName) -> String {
    format!("dead/{action}")
}

impl RedisStore {
    pub(super) async fn page_of_dead(&self, action: &ActionName, cursor: Option<&str>, limit: usize) -> Result<DeadPage, StoreError> {
        let after = cursor.map(|cursor| read_cursor(&list(action), cursor)).transpose()?;
        let now = self.now().await?;
        let mut lines = self.lines_after(&|shard| self.keys.dead(shard, action), None, after.as_ref(), limit).await?;
        let more = lines.len() > limit;
        lines.truncate(limit);
        let cursor = lines.last().filter(|_| more).map(|last| write_cursor(&list(action), last));
        Ok(DeadPage { now, letters: self.with_texts(action, lines).await?, cursor })
    }

    pub(super) async fn named_dead(&self, action: &ActionName, letters: &[EntryRef]) -> Result<Vec<DeadLetter>, StoreError> {
        let mut pipe = Pipeline::with_capacity(letters.len());
        for EntryRef { shard, id } in letters {
            pipe.cmd("ZSCORE").arg(self.keys.dead(*shard, action)).arg(id);
        }
        let mut replies = self.ask(&pipe).await?;
        let mut lines = Vec::with_capacity(letters.len());
        for EntryRef { shard, id } in letters {
            lines.extend(replies.moment()?.map(|at| Line { at, id: id.clone(), shard: *shard }));
        }
        self.with_texts(action, lines).await
    }

    async fn with_texts(&self, action: &ActionName, lines: Vec<Line>) -> Result<Vec<DeadLetter>, StoreError> {
        let mut pipe = Pipeline::with_capacity(lines.len());
        for line in &lines {
            pipe.cmd("HGET").arg(self.keys.deaddata(line.shard, action)).arg(&line.id);
        }
        let mut replies = self.ask(&pipe).await?;
        let letter = |Line { at, id, shard }: Line| Ok(DeadLetter::read(EntryRef { shard, id }, at, replies.text()?.as_deref()));
        lines.into_iter().map(letter).collect()
    }

    pub(super) async fn resolve_dead(&self, action: &ActionName, letters: &[EntryRef], how: Resolution) -> Result<u64, StoreError> {
        let mut calls = Pipeline::new();
        for (shard, places) in by_shard(letters.iter().map(|letter| letter.shard)) {
            let keys = [
                self.keys.out(shard, action),
                self.keys.outdata(shard, action),
                self.keys.dead(shard, action),
                self.keys.deaddata(shard, action),
                self.keys.clock(shard),
            ];
            for places in places.chunks(MAX_CHANGES) {
                let mut call = self.scripts.resolve.call(&keys);
                call.arg(match how {
                    Resolution::Replay => "replay",
                    Resolution::Discard => "discard",
                });
                places.iter().for_each(|&place| {
                    call.arg(&letters[place].id);
                });
                calls.add_command(call);
            }
        }
        let mut done = 0;
        for answer in self.link.run(&self.scripts.resolve, &calls).await {
            done += Replies::new(vec![answer.map_err(unavailable)?]).count()?;
        }
        Ok(done)
    }
}
