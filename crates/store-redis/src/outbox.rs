//! Outbox entries. Claim, settle and renew are short scripts that run even without memory, so that
//! the outbox can drain.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use autoreceive_domain::{ActionName, Shard, Span, Time};
use autoreceive_redis_connection::redis::{Cmd, Pipeline, Value};

use super::list::{ListItem, read_cursor, write_cursor};
use super::reply::{Replies, text};
use super::{MAX_MEMBERS, RedisStore, by_shard};
use autoreceive_redis_connection::Failure;
use autoreceive_redis_connection::Script;
use autoreceive_store::{
    Claimed, Entry, EntryRef, Lane, NewEntry, Outbox, Page, Queue, Settlement, StoreError, Which,
};

/// The most entries that one script call adds.
const MAX_PUT: usize = 200;

/// The due entries of one sorted set in each shard.
pub(super) struct DueEntries {
    pub(super) now: Time,
    /// How many to take from which shards.
    pub(super) takes: Vec<(Shard, u64)>,
    /// The earliest time of the entries that are not taken.
    next_at: Option<Time>,
}

impl RedisStore {
    /// Distributes `limit` over the shards with due entries. A shard that does not answer is left
    /// out. Each call begins at another shard, so that a long queue in one shard does not starve
    /// the others.
    pub(super) async fn due_entries(
        &self,
        key: impl Fn(Shard) -> String,
        limit: usize,
    ) -> Result<DueEntries, StoreError> {
        let shards: Vec<Shard> = self.shards.all().collect();
        let firsts = self.first_times(&shards, &key).await?;
        let now = firsts.now;
        let start = self.rotation.fetch_add(1, Ordering::Relaxed);
        let count = self.shards.get();
        let rotated = (0..count).map(|i| (u32::from(start) + u32::from(i)) % u32::from(count));
        let mut ready = DueEntries { now, takes: Vec::new(), next_at: None };
        let mut due: Vec<(Shard, Time)> = Vec::new();
        let mut failure = None;
        for shard in rotated.map(|shard| shard as Shard) {
            match &firsts.value[usize::from(shard)] {
                Ok(Some(at)) if *at <= now => due.push((shard, *at)),
                Ok(Some(at)) => ready.next_at = earliest(ready.next_at, Some(*at)),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        // Fail only if no shard answers.
        if let Some(error) = failure.filter(|_| firsts.value.iter().all(Result::is_err)) {
            return Err(error.clone());
        }
        let mut pipe = Pipeline::with_capacity(due.len());
        for (shard, _) in &due {
            pipe.cmd("ZCOUNT").arg(key(*shard)).arg("-inf").arg(now.ms());
        }
        let mut counts = self.ask(&pipe).await?;
        let mut left = limit as u64;
        for (shard, first) in due {
            let Ok(count) = counts.count() else { continue };
            let take = count.min(left).min(MAX_MEMBERS as u64);
            left -= take;
            if take == 0 {
                ready.next_at = earliest(ready.next_at, Some(first));
            } else {
                ready.takes.push((shard, take));
            }
        }
        Ok(ready)
    }

    /// Removes entries without follow-ups, many in one short script.
    async fn remove(&self, queue: &Queue, entries: &[EntryRef]) -> Result<u64, StoreError> {
        let mut calls = Pipeline::new();
        for (shard, indexes) in by_shard(entries.iter().map(|entry| entry.shard)) {
            let keys = self.keys.queue(shard, queue);
            for indexes in indexes.chunks(MAX_MEMBERS) {
                let mut call = self.scripts.remove.call(&keys);
                for &index in indexes {
                    call.arg(&entries[index].id);
                }
                calls.add_command(call);
            }
        }
        self.run_counting(&self.scripts.remove, &calls).await
    }

    /// Runs calls that return counts, and adds up the counts. Each call succeeds or fails alone.
    async fn run_counting(&self, script: &Script, calls: &Pipeline) -> Result<u64, StoreError> {
        let mut sum = 0;
        for answer in self.link.run(script, calls).await {
            sum += Replies::new(vec![answer.map_err(unavailable)?]).count()?;
        }
        Ok(sum)
    }

    fn settle_call(&self, queue: &Queue, settlement: &Settlement) -> Cmd {
        let EntryRef { shard, id } = &settlement.entry;
        let mut queues = vec![queue];
        for follow_up in &settlement.follow_ups {
            if !queues.contains(&&follow_up.queue) {
                queues.push(&follow_up.queue);
            }
        }
        let keys = queues.iter().flat_map(|queue| self.keys.queue(*shard, queue));
        let mut call = self.scripts.settle.call(&keys.collect::<Vec<_>>());
        call.arg(id);
        for follow_up in &settlement.follow_ups {
            let index = queues.iter().position(|queue| **queue == follow_up.queue).unwrap_or(0);
            call.arg(2 * index + 1).arg(&follow_up.id).arg(follow_up.at.ms());
            call.arg(&follow_up.text).arg(if follow_up.only_if_absent { "1" } else { "" });
        }
        call
    }

    fn put_call(&self, queue: &Queue, shard: Shard, entries: &[&NewEntry]) -> Cmd {
        let lane = match queue.lane {
            Lane::Pending => Lane::Dead,
            Lane::Dead => Lane::Pending,
        };
        let other = Queue { action: queue.action.clone(), lane };
        let [times, texts] = self.keys.queue(shard, queue);
        let [others, _] = self.keys.queue(shard, &other);
        let mut call = self.scripts.put.call(&[times, texts, others]);
        for entry in entries {
            call.arg(&entry.entry.id).arg(entry.at.ms()).arg(&entry.text);
        }
        call
    }

    async fn page_of_entries(
        &self,
        queue: &Queue,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Entry>, StoreError> {
        let list = match queue.lane {
            Lane::Pending => format!("pending/{}", queue.action),
            Lane::Dead => format!("dead/{}", queue.action),
        };
        let after = cursor.map(|cursor| read_cursor(&list, cursor)).transpose()?;
        let now = self.read_now().await?;
        let key = |shard| match queue.lane {
            Lane::Pending => self.keys.out(shard, &queue.action),
            Lane::Dead => self.keys.dead(shard, &queue.action),
        };
        let mut items = self.items_after(&key, None, after.as_ref(), limit).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let cursor = items.last().filter(|_| more).map(|last| write_cursor(&list, last));
        Ok(Page::new(now, self.entries_of(queue, items).await?, cursor))
    }

    async fn named_entries(
        &self,
        queue: &Queue,
        named: &[EntryRef],
    ) -> Result<Page<Entry>, StoreError> {
        let mut pipe = Pipeline::with_capacity(named.len() + 3);
        self.ask_time(&mut pipe);
        for EntryRef { shard, id } in named {
            let [times, _] = self.keys.queue(*shard, queue);
            pipe.cmd("ZSCORE").arg(times).arg(id);
        }
        let mut replies = self.ask(&pipe).await?;
        let now = self.time_of(&mut replies)?;
        let mut items = Vec::with_capacity(named.len());
        for EntryRef { shard, id } in named {
            let at = replies.moment()?;
            items.extend(at.map(|at| ListItem { at, id: id.clone(), shard: *shard }));
        }
        Ok(Page::new(now, self.entries_of(queue, items).await?, None))
    }

    /// The entries with their texts. An entry that was settled in between is left out.
    async fn entries_of(
        &self,
        queue: &Queue,
        items: Vec<ListItem>,
    ) -> Result<Vec<Entry>, StoreError> {
        let texts = |shard| {
            let [_, texts] = self.keys.queue(shard, queue);
            texts
        };
        let found = self.with_texts(&texts, items).await?;
        let mut pipe = Pipeline::new();
        for (item, _) in found.iter().filter(|(_, text)| text.is_none()) {
            let [times, _] = self.keys.queue(item.shard, queue);
            pipe.cmd("ZSCORE").arg(times).arg(&item.id);
        }
        let mut there = self.ask(&pipe).await?;
        let mut entries = Vec::with_capacity(found.len());
        for (item, text) in found {
            if text.is_some() || there.moment()?.is_some() {
                let entry = EntryRef { shard: item.shard, id: item.id };
                entries.push(Entry { entry, at: item.at, text });
            }
        }
        Ok(entries)
    }
}

#[async_trait]
impl Outbox for RedisStore {
    async fn claim(
        &self,
        action: &ActionName,
        limit: usize,
        lease: Span,
    ) -> Result<Claimed, StoreError> {
        let ready = self.due_entries(|shard| self.keys.out(shard, action), limit).await?;
        let mut claimed = Claimed { now: ready.now, entries: Vec::new(), next_at: ready.next_at };
        let mut calls = Pipeline::with_capacity(ready.takes.len());
        for (shard, take) in &ready.takes {
            let [times, texts] = self.keys.queue(*shard, &Queue::pending(action));
            let mut call = self.scripts.claim.call(&[times, texts, self.keys.clock(*shard)]);
            call.arg(*take).arg(lease.ms());
            calls.add_command(call);
        }
        let answers = self.link.run(&self.scripts.claim, &calls).await;
        let mut failure = None;
        let mut served = ready.takes.is_empty();
        for ((shard, _), answer) in ready.takes.iter().zip(answers) {
            let answer = answer.map_err(unavailable);
            let taken = answer.and_then(|answer| take_claimed(&mut claimed, *shard, lease, answer));
            // Entries that could not be leased stay in the queue. The others must reach the caller.
            match taken {
                Ok(()) => served = true,
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if !served => Err(error),
            _ => Ok(claimed),
        }
    }

    async fn renew(
        &self,
        action: &ActionName,
        entries: &[EntryRef],
        lease: Span,
    ) -> Result<(), StoreError> {
        let mut calls = Pipeline::new();
        for (shard, indexes) in by_shard(entries.iter().map(|entry| entry.shard)) {
            let keys = [self.keys.out(shard, action), self.keys.clock(shard)];
            for indexes in indexes.chunks(MAX_MEMBERS) {
                let mut call = self.scripts.renew.call(&keys);
                call.arg(lease.ms());
                for &index in indexes {
                    call.arg(&entries[index].id);
                }
                calls.add_command(call);
            }
        }
        for answer in self.link.run(&self.scripts.renew, &calls).await {
            answer.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn settle(&self, queue: &Queue, done: Vec<Settlement>) -> Result<u64, StoreError> {
        let (plain, others): (Vec<_>, Vec<_>) =
            done.into_iter().partition(|settlement| settlement.follow_ups.is_empty());
        let plain: Vec<EntryRef> = plain.into_iter().map(|settlement| settlement.entry).collect();
        let mut calls = Pipeline::with_capacity(others.len());
        for settlement in &others {
            calls.add_command(self.settle_call(queue, settlement));
        }
        // Settlements are independent: one that fails does not prevent the others.
        let removed = self.remove(queue, &plain).await;
        let settled = self.run_counting(&self.scripts.settle, &calls).await;
        Ok(removed? + settled?)
    }

    async fn put(&self, queue: &Queue, entries: Vec<NewEntry>) -> Result<u64, StoreError> {
        let mut calls = Pipeline::new();
        for (shard, indexes) in by_shard(entries.iter().map(|entry| entry.entry.shard)) {
            for indexes in indexes.chunks(MAX_PUT) {
                let entries: Vec<&NewEntry> =
                    indexes.iter().map(|&index| &entries[index]).collect();
                calls.add_command(self.put_call(queue, shard, &entries));
            }
        }
        self.run_counting(&self.scripts.put, &calls).await
    }

    async fn entries(&self, queue: &Queue, which: Which<'_>) -> Result<Page<Entry>, StoreError> {
        match which {
            Which::Page { cursor, limit } => self.page_of_entries(queue, cursor, limit).await,
            Which::Named(named) => self.named_entries(queue, named).await,
        }
    }
}

pub(super) fn unavailable(failure: Failure) -> StoreError {
    StoreError::Unavailable(failure.text())
}

fn earliest(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}

fn take_claimed(
    claimed: &mut Claimed,
    shard: Shard,
    lease: Span,
    answer: Value,
) -> Result<(), StoreError> {
    let mut parts = Replies::new(vec![answer]).nested()?;
    let now = Time::from_ms(parts.integer()?);
    claimed.now = claimed.now.max(now);
    let mut list = parts.list()?.into_iter();
    while let (Some(id), Some(found)) = (list.next(), list.next()) {
        // An id that is not text was not written by this program.
        if let Some(id) = text(id) {
            let entry = EntryRef { shard, id };
            claimed.entries.push(Entry { entry, at: now.after(lease), text: text(found) });
        }
    }
    claimed.next_at = earliest(claimed.next_at, parts.moment()?);
    Ok(())
}
