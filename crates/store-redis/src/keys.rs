//! Every key name of this store, and no other file has one. `{p}` is the shard: the hash tag that keeps all that one
//! script touches in one slot of a cluster.

use autoreceive_domain::{ActionName, Shard, ShardCount};

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

    /// Sorted set: order id → next wake, ms.
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
    pub(super) fn purge(&self, shard: Shard) -> String {
        self.of(shard, "purge")
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

    /// Sorted set: event id of a dead letter → when it was given up, ms.
    pub(super) fn dead(&self, shard: Shard, action: &ActionName) -> String {
        self.of(shard, &format!("dead:{action}"))
    }

    /// Hash: event id of a dead letter → its text.
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

    /// Set: the names of all actions that ever had an entry.
    pub(super) fn actions(&self) -> String {
        format!("{}:actions", self.prefix)
    }

    /// Hash: action → how its receiver is doing.
    pub(super) fn circuits(&self) -> String {
        format!("{}:circuits", self.prefix)
    }

    /// Set: names that are kept in mind.
    pub(super) fn remembered(&self) -> String {
        format!("{}:remembered", self.prefix)
    }

    /// What every commit script is given, in the order in which the script names them.
    pub(super) fn commit(&self, shard: Shard) -> Vec<String> {
        ["orders", "due", "counts", "held", "purge", "terms", "clock"].map(|what| self.of(shard, what)).into()
    }

    /// Every key that does not depend on an action, with its type.
    pub(super) fn fixed(&self, shards: ShardCount) -> Vec<(String, &'static str)> {
        let types = ["hash", "zset", "hash", "zset", "zset", "hash", "string"];
        let mut fixed = vec![(self.workers(), "zset"), (self.actions(), "set"), (self.circuits(), "hash"), (self.remembered(), "set")];
        fixed.extend(shards.all().flat_map(|shard| self.commit(shard).into_iter().zip(types)));
        fixed
    }
}
