//! Reading orders: plain commands only, no script.

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Order, OrderId, Revision, Span, Terms, Time};
use autoreceive_redis_connection::redis::{Pipeline, Value};

use super::reply::{Replies, as_text, order};
use super::{RedisStore, by_shard, watch};
use autoreceive_store::{Due, DueOrder, DueShard, Heads, Loaded, Look, Rested, RestedNote, Shard, Store, StoreError};

/// How far behind the server's time the time believed may be before due orders are asked for again.
const FAR_BEHIND: Span = Span::from_ms(100);

impl RedisStore {
    pub(super) async fn load_all(&self, ids: &[OrderId]) -> Result<Loaded, StoreError> {
        let places = by_shard(ids.iter().map(|id| self.shard_of(id)));
        let mut pipe = Pipeline::with_capacity(places.len() + 1);
        self.ask_time(&mut pipe);
        for (shard, places) in &places {
            pipe.add_command(self.records(*shard, places.iter().map(|&place| &ids[place])));
        }
        let mut replies = self.ask(&pipe).await?;
        let now = self.time_of(&mut replies)?;
        let mut orders: Vec<Result<Option<Order>, Unreadable>> = ids.iter().map(|_| Ok(None)).collect();
        for places in places.values() {
            for (&place, value) in places.iter().zip(replies.list()?) {
                orders[place] = order(&ids[place], &value);
            }
        }
        Ok(Loaded { now, orders })
    }

    fn records<'a>(&self, shard: Shard, ids: impl Iterator<Item = &'a OrderId>) -> autoreceive_redis_connection::redis::Cmd {
        let mut get = autoreceive_redis_connection::redis::cmd("HMGET");
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
        let mut pipe = Pipeline::with_capacity(usize::from(self.shards.get()) + 1);
        self.ask_time(&mut pipe);
        for shard in self.shards.all() {
            pipe.cmd("ZRANGE").arg(key(shard)).arg(0).arg(0).arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let now = self.time_of(&mut replies)?;
        let heads = self.shards.all().map(|_| replies.head()).collect::<Result<_, _>>()?;
        Ok((now, heads))
    }

    /// Asks by the time that it probably is, for scores are dear to write down and to read: so ids alone come, and what comes
    /// next is asked only where not all that is due was found.
    pub(super) async fn due_orders(&self, looks: &[Look], limit: usize) -> Result<Due, StoreError> {
        let mut by = self.time.estimate();
        let (now, ids) = match self.due_ids(looks, limit, by).await? {
            // It was believed to be much earlier: nothing was heard yet, or the time was moved.
            (now, _) if now > by.after(FAR_BEHIND) => {
                by = now;
                self.due_ids(looks, limit, by).await?
            }
            found => found,
        };
        let mut pipe = Pipeline::with_capacity(looks.len());
        for (look, ids) in looks.iter().zip(&ids) {
            if !ids.is_empty() {
                pipe.add_command(self.records(look.shard, ids.iter()));
            }
            if ids.len() < limit.saturating_add(look.extra) {
                pipe.cmd("ZRANGE").arg(self.keys.due(look.shard)).arg(format!("({}", by.ms())).arg("+inf").arg("BYSCORE");
                pipe.arg("LIMIT").arg(0).arg(1).arg("WITHSCORES");
            }
        }
        let watched = match (looks, &*ids) {
            ([look], [ids]) if ids.len() >= watch::LEAST => self.read_watching(look.shard, ids, &pipe).await,
            _ => None,
        };
        let mut replies = match watched {
            Some(replies) => replies,
            None => self.ask(&pipe).await?,
        };
        let mut shards = Vec::with_capacity(looks.len());
        for (look, ids) in looks.iter().zip(ids) {
            let full = ids.len() >= limit.saturating_add(look.extra);
            let orders = if ids.is_empty() { Vec::new() } else { with_records(ids, &replies.list()?, now, by) };
            let next_at = if full { Some(by) } else { replies.head()? };
            shards.push(DueShard { shard: look.shard, orders, next_at });
        }
        Ok(Due { now, shards })
    }

    /// The ids whose noted wake is not later than `by`, for each shard looked at, and the time of the server.
    async fn due_ids(&self, looks: &[Look], limit: usize, by: Time) -> Result<(Time, Vec<Vec<OrderId>>), StoreError> {
        let mut pipe = Pipeline::with_capacity(looks.len() + 2);
        self.ask_time(&mut pipe);
        for look in looks {
            pipe.cmd("ZRANGE").arg(self.keys.due(look.shard)).arg("-inf").arg(by.ms()).arg("BYSCORE");
            pipe.arg("LIMIT").arg(0).arg(limit.saturating_add(look.extra));
        }
        let mut replies = self.ask(&pipe).await?;
        let now = self.time_of(&mut replies)?;
        self.time.heard(now);
        let ids = looks.iter().map(|look| Ok(order_ids(look.shard, &replies.list()?))).collect::<Result<_, _>>()?;
        Ok((now, ids))
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

fn order_ids(shard: Shard, found: &[Value]) -> Vec<OrderId> {
    let mut ids = Vec::with_capacity(found.len());
    for value in found {
        match as_text(value).map(str::parse::<OrderId>) {
            Some(Ok(id)) => ids.push(id),
            other => tracing::warn!(shard, ?value, ?other, "an entry among the due orders that is no order id is passed over"),
        }
    }
    ids
}

/// The orders with their records. Where the server's clock was put back, what is due by the time believed, but not by its
/// own, is left to a later call.
fn with_records(ids: Vec<OrderId>, records: &[Value], now: Time, by: Time) -> Vec<DueOrder> {
    let mut due = Vec::with_capacity(ids.len());
    for (id, record) in ids.into_iter().zip(records) {
        let order = order(&id, record);
        let wake = order.as_ref().ok().and_then(|order| order.as_ref()?.wake());
        if !wake.is_some_and(|wake| now < wake && wake <= by) {
            due.push(DueOrder { id, order });
        }
    }
    due
}
