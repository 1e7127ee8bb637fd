//! Every key name of this store, and no other file has one. `{p}` is the shard: the hash tag that
//! keeps all that one script touches in one slot of a cluster.

use autoreceive_domain::{ActionName, Shard, ShardCount};
use autoreceive_store::{Lane, List, Queue, Space};

/// The names under one prefix.
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// The names under `prefix`.
    pub(super) fn new(prefix: &str) -> Keys {
        Keys { prefix: prefix.to_owned() }
    }

    fn of(&self, shard: Shard, what: &str) -> String {
        format!("{}:{{{shard}}}:{what}", self.prefix)
    }

    /// Hash: order id → record.
    pub(super) fn orders(&self, shard: Shard) -> String {
        self.of(shard, "orders")
    }

    /// Sorted set: order id → its due time, ms.
    pub(super) fn due(&self, shard: Shard) -> String {
        self.of(shard, "due")
    }

    /// Hash: what [`Change::tally`](autoreceive_store::Change::tally) counts → how many.
    pub(super) fn counts(&self, shard: Shard) -> String {
        self.of(shard, "counts")
    }

    /// Sorted set: id of a held order → since when, ms.
    pub(super) fn held(&self, shard: Shard) -> String {
        self.of(shard, "held")
    }

    /// Sorted set: the ids that one commit brought to rest, one a line → when to look at them, ms.
    pub(super) fn retention(&self, shard: Shard) -> String {
        self.of(shard, "retention")
    }

    /// Hash: policy revision → terms.
    pub(super) fn terms(&self, shard: Shard) -> String {
        self.of(shard, "terms")
    }

    /// String: by how many ms the time of a store for tests was put forward; no other store has it.
    pub(super) fn clock(&self, shard: Shard) -> String {
        self.of(shard, "clock")
    }

    /// Sorted set: entry id → next attempt or end of its lease, ms.
    pub(super) fn out(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("out:{action}"))
    }

    /// Hash: entry id → its text.
    pub(super) fn outdata(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("outdata:{action}"))
    }

    /// Sorted set: id of a dead letter → when it was given up, ms.
    pub(super) fn dead(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("dead:{action}"))
    }

    /// Hash: id of a dead letter → its text.
    pub(super) fn deaddata(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("deaddata:{action}"))
    }

    /// Hash: what this store is.
    pub(super) fn meta(&self) -> String {
        format!("{}:meta", self.prefix)
    }

    /// Sorted set: worker → last sign of life, ms.
    pub(super) fn workers(&self) -> String {
        format!("{}:workers", self.prefix)
    }

    /// Hash: the facts of one kind that all workers share.
    pub(super) fn space(&self, space: Space) -> String {
        format!("{}:{}", self.prefix, space.as_str())
    }

    /// Stream: the lines of a capped list.
    pub(super) fn log(&self, list: &List) -> String {
        format!("{}:log:{list}", self.prefix)
    }

    /// A name like those of the capped lists.
    pub(super) fn any_log(&self) -> String {
        format!("{}:log:any", self.prefix)
    }

    /// The sorted set and the hash of a queue.
    pub(super) fn queue(&self, shard: Shard, queue: &Queue) -> [String; 2] {
        let action = &queue.action;
        match queue.lane {
            Lane::Pending => [self.out(shard, action), self.outdata(shard, action)],
            Lane::Dead => [self.dead(shard, action), self.deaddata(shard, action)],
        }
    }

    /// Every key that depends neither on an action nor on a list, with its type.
    pub(super) fn fixed(&self, shards: ShardCount) -> Vec<(String, &'static str)> {
        let mut fixed = vec![(self.workers(), "zset")];
        fixed.extend(Space::ALL.map(|space| (self.space(space), "hash")));
        for shard in shards.all() {
            fixed.push((self.orders(shard), "hash"));
            fixed.push((self.due(shard), "zset"));
            fixed.push((self.counts(shard), "hash"));
            fixed.push((self.held(shard), "zset"));
            fixed.push((self.retention(shard), "zset"));
            fixed.push((self.terms(shard), "hash"));
            fixed.push((self.clock(shard), "string"));
        }
        fixed
    }
}
