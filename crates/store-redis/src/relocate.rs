//! Entries and dead letters that are given to another action, or dropped. Both actions' keys of a shard lie in one slot, so
//! each step is one script: a kill between two steps leaves every entry in exactly one place.

use autoreceive_redis_connection::redis::Pipeline;

use super::RedisStore;
use super::outbox::unavailable;
use super::reply::Replies;
use autoreceive_store::{ActionName, Relocated, Shard, StoreError};

/// How many entries one script takes: with 200 events each they are some megabytes.
const STEP: u64 = 50;

impl RedisStore {
    pub(super) async fn relocate_all(&self, from: &ActionName, to: Option<&ActionName>, limit: usize) -> Result<Relocated, StoreError> {
        if let Some(to) = to {
            self.note_action(to).await?;
        }
        let entries = |shard, action: &ActionName| [self.keys.out(shard, action), self.keys.outdata(shard, action)];
        let letters = |shard, action: &ActionName| [self.keys.dead(shard, action), self.keys.deaddata(shard, action)];
        let moved = self.relocate_some(&entries, from, to, limit as u64).await?;
        let left = (limit as u64).saturating_sub(moved);
        Ok(Relocated { entries: moved, letters: self.relocate_some(&letters, from, to, left).await? })
    }

    async fn relocate_some(
        &self,
        keys: &(dyn Fn(Shard, &ActionName) -> [String; 2] + Sync),
        from: &ActionName,
        to: Option<&ActionName>,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let mut pipe = Pipeline::with_capacity(self.shards.get().into());
        for shard in self.shards.all() {
            pipe.cmd("ZCARD").arg(&keys(shard, from)[0]);
        }
        let (mut counts, mut calls, mut left) = (self.ask(&pipe).await?, Pipeline::new(), limit);
        for shard in self.shards.all() {
            let take = counts.count()?.min(left).min(STEP);
            left -= take;
            if take > 0 {
                let mut all = keys(shard, from).to_vec();
                all.extend(to.into_iter().flat_map(|to| keys(shard, to)));
                let mut call = self.scripts.relocate.call(&all);
                call.arg(take);
                calls.add_command(call);
            }
        }
        let mut moved = 0;
        for answer in self.link.run(&self.scripts.relocate, &calls).await {
            moved += Replies::new(vec![answer.map_err(unavailable)?]).count()?;
        }
        Ok(moved)
    }
}
