//! All key names of this store; no other file contains one. `{p}` is the shard. This hash tag keeps
//! all keys of one script in one slot of a cluster.

use autoreceive_domain::{ActionName, Shard, ShardCount};
use autoreceive_store::{Lane, List, Queue, Space};

/// The key names under one prefix.
pub(super) struct KeyNames {
    prefix: String,
}

impl KeyNames {
    /// The key names under `prefix`.
    pub(super) fn new(prefix: &str) -> KeyNames {
        KeyNames { prefix: prefix.to_owned() }
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

    /// Hash: name of a count, see [`Change::tally`](autoreceive_store::Change::tally) → the count.
    pub(super) fn counts(&self, shard: Shard) -> String {
        self.of(shard, "counts")
    }

    /// Sorted set: id of a held order → since when, in ms.
    pub(super) fn held(&self, shard: Shard) -> String {
        self.of(shard, "held")
    }

    /// Sorted set: ids of the orders that rest after one commit, one a line → end of retention, in
    /// ms.
    pub(super) fn retention(&self, shard: Shard) -> String {
        self.of(shard, "retention")
    }

    /// Hash: policy revision → terms.
    pub(super) fn terms(&self, shard: Shard) -> String {
        self.of(shard, "terms")
    }

    /// String: the offset of a test clock in ms; only on a store with a test clock.
    pub(super) fn clock(&self, shard: Shard) -> String {
        self.of(shard, "clock")
    }

    /// Sorted set: entry id → next attempt or end of the lease, in ms.
    pub(super) fn out(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("out:{action}"))
    }

    /// Hash: entry id → its text.
    pub(super) fn outdata(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("outdata:{action}"))
    }

    /// Sorted set: id of a dead letter → when it died, in ms.
    pub(super) fn dead(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("dead:{action}"))
    }

    /// Hash: id of a dead letter → its text.
    pub(super) fn deaddata(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("deaddata:{action}"))
    }

    /// Hash: identity, format and settings of the store.
    pub(super) fn meta(&self) -> String {
        format!("{}:meta", self.prefix)
    }

    /// Sorted set: worker → last heartbeat, in ms.
    pub(super) fn workers(&self) -> String {
        format!("{}:workers", self.prefix)
    }

    /// Hash: the values of one space of the register.
    pub(super) fn space(&self, space: Space) -> String {
        format!("{}:{}", self.prefix, space.as_str())
    }

    /// Stream: the rows of a capped list.
    pub(super) fn log(&self, list: &List) -> String {
        format!("{}:log:{list}", self.prefix)
    }

    /// A sample key of a capped list.
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

    /// Every key that does not depend on an action or a list, with its type.
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
