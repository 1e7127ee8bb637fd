//! The store's figures.

use std::collections::HashMap;

use autoreceive_domain::{ActionName, Circuit, Time};
use autoreceive_redis_connection::redis::Pipeline;

use super::RedisStore;
use super::reply::Replies;
use autoreceive_store::{ActionStats, Space, Stats, StoreError};

impl RedisStore {
    pub(super) async fn read_stats(&self) -> Result<Stats, StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        pipe.cmd("HKEYS").arg(self.keys.space(Space::Actions));
        pipe.cmd("HGETALL").arg(self.keys.space(Space::Circuits));
        let mut replies = self.ask(&pipe).await?;
        let now = self.time_of(&mut replies)?;
        let names = replies.texts()?;
        let circuits = circuits(&mut replies)?;
        // An invalid name was not written by this program.
        let mut actions: Vec<ActionName> =
            names.iter().filter_map(|name| name.parse().ok()).collect();
        actions.sort_unstable();
        let mut replies = self.ask(&self.stats_of_all_shards(now, &actions)).await?;
        let stats = |name: &ActionName| ActionStats {
            circuit: circuits.get(name.as_str()).cloned().unwrap_or_default(),
            ..ActionStats::idle(name.clone())
        };
        let actions = actions.iter().map(stats).collect();
        let mut stats = Stats {
            now,
            orders: Vec::new(),
            totals: Vec::new(),
            waiting: 0,
            overdue: 0,
            oldest_overdue: None,
            held: 0,
            actions,
        };
        for _ in self.shards.all() {
            add_shard(&mut stats, &mut replies)?;
        }
        Ok(stats)
    }

    fn stats_of_all_shards(&self, now: Time, actions: &[ActionName]) -> Pipeline {
        let mut pipe = Pipeline::new();
        for shard in self.shards.all() {
            pipe.cmd("HGETALL").arg(self.keys.counts(shard));
            pipe.cmd("ZCARD").arg(self.keys.due(shard));
            pipe.cmd("ZCOUNT").arg(self.keys.due(shard)).arg("-inf").arg(now.ms());
            pipe.cmd("ZRANGE").arg(self.keys.due(shard)).arg(0).arg(0).arg("WITHSCORES");
            pipe.cmd("ZCARD").arg(self.keys.held(shard));
            for action in actions {
                pipe.cmd("ZCARD").arg(self.keys.out(shard, action));
                pipe.cmd("ZRANGE")
                    .arg(self.keys.out(shard, action))
                    .arg(0)
                    .arg(0)
                    .arg("WITHSCORES");
                pipe.cmd("ZCARD").arg(self.keys.dead(shard, action));
                pipe.cmd("ZRANGE")
                    .arg(self.keys.dead(shard, action))
                    .arg(0)
                    .arg(0)
                    .arg("WITHSCORES");
            }
        }
        pipe
    }
}

/// The circuits of all endpoints. An unreadable one counts as a closed circuit.
fn circuits(replies: &mut Replies) -> Result<HashMap<String, Circuit>, StoreError> {
    let texts = replies.texts()?;
    Ok(texts
        .chunks_exact(2)
        .filter_map(|pair| Some((pair[0].clone(), pair[1].parse().ok()?)))
        .collect())
}

fn add_shard(stats: &mut Stats, replies: &mut Replies) -> Result<(), StoreError> {
    let mut counts = replies.nested()?;
    while let Some((key, count)) = counts.pair()? {
        stats.add_count(&key, count);
    }
    stats.waiting += replies.count()?;
    stats.overdue += replies.count()?;
    let oldest = replies.first_time()?.filter(|at| *at <= stats.now);
    stats.oldest_overdue = stats.oldest_overdue.into_iter().chain(oldest).min();
    stats.held += replies.count()?;
    for action in &mut stats.actions {
        action.pending += replies.count()?;
        action.next_at = action.next_at.into_iter().chain(replies.first_time()?).min();
        action.dead += replies.count()?;
        action.oldest_dead = action.oldest_dead.into_iter().chain(replies.first_time()?).min();
    }
    Ok(())
}
