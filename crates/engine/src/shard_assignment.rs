//! Which shards this worker looks after first. Each shard belongs to the living worker whose name
//! and the shard's number give the highest hash (rendezvous hashing, Thaler and Ravishankar 1998),
//! unless that one has its even share already (bounded loads, Mirrokni, Thorup and Zadimoghaddam
//! 2016): all have equally much to do, and when one comes or goes, little more than its share
//! moves. It is a preference, not a lock: what is late is anybody's, and the version decides who
//! was first.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use autoreceive_domain::Span;
use autoreceive_store::Shard;

/// How late something must be before a worker does what is another's: longer than most herds take,
/// and short enough that an order whose worker is dead is received within a second, where the
/// others are not behind.
pub(crate) const PATIENCE: Span = Span::from_ms(500);
/// How long ago a worker's last sign of life may be, at least.
pub(crate) const ALIVE_WITHIN: Span = Span::FIVE_SECONDS;

/// What the name of a worker with an intake ends with: those share the scanning of the shop's keys.
pub(crate) const WITH_INTAKE: &str = "-intake";

/// The shards of this worker.
pub(crate) struct ShardAssignment {
    me: String,
    mine: RwLock<Vec<bool>>,
}

impl ShardAssignment {
    /// Alone: every shard is this worker's.
    pub(crate) fn alone(me: &str, shards: Shard) -> ShardAssignment {
        ShardAssignment { me: me.to_owned(), mine: RwLock::new(vec![true; shards.into()]) }
    }

    /// This worker's name.
    pub(crate) fn me(&self) -> &str {
        &self.me
    }

    /// Shares the shards out anew among `living`.
    pub(crate) fn update(&self, living: &[String]) {
        let mut mine = self.mine.write().unwrap_or_else(PoisonError::into_inner);
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

    /// Whether it is this worker, of the `living`, that scans the shop's keys.
    pub(crate) fn leads_intake(&self, living: &[String]) -> bool {
        highest(living.iter().filter(|worker| worker.ends_with(WITH_INTAKE)), "intake")
            == Some(&self.me)
    }

    /// How many of `all` fall to this worker, as many as it has of the shards, and two at least:
    /// while one is answered, it decides another.
    pub(crate) fn share_of(&self, all: usize) -> usize {
        let mine = self.mine.read().unwrap_or_else(PoisonError::into_inner);
        let count = mine.iter().filter(|is_mine| **is_mine).count();
        (all * count).div_ceil(mine.len().max(1)).max(2)
    }

    /// Whether this worker looks after the shard first.
    pub(crate) fn is_mine(&self, shard: Shard) -> bool {
        let mine = self.mine.read().unwrap_or_else(PoisonError::into_inner);
        mine.get(usize::from(shard)).copied().unwrap_or(true)
    }
}

/// The worker that `what` falls to.
fn highest<'a>(workers: impl Iterator<Item = &'a String>, what: &str) -> Option<&'a str> {
    workers
        .map(String::as_str)
        .max_by_key(|worker| (crc32fast::hash(format!("{worker}/{what}").as_bytes()), *worker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_living_worker_with_an_intake_scans() {
        let names: Vec<String> =
            (0..6).map(|i| format!("w{i}{}", if i < 3 { WITH_INTAKE } else { "" })).collect();
        let leaders = |living: &[String]| -> Vec<usize> {
            let teams: Vec<ShardAssignment> =
                living.iter().map(|me| ShardAssignment::alone(me, 1)).collect();
            (0..living.len()).filter(|&i| teams[i].leads_intake(living)).collect()
        };
        let all = leaders(&names);
        assert!(all.len() == 1 && all[0] < 3, "{all:?}");
        assert_eq!(leaders(&names[3..]), [0usize; 0]);
    }

    #[test]
    fn every_shard_belongs_to_exactly_one_living_worker_all_have_even_shares_and_little_more_than_that_of_the_dead_moves()
     {
        let names: Vec<String> = (0..4).map(|i| format!("worker-{i}")).collect();
        let owners = |living: &[String]| -> Vec<Vec<usize>> {
            let teams: Vec<ShardAssignment> =
                living.iter().map(|me| ShardAssignment::alone(me, 64)).collect();
            teams.iter().for_each(|team| team.update(living));
            (0..64)
                .map(|shard| (0..living.len()).filter(|&i| teams[i].is_mine(shard)).collect())
                .collect()
        };
        let (before, after) = (owners(&names), owners(&names[..3]));
        assert!(before.iter().chain(&after).all(|owners| owners.len() == 1));
        assert!((0..4).all(|i| before.iter().filter(|owner| owner[0] == i).count() == 16));
        assert!((0..3).all(|i| after.iter().filter(|owner| owner[0] == i).count() <= 22));
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before[0] != 3 && before != after)
            .count();
        assert!(moved <= 8, "{moved} moved needlessly");
    }
}
