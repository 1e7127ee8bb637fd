//! Reading orders: plain commands only, no script.

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Order, OrderId, Revision, Terms, Time};
use redis::{Pipeline, Value};

use super::reply::{Replies, order};
use super::{RedisStore, by_shard};
use crate::store::{Due, DueOrder, DueShard, Heads, Loaded, Look, Rested, RestedNote, Shard, Store, StoreError};

impl RedisStore {
    pub(super) async fn load_all(&self, ids: &[OrderId]) -> Result<Loaded, StoreError> {
        let places = by_shard(ids.iter().map(|id| self.shard_of(id)));
        let mut pipe = Pipeline::with_capacity(places.len() + 1);
        self.ask_time(&mut pipe);
        for (shard, places) in &places {
            pipe.add_command(self.records(*shard, places.iter().map(|&place| &ids[place])));
        }
        let mut replies = self.ask(&pipe).await?;
        let now = replies.time()?;
        let mut orders: Vec<Result<Option<Order>, Unreadable>> = ids.iter().map(|_| Ok(None)).collect();
        for places in places.values() {
            for (&place, value) in places.iter().zip(replies.list()?) {
                orders[place] = order(&ids[place], &value);
            }
        }
        Ok(Loaded { now, orders })
    }

    fn records<'a>(&self, shard: Shard, ids: impl Iterator<Item = &'a OrderId>) -> redis::Cmd {
        let mut get = redis::cmd("HMGET");
        get.arg(self.keys.orders(shard));
        ids.for_each(|id| {
            get.arg(id.as_str());
        });
        get
    }

    pub(super) async fn all_terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError> {
        let mut pipe = Pipeline::with_capacity(wanted.len());
        for (shard, revision) in wanted {
            pipe.cmd("HGET").arg(self.keys.terms(*shard)).arg(revision.as_str());
        }
        let mut replies = self.ask(&pipe).await?;
        wanted.iter().map(|(_, revision)| read_terms(revision, replies.text()?)).collect()
    }

    pub(super) async fn all_heads(&self) -> Result<Heads, StoreError> {
        let (now, heads) = self.heads_of(|shard| self.keys.due(shard)).await?;
        Ok(Heads { now, heads })
    }

    /// The lowest time in one sorted set of each shard.
    pub(super) async fn heads_of(&self, key: impl Fn(Shard) -> String) -> Result<(Time, Vec<Option<Time>>), StoreError> {
        let mut pipe = Pipeline::with_capacity(usize::from(self.shards) + 1);
        self.ask_time(&mut pipe);
        for shard in 0..self.shards {
            pipe.cmd("ZRANGE").arg(key(shard)).arg(0).arg(0).arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let now = replies.time()?;
        let heads = (0..self.shards).map(|_| replies.head()).collect::<Result<_, _>>()?;
        Ok((now, heads))
    }

    pub(super) async fn due_orders(&self, looks: &[Look], limit: usize) -> Result<Due, StoreError> {
        let mut pipe = Pipeline::with_capacity(looks.len() + 1);
        self.ask_time(&mut pipe);
        for look in looks {
            pipe.cmd("ZRANGE").arg(self.keys.due(look.shard)).arg(0).arg(limit.saturating_add(look.extra)).arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let now = replies.time()?;
        let mut shards = Vec::with_capacity(looks.len());
        let mut pipe = Pipeline::with_capacity(looks.len());
        for look in looks {
            let found = take_due(look.shard, replies.scored()?, now, limit.saturating_add(look.extra));
            if !found.orders.is_empty() {
                pipe.add_command(self.records(look.shard, found.orders.iter().map(|due| &due.id)));
            }
            shards.push(found);
        }
        let mut replies = self.ask(&pipe).await?;
        for shard in shards.iter_mut().filter(|shard| !shard.orders.is_empty()) {
            fill_in(&mut shard.orders, replies.list()?);
        }
        Ok(Due { now, shards })
    }

    pub(super) async fn rested_notes(&self, limit: usize) -> Result<Rested, StoreError> {
        let ready = self.ready(|shard| self.keys.purge(shard), limit).await?;
        let mut pipe = Pipeline::with_capacity(ready.takes.len());
        for (shard, take) in &ready.takes {
            pipe.cmd("ZRANGE").arg(self.keys.purge(*shard)).arg("-inf").arg(ready.now.ms()).arg("BYSCORE").arg("LIMIT").arg(0).arg(*take);
        }
        let mut replies = self.ask(&pipe).await?;
        let mut notes = Vec::new();
        for (shard, _) in ready.takes {
            notes.extend(replies.texts()?.into_iter().map(|note| RestedNote { shard, note, orders: Vec::new() }));
        }
        self.read_noted(&mut notes).await?;
        Ok(Rested { now: ready.now, notes })
    }

    async fn read_noted(&self, notes: &mut [RestedNote]) -> Result<(), StoreError> {
        let ids_of = |note: &RestedNote| -> Vec<OrderId> { note.note.split('\n').filter_map(|id| id.parse().ok()).collect() };
        let ids: Vec<Vec<OrderId>> = notes.iter().map(ids_of).collect();
        let mut pipe = Pipeline::with_capacity(notes.len());
        for (note, ids) in notes.iter().zip(&ids).filter(|(_, ids)| !ids.is_empty()) {
            pipe.add_command(self.records(note.shard, ids.iter()));
        }
        let mut replies = self.ask(&pipe).await?;
        for (note, ids) in notes.iter_mut().zip(&ids).filter(|(_, ids)| !ids.is_empty()) {
            let values = replies.list()?;
            note.orders = ids.iter().zip(&values).filter_map(|(id, value)| order(id, value).ok().flatten()).collect();
        }
        Ok(())
    }

    pub(super) async fn ask(&self, pipe: &Pipeline) -> Result<Replies, StoreError> {
        self.link.send(pipe).await.map(Replies::new).map_err(|failure| StoreError::Unavailable(failure.text()))
    }
}

fn read_terms(revision: &Revision, text: Option<String>) -> Result<Option<Terms>, StoreError> {
    let unreadable = |error| StoreError::Unavailable(format!("the terms of {revision} cannot be read: {error}"));
    text.map(|text| text.parse().map_err(unreadable)).transpose()
}

/// Those of `found` whose wake has come, up to `limit`, still without their records.
fn take_due(shard: Shard, found: Vec<(String, Time)>, now: Time, limit: usize) -> DueShard {
    let taken = found.iter().take(limit).take_while(|(_, wake)| *wake <= now).count();
    let next_at = found.get(taken).map(|(_, wake)| *wake);
    let due = found.into_iter().take(taken).filter_map(|(id, wake)| match id.parse::<OrderId>() {
        Ok(id) => Some(DueOrder { id, wake, order: Ok(None) }),
        Err(error) => {
            tracing::warn!(shard, %error, "an entry among the due orders that is no order id is passed over");
            None
        }
    });
    DueShard { shard, orders: due.collect(), next_at }
}

fn fill_in(due: &mut [DueOrder], values: Vec<Value>) {
    for (due, value) in due.iter_mut().zip(values) {
        due.order = order(&due.id, &value);
    }
}
