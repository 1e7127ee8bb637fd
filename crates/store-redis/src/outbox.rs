//! Entries: claimed, settled, renewed by short scripts that are allowed without memory, so that the outbox can drain.

use std::sync::atomic::Ordering;

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Span, Time};
use autoreceive_redis_connection::redis::{Cmd, Pipeline, Value};
use autoreceive_redis_connection::{Failure, Script};

use super::reply::{Replies, text};
use super::{MAX_CHANGES, RedisStore, by_shard};
use autoreceive_store::{ActionName, After, Claimed, ClaimedEntry, EntryRef, Settlement, Shard, StoreError, entry};

/// What has come up in one sorted set of each shard.
pub(super) struct Ready {
    pub(super) now: Time,
    /// From which shards how many are to be taken.
    pub(super) takes: Vec<(Shard, u64)>,
    /// The earliest time in the other shards.
    next_at: Option<Time>,
}

impl RedisStore {
    /// Shares `limit` out over the shards where something has come up. Every call begins at another shard, so that a long
    /// queue in one does not starve the others.
    pub(super) async fn ready(&self, key: impl Fn(Shard) -> String, limit: usize) -> Result<Ready, StoreError> {
        let (now, heads) = self.heads_of(&key).await?;
        let start = self.rotation.fetch_add(1, Ordering::Relaxed) % self.shards.get();
        let rotated = self.shards.all().map(|i| ((u32::from(start) + u32::from(i)) % u32::from(self.shards.get())) as Shard);
        let up: Vec<Shard> = rotated.filter(|&shard| heads[usize::from(shard)].is_some_and(|at| at <= now)).collect();
        let mut pipe = Pipeline::with_capacity(up.len());
        for &shard in &up {
            pipe.cmd("ZCOUNT").arg(key(shard)).arg("-inf").arg(now.ms());
        }
        let mut counts = self.ask(&pipe).await?;
        let mut ready = Ready { now, takes: Vec::new(), next_at: heads.iter().flatten().filter(|&&at| at > now).min().copied() };
        let mut left = limit as u64;
        for shard in up {
            let take = counts.count()?.min(left).min(MAX_CHANGES as u64);
            left -= take;
            match take {
                0 => ready.next_at = earliest(ready.next_at, heads[usize::from(shard)]),
                _ => ready.takes.push((shard, take)),
            }
        }
        Ok(ready)
    }

    pub(super) async fn claim_entries(&self, action: &ActionName, limit: usize, lease: Span) -> Result<Claimed, StoreError> {
        let ready = self.ready(|shard| self.keys.out(shard, action), limit).await?;
        let mut claimed = Claimed { now: ready.now, entries: Vec::new(), unreadable: Vec::new(), next_at: ready.next_at };
        let mut calls = Pipeline::with_capacity(ready.takes.len());
        for (shard, take) in &ready.takes {
            let mut call =
                self.scripts.claim.call(&[self.keys.out(*shard, action), self.keys.outdata(*shard, action), self.keys.clock(*shard)]);
            call.arg(*take).arg(lease.ms());
            calls.add_command(call);
        }
        // What one shard failed to lease stays where it is; what others leased must reach the caller.
        let mut failed = None;
        for ((shard, _), answer) in ready.takes.iter().zip(self.link.run(&self.scripts.claim, &calls).await) {
            match answer.map_err(unavailable).and_then(|answer| take_claimed(&mut claimed, *shard, answer)) {
                Ok(()) => {}
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if claimed.entries.is_empty() => Err(error),
            _ => Ok(claimed),
        }
    }

    pub(super) async fn settle_entries(&self, action: &ActionName, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        let (plain, others): (Vec<_>, Vec<_>) = settlements.into_iter().partition(|settlement| settlement.after.is_empty());
        let plain: Vec<EntryRef> = plain.into_iter().map(|settlement| settlement.entry).collect();
        self.remove_entries(action, &plain).await?;
        let mut calls = Pipeline::with_capacity(others.len());
        for settlement in &others {
            calls.add_command(self.settle_call(action, settlement));
        }
        self.run_all(&self.scripts.settle, &calls).await
    }

    /// Nothing follows: a short script for many.
    async fn remove_entries(&self, action: &ActionName, entries: &[EntryRef]) -> Result<(), StoreError> {
        let mut calls = Pipeline::new();
        for (shard, places) in by_shard(entries.iter().map(|entry| entry.shard)) {
            let keys = [self.keys.out(shard, action), self.keys.outdata(shard, action)];
            for places in places.chunks(MAX_CHANGES) {
                let mut call = self.scripts.remove.call(&keys);
                places.iter().for_each(|&place| {
                    call.arg(&entries[place].id);
                });
                calls.add_command(call);
            }
        }
        self.run_all(&self.scripts.remove, &calls).await
    }

    /// Runs calls whose answers say nothing.
    async fn run_all(&self, script: &Script, calls: &Pipeline) -> Result<(), StoreError> {
        self.link.run(script, calls).await.into_iter().try_for_each(|answer| answer.map(drop).map_err(unavailable))
    }

    fn settle_call(&self, action: &ActionName, settlement: &Settlement) -> Cmd {
        let EntryRef { shard, id } = &settlement.entry;
        let (out, dead) = (self.keys.out(*shard, action), self.keys.dead(*shard, action));
        let keys = [out, self.keys.outdata(*shard, action), dead, self.keys.deaddata(*shard, action)];
        let mut call = self.scripts.settle.call(&keys);
        call.arg(id);
        for after in &settlement.after {
            let (key, entry_id, at, text) = match after {
                After::Retry { event, history, at } => (1, event.id(), at, entry::encode(Some(history), [event])),
                After::Dead { event, history, at } => (3, event.id(), at, entry::encode(Some(history), [event])),
                After::Rest { events, at } => (1, id.clone(), at, entry::encode(None, events)),
            };
            call.arg(key).arg(entry_id).arg(at.ms()).arg(text);
        }
        call
    }

    pub(super) async fn renew_entries(&self, action: &ActionName, entries: &[EntryRef], lease: Span) -> Result<(), StoreError> {
        let mut calls = Pipeline::new();
        for (shard, places) in by_shard(entries.iter().map(|entry| entry.shard)) {
            for places in places.chunks(MAX_CHANGES) {
                let mut call = self.scripts.renew.call(&[self.keys.out(shard, action), self.keys.clock(shard)]);
                call.arg(lease.ms());
                places.iter().for_each(|&place| {
                    call.arg(&entries[place].id);
                });
                calls.add_command(call);
            }
        }
        self.run_all(&self.scripts.renew, &calls).await
    }
}

pub(super) fn unavailable(failure: Failure) -> StoreError {
    StoreError::Unavailable(failure.text())
}

fn earliest(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}

fn take_claimed(claimed: &mut Claimed, shard: Shard, answer: Value) -> Result<(), StoreError> {
    let mut parts = Replies::new(vec![answer]).nested()?;
    claimed.now = claimed.now.max(Time::from_ms(parts.integer()?));
    let mut list = parts.list()?.into_iter();
    while let (Some(id), Some(found)) = (list.next().and_then(text), list.next()) {
        let missing = || Unreadable { id: id.clone(), what: "no text".to_owned() };
        let decoded = text(found).ok_or_else(missing).and_then(|found| entry::decode(&id, &found));
        match decoded {
            Ok((history, events)) => claimed.entries.push(ClaimedEntry { entry: EntryRef { shard, id }, events, history }),
            Err(unreadable) => claimed.unreadable.push(unreadable),
        }
    }
    claimed.next_at = earliest(claimed.next_at, parts.moment()?);
    Ok(())
}
