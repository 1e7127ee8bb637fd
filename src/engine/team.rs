//! Which shards this worker looks after first. Each shard belongs to the living worker whose name and the shard's number
//! give the highest hash (rendezvous hashing, Thaler and Ravishankar 1998): when one comes or goes, only its share moves.
//! It is a preference, not a lock: what is late is anybody's, and the version decides who was first.

use std::sync::{PoisonError, RwLock};

use crate::store::Shard;

/// The shards of this worker.
pub(crate) struct Team {
    me: String,
    mine: RwLock<Vec<bool>>,
}

impl Team {
    /// Alone: every shard is this worker's.
    pub(crate) fn alone(me: &str, shards: Shard) -> Team {
        Team { me: me.to_owned(), mine: RwLock::new(vec![true; shards.into()]) }
    }

    /// This worker's name.
    pub(crate) fn me(&self) -> &str {
        &self.me
    }

    /// Shares the shards out anew among `living`.
    pub(crate) fn update(&self, living: &[String]) {
        let mut mine = self.mine.write().unwrap_or_else(PoisonError::into_inner);
        for (shard, is_mine) in mine.iter_mut().enumerate() {
            let rank = |worker: &str| crc32fast::hash(format!("{worker}/{shard}").as_bytes());
            let my_rank = (rank(&self.me), self.me.as_str());
            *is_mine = living.iter().all(|other| (rank(other), other.as_str()) <= my_rank);
        }
    }

    /// Whether this worker looks after the shard first.
    pub(crate) fn is_mine(&self, shard: Shard) -> bool {
        let mine = self.mine.read().unwrap_or_else(PoisonError::into_inner);
        mine.get(usize::from(shard)).copied().unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_belongs_to_exactly_one_living_worker_and_only_the_share_of_the_dead_moves() {
        let names: Vec<String> = (0..5).map(|i| format!("worker-{i}")).collect();
        let owners = |living: &[String]| -> Vec<Vec<usize>> {
            let teams: Vec<Team> = living.iter().map(|me| Team::alone(me, 64)).collect();
            teams.iter().for_each(|team| team.update(living));
            (0..64).map(|shard| (0..living.len()).filter(|&i| teams[i].is_mine(shard)).collect()).collect()
        };
        let (before, after) = (owners(&names), owners(&names[..4]));
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((before.len(), after.len()), (1, 1));
            assert!(before[0] == 4 || before == after);
        }
        assert!((0..5).all(|i| before.iter().filter(|owner| owner[0] == i).count() >= 4));
    }
}
