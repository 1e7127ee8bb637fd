//! Reads orders with plain commands, without scripts.

use autoreceive_domain::{OrderId, Revision, Shard, Span, Terms, Time};
use autoreceive_redis_connection::redis::{Pipeline, Value};

use super::reply::{Replies, as_text, order};
use super::{RedisStore, by_shard, watch};
use autoreceive_store::{At, DueOrder, DueShard, Look, Slot, StoreError};

/// If the estimated time is behind the server's time by more than this, due orders are asked for
/// again.
const FAR_BEHIND: Span = Span::from_ms(100);

/// One result for each of several items.
type Results<T> = Vec<Result<T, StoreError>>;

impl RedisStore {
    /// Loads all orders in one pipeline. A failed pipeline fails every order, an error answer fails
    /// the orders of its shard.
    pub(super) async fn load_all(&self, ids: &[OrderId]) -> Results<At<Slot>> {
        let shards = by_shard(ids.iter().map(|id| self.shards.of(id)));
        let mut pipe = Pipeline::with_capacity(shards.len() + 3);
        self.ask_time(&mut pipe);
        for (shard, indexes) in &shards {
            pipe.add_command(self.records(*shard, indexes.iter().map(|&index| &ids[index])));
        }
        let asked = self.ask(&pipe).await;
        let (found, mut replies) = match asked.and_then(|mut all| Ok((self.found(&mut all)?, all)))
        {
            Ok(answered) => answered,
            Err(error) => return ids.iter().map(|_| Err(error.clone())).collect(),
        };
        let missing = StoreError::Unavailable("Redis sent no answer for this order".to_owned());
        let mut slots: Results<At<Slot>> = ids.iter().map(|_| Err(missing.clone())).collect();
        for indexes in shards.values() {
            match replies.list() {
                Ok(records) => {
                    for (&index, record) in indexes.iter().zip(&records) {
                        slots[index] = Ok(found.clone().map(|()| order(&ids[index], record)));
                    }
                }
                Err(error) => {
                    for &index in indexes {
                        slots[index] = Err(error.clone());
                    }
                }
            }
        }
        slots
    }

    pub(super) fn records<'a>(
        &self,
        shard: Shard,
        ids: impl Iterator<Item = &'a OrderId>,
    ) -> autoreceive_redis_connection::redis::Cmd {
        let mut get = autoreceive_redis_connection::redis::cmd("HMGET");
        get.arg(self.keys.orders(shard));
        for id in ids {
            get.arg(id.as_str());
        }
        get
    }

    pub(super) async fn all_terms(
        &self,
        wanted: &[(Shard, Revision)],
    ) -> Result<Vec<Option<Terms>>, StoreError> {
        let mut pipe = Pipeline::with_capacity(wanted.len());
        for (shard, revision) in wanted {
            pipe.cmd("HGET").arg(self.keys.terms(*shard)).arg(revision.as_str());
        }
        let mut replies = self.ask(&pipe).await?;
        wanted.iter().map(|(_, revision)| read_terms(revision, replies.text()?)).collect()
    }

    /// The lowest time in one sorted set of each shard.
    pub(super) async fn first_times(
        &self,
        shards: &[Shard],
        key: impl Fn(Shard) -> String,
    ) -> Result<At<Results<Option<Time>>>, StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        for &shard in shards {
            pipe.cmd("ZRANGE").arg(key(shard)).arg(0).arg(0).arg("WITHSCORES");
        }
        let mut replies = self.ask(&pipe).await?;
        let found = self.found(&mut replies)?;
        Ok(found.map(|()| shards.iter().map(|_| replies.first_time()).collect()))
    }

    /// The next due time of each shard. This runs about once a second, so it also closes idle
    /// connections.
    pub(super) async fn next_due(&self, looks: &[Look]) -> Results<At<DueShard>> {
        self.pinned.tidy(self.link.era());
        let shards: Vec<Shard> = looks.iter().map(|look| look.shard).collect();
        let firsts = match self.first_times(&shards, |shard| self.keys.due(shard)).await {
            Ok(firsts) => firsts,
            Err(error) => return looks.iter().map(|_| Err(error.clone())).collect(),
        };
        let now = firsts.now;
        let state = firsts.shard;
        let due = |(look, first): (&Look, Result<_, StoreError>)| {
            let mut value = self.nothing_due(look.shard);
            value.next_at = first?;
            Ok(At { now, shard: state.clone(), value })
        };
        looks.iter().zip(firsts.value).map(due).collect()
    }

    fn nothing_due(&self, shard: Shard) -> DueShard {
        let mut due = DueShard::empty(shard);
        due.suggested = self.batch_size.orders();
        due
    }

    /// Asks by the estimated time and for ids only, because scores are expensive to write and to
    /// parse. The next due time is asked only if all due orders were found.
    pub(super) async fn due_orders(&self, looks: &[Look], limit: usize) -> Results<At<DueShard>> {
        let mut by = self.time.estimate();
        let found = match self.due_ids(looks, limit, by).await {
            // The estimate was far too early: it is the first call, or the clock was advanced.
            Ok(found) if found.now > by.after(FAR_BEHIND) => {
                by = found.now;
                self.due_ids(looks, limit, by).await
            }
            found => found,
        };
        let all_failed =
            |error: StoreError| looks.iter().map(|_| Err(error.clone())).collect::<Vec<_>>();
        let found = match found {
            Ok(found) => found,
            Err(error) => return all_failed(error),
        };
        let now = found.now;
        let state = found.shard;
        let is_full = |look: &Look, ids: &[OrderId]| ids.len() >= limit.saturating_add(look.extra);
        let mut pipe = Pipeline::with_capacity(looks.len());
        for (look, ids) in looks.iter().zip(&found.value) {
            let Ok(ids) = ids else { continue };
            if !ids.is_empty() {
                pipe.add_command(self.records(look.shard, ids.iter()));
            }
            if !is_full(look, ids) {
                let key = self.keys.due(look.shard);
                pipe.cmd("ZRANGE").arg(key).arg(format!("({}", by.ms())).arg("+inf").arg("BYSCORE");
                pipe.arg("LIMIT").arg(0).arg(1).arg("WITHSCORES");
            }
        }
        let watched = match (looks, &*found.value) {
            ([look], [Ok(ids)]) if ids.len() >= watch::MIN_ORDERS => {
                self.read_watching(look.shard, ids, &pipe).await
            }
            _ => None,
        };
        let (mut replies, mut read) = match watched {
            Some(watched) => watched,
            None => match self.ask(&pipe).await {
                Ok(replies) => (replies, None),
                Err(error) => return all_failed(error),
            },
        };
        let mut shards = Vec::with_capacity(looks.len());
        for (look, ids) in looks.iter().zip(found.value) {
            let due = ids.and_then(|ids| {
                let mut due = self.nothing_due(look.shard);
                let is_full = is_full(look, &ids);
                // Take both answers before either can fail, so that the next shard reads its own.
                let records = (!ids.is_empty()).then(|| replies.list());
                let next_at = if is_full { Ok(Some(by)) } else { replies.first_time() };
                due.orders = with_records(ids, &records.transpose()?.unwrap_or_default(), now, by);
                due.next_at = next_at?;
                due.read = read.take();
                Ok(due)
            });
            shards.push(due.map(|value| At { now, shard: state.clone(), value }));
        }
        shards
    }

    /// The ids of each shard with a due time of at most `by`.
    async fn due_ids(
        &self,
        looks: &[Look],
        limit: usize,
        by: Time,
    ) -> Result<At<Results<Vec<OrderId>>>, StoreError> {
        let mut pipe = Pipeline::with_capacity(looks.len() + 3);
        self.ask_time(&mut pipe);
        for look in looks {
            pipe.cmd("ZRANGE").arg(self.keys.due(look.shard)).arg("-inf").arg(by.ms());
            pipe.arg("BYSCORE").arg("LIMIT").arg(0).arg(limit.saturating_add(look.extra));
        }
        let mut replies = self.ask(&pipe).await?;
        let found = self.found(&mut replies)?;
        self.time.heard(found.now);
        let ids = |look: &Look| Ok(order_ids(look.shard, &replies.list()?));
        let ids = looks.iter().map(ids).collect();
        Ok(found.map(|()| ids))
    }

    pub(super) async fn ask(&self, pipe: &Pipeline) -> Result<Replies, StoreError> {
        let answers = self.link.send(pipe).await;
        answers.map(Replies::new).map_err(|failure| StoreError::Unavailable(failure.text()))
    }
}

fn read_terms(revision: &Revision, text: Option<String>) -> Result<Option<Terms>, StoreError> {
    let unreadable =
        |error| StoreError::Unavailable(format!("the terms of {revision} are unreadable: {error}"));
    text.map(|text| text.parse().map_err(unreadable)).transpose()
}

fn order_ids(shard: Shard, found: &[Value]) -> Vec<OrderId> {
    let mut ids = Vec::with_capacity(found.len());
    for value in found {
        match as_text(value).map(str::parse::<OrderId>) {
            Some(Ok(id)) => ids.push(id),
            _ => tracing::warn!(shard, ?value, "skipped a due entry that is not an order id"),
        }
    }
    ids
}

/// The orders with their records. If the server's clock was set back, an order that is due by the
/// estimated time only is left to a later call.
fn with_records(ids: Vec<OrderId>, records: &[Value], now: Time, by: Time) -> Vec<DueOrder> {
    let mut due = Vec::with_capacity(ids.len());
    for (id, record) in ids.into_iter().zip(records) {
        let order = order(&id, record);
        let due_at = order.as_ref().ok().and_then(|order| order.as_ref()?.next_due_at());
        if !due_at.is_some_and(|at| now < at && at <= by) {
            due.push(DueOrder { id, order });
        }
    }
    due
}
