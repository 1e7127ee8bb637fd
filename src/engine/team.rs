//! Which shards this worker looks after first. Each shard belongs to the living worker whose name and the shard's number
//! give the highest hash (rendezvous hashing, Thaler and Ravishankar 1998): when one comes or goes, only its share moves.
//! It is a preference, not a lock: what is late is anybody's, and the version decides who was first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::store::Shard;

/// What the name of a worker with an intake ends with: those share the scanning of the shop's keys.
pub(crate) const WITH_INTAKE: &str = "-intake";

/// The shards of this worker.
pub(crate) struct Team {
    me: String,
    mine: RwLock<Vec<bool>>,
    leads_intake: AtomicBool,
}

impl Team {
    /// Alone: every shard is this worker's.
    pub(crate) fn alone(me: &str, shards: Shard) -> Team {
        let leads_intake = AtomicBool::new(me.ends_with(WITH_INTAKE));
        Team { me: me.to_owned(), mine: RwLock::new(vec![true; shards.into()]), leads_intake }
    }

    /// This worker's name.
    pub(crate) fn me(&self) -> &str {
        &self.me
    }

    /// Shares the shards out anew among `living`.
    pub(crate) fn update(&self, living: &[String]) {
        let mut mine = self.mine.write().unwrap_or_else(PoisonError::into_inner);
        for (shard, is_mine) in mine.iter_mut().enumerate() {
            *is_mine = self.is_highest(living.iter(), &shard.to_string());
        }
        let others = living.iter().filter(|worker| worker.ends_with(WITH_INTAKE));
        let leads = self.me.ends_with(WITH_INTAKE) && self.is_highest(others, "intake");
        self.leads_intake.store(leads, Ordering::Relaxed);
    }

    fn is_highest<'a>(&self, mut living: impl Iterator<Item = &'a String>, what: &str) -> bool {
        let rank = |worker: &str| crc32fast::hash(format!("{worker}/{what}").as_bytes());
        let my_rank = (rank(&self.me), self.me.as_str());
        living.all(|other| (rank(other), other.as_str()) <= my_rank)
    }

    /// Whether it is this worker that scans the shop's keys.
    pub(crate) fn leads_intake(&self) -> bool {
        self.leads_intake.load(Ordering::Relaxed)
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
    fn one_living_worker_with_an_intake_scans() {
        let names: Vec<String> = (0..6).map(|i| format!("w{i}{}", if i < 3 { WITH_INTAKE } else { "" })).collect();
        let leaders = |living: &[String]| -> Vec<usize> {
            let teams: Vec<Team> = living.iter().map(|me| Team::alone(me, 1)).collect();
            teams.iter().for_each(|team| team.update(living));
            (0..living.len()).filter(|&i| teams[i].leads_intake()).collect()
        };
        let all = leaders(&names);
        assert!(all.len() == 1 && all[0] < 3, "{all:?}");
        assert_eq!(leaders(&names[3..]), [0usize; 0]);
    }

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
