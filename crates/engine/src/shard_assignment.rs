//! Which shards this worker processes first. Each shard belongs to the living worker with the
//! highest hash of worker name and shard number (rendezvous hashing, Thaler and Ravishankar 1998),
//! unless that worker already has an even share (bounded loads, Mirrokni, Thorup and Zadimoghaddam
//! 2016). So all workers have equal shares, and when a worker joins or leaves, little more than its
//! share moves. The assignment is a preference, not a lock: any worker may process overdue orders,
//! and the version check decides which commit counts.

use std::collections::HashMap;

use autoreceive_domain::Span;
use autoreceive_store::Shard;
use parking_lot::RwLock;

/// How overdue an order must be before another worker processes it. Longer than most herds take,
/// and short enough that an order of a dead worker is received within a second if the others have
/// no backlog.
pub(crate) const GRACE: Span = Span::from_ms(500);
/// The least time after the last heartbeat before a worker counts as dead.
pub(crate) const ALIVE_WITHIN: Span = Span::FIVE_SECONDS;

/// Suffix of the names of workers with an intake; one of them scans the shop's keys.
pub(crate) const WITH_INTAKE: &str = "-intake";

/// The shards of this worker.
pub(crate) struct ShardAssignment {
    me: String,
    mine: RwLock<Vec<bool>>,
}

impl ShardAssignment {
    /// Assigns every shard to this worker.
    pub(crate) fn alone(me: &str, shards: Shard) -> ShardAssignment {
        ShardAssignment { me: me.to_owned(), mine: RwLock::new(vec![true; shards.into()]) }
    }

    /// This worker's name.
    pub(crate) fn me(&self) -> &str {
        &self.me
    }

    /// Distributes the shards among the living workers.
    pub(crate) fn update(&self, living: &[String]) {
        let mut mine = self.mine.write();
        let mut room: HashMap<&str, usize> = HashMap::new();
        let share = mine.len().div_ceil(living.len().max(1));
        for (shard, is_mine) in mine.iter_mut().enumerate() {
            let with_room = living
                .iter()
                .filter(|worker| room.get(worker.as_str()).is_none_or(|left| *left > 0));
            let owner = highest(with_room, &shard.to_string());
            if let Some(owner) = owner {
                *room.entry(owner).or_insert(share) -= 1;
            }
            *is_mine = owner.is_none_or(|owner| owner == self.me);
        }
    }

    /// Whether this worker, of the `living`, scans the shop's keys.
    pub(crate) fn leads_intake(&self, living: &[String]) -> bool {
        highest(living.iter().filter(|worker| worker.ends_with(WITH_INTAKE)), "intake")
            == Some(&self.me)
    }

    /// This worker's share of `all`, in proportion to its shards. At least 2, so that it decides
    /// one batch while the store commits another.
    pub(crate) fn share_of(&self, all: usize) -> usize {
        let mine = self.mine.read();
        let count = mine.iter().filter(|is_mine| **is_mine).count();
        (all * count).div_ceil(mine.len().max(1)).max(2)
    }

    /// Whether this worker processes the shard first.
    pub(crate) fn is_mine(&self, shard: Shard) -> bool {
        let mine = self.mine.read();
        mine.get(usize::from(shard)).copied().unwrap_or(true)
    }
}

/// The worker with the highest hash for `key`.
fn highest<'a>(workers: impl Iterator<Item = &'a String>, key: &str) -> Option<&'a str> {
    workers
        .map(String::as_str)
        .max_by_key(|worker| (crc32fast::hash(format!("{worker}/{key}").as_bytes()), *worker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_living_worker_with_an_intake_scans() {
        let names: Vec<String> =
            (0..6).map(|i| format!("w{i}{}", if i < 3 { WITH_INTAKE } else { "" })).collect();
        let leaders = |living: &[String]| -> Vec<usize> {
            let workers: Vec<ShardAssignment> =
                living.iter().map(|me| ShardAssignment::alone(me, 1)).collect();
            (0..living.len()).filter(|&i| workers[i].leads_intake(living)).collect()
        };
        let all = leaders(&names);
        assert!(all.len() == 1 && all[0] < 3, "{all:?}");
        assert_eq!(leaders(&names[3..]), [0usize; 0]);
    }

    #[test]
    fn shares_are_even_and_a_death_moves_little_more_than_one_share() {
        let names: Vec<String> = (0..4).map(|i| format!("worker-{i}")).collect();
        let owners = |living: &[String]| -> Vec<Vec<usize>> {
            let workers: Vec<ShardAssignment> =
                living.iter().map(|me| ShardAssignment::alone(me, 64)).collect();
            for worker in &workers {
                worker.update(living);
            }
            (0..64)
                .map(|shard| (0..living.len()).filter(|&i| workers[i].is_mine(shard)).collect())
                .collect()
        };
        let before = owners(&names);
        let after = owners(&names[..3]);
        assert!(before.iter().chain(&after).all(|owners| owners.len() == 1));
        assert!((0..4).all(|i| before.iter().filter(|owner| owner[0] == i).count() == 16));
        assert!((0..3).all(|i| after.iter().filter(|owner| owner[0] == i).count() <= 22));
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before[0] != 3 && before != after)
            .count();
        assert!(moved <= 8, "{moved} shards moved needlessly");
    }
}
