//! Remembers the last status of each order, so that a scan over a million unchanged keys asks the
//! store about none of them.
//!
//! The cache may be wrong: the store can lose an order (Redis with `everysec`, a restored backup).
//! So each scan ignores the cache for a sixteenth of the orders, and a lost order is found within
//! sixteen scans.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use autoreceive_domain::OrderId;

use super::observe::SkipReason;
use super::words::StatusClass;

/// Each order is checked again once in this many scans.
const ROUNDS: u128 = 16;
/// The most orders, at 32 bytes each. A full cache is cleared.
const CAPACITY: usize = 4_000_000;

/// The last status, and the reason if the order was skipped.
type LastSeen = (StatusClass, Option<SkipReason>);

/// Keyed by a 128-bit hash of the order id with a secret seed. Collisions do not occur in practice.
#[derive(Default)]
pub(super) struct SeenCache {
    seeds: (RandomState, RandomState),
    entries: HashMap<u128, LastSeen>,
    round: u128,
}

impl SeenCache {
    fn hash(&self, id: &OrderId) -> u128 {
        u128::from(self.seeds.0.hash_one(id.as_str())) << 64
            | u128::from(self.seeds.1.hash_one(id.as_str()))
    }

    /// The entry of an order, if its status is unchanged and it needs no check in this scan.
    pub(super) fn unchanged(&self, id: &OrderId, class: StatusClass) -> Option<LastSeen> {
        let hash = self.hash(id);
        self.entries
            .get(&hash)
            .filter(|(last, _)| *last == class && hash % ROUNDS != self.round)
            .copied()
    }

    /// The last status of an order.
    pub(super) fn last(&self, id: &OrderId) -> Option<StatusClass> {
        self.entries.get(&self.hash(id)).map(|(class, _)| *class)
    }

    /// Remembers a status after it was submitted or skipped.
    pub(super) fn insert(&mut self, id: &OrderId, class: StatusClass, skipped: Option<SkipReason>) {
        if self.entries.len() >= CAPACITY {
            self.entries.clear();
        }
        self.entries.insert(self.hash(id), (class, skipped));
    }

    /// Called at the start of each scan.
    pub(super) fn next_round(&mut self) {
        self.round = (self.round + 1) % ROUNDS;
    }

    /// Forgets everything: another worker may have scanned since.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_checked_again_once_in_sixteen_scans() {
        let mut cache = SeenCache::default();
        let ids: Vec<OrderId> = (0..100).map(|i| format!("A-{i}").parse().unwrap()).collect();
        for id in &ids {
            assert!(cache.unchanged(id, StatusClass::Paid).is_none());
            cache.insert(id, StatusClass::Paid, None);
        }
        let mut checks = vec![0; ids.len()];
        for _ in 0..16 {
            cache.next_round();
            for (id, checks) in ids.iter().zip(&mut checks) {
                *checks += usize::from(cache.unchanged(id, StatusClass::Paid).is_none());
            }
        }
        assert!(checks.iter().all(|&checks| checks == 1), "{checks:?}");
        assert!(
            ids.iter().all(|id| cache.unchanged(id, StatusClass::Cancelled).is_none()),
            "a changed status is always checked"
        );
    }
}
