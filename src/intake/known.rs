//! What was seen of each order last, so that a scan over a million keys that did not change asks
//! the store about none.
//!
//! It is a memory, never the truth: of all that is remembered, a sixteenth is looked at anew in
//! each scan, so that an order that the store lost (Redis with `everysec`, a restored backup) is
//! found again within sixteen scans.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use autoreceive_domain::OrderId;

use super::look::Left;
use super::words::Class;

/// In how many scans everything is looked at anew.
const ROUNDS: u128 = 16;
/// How many orders are remembered, in 32 bytes each; when it is exceeded, all are looked at anew.
const MOST: usize = 4_000_000;

/// What was seen last, and why it was left alone, if it was.
type Note = (Class, Option<Left>);

/// Orders by a hash of 128 bits with a secret seed: two that share one are not met.
#[derive(Default)]
pub(super) struct Known {
    seeds: (RandomState, RandomState),
    seen: HashMap<u128, Note>,
    round: u128,
}

impl Known {
    fn hash(&self, id: &OrderId) -> u128 {
        u128::from(self.seeds.0.hash_one(id.as_str())) << 64
            | u128::from(self.seeds.1.hash_one(id.as_str()))
    }

    /// What is known of an order, where nothing follows from seeing this again.
    pub(super) fn recall(&self, id: &OrderId, class: Class) -> Option<Note> {
        let hash = self.hash(id);
        self.seen
            .get(&hash)
            .filter(|(known, _)| *known == class && hash % ROUNDS != self.round)
            .copied()
    }

    /// As what an order was seen last.
    pub(super) fn last(&self, id: &OrderId) -> Option<Class> {
        self.seen.get(&self.hash(id)).map(|(class, _)| *class)
    }

    /// Everything that follows from it was done.
    pub(super) fn note(&mut self, id: &OrderId, class: Class, left: Option<Left>) {
        if self.seen.len() >= MOST {
            self.seen.clear();
        }
        self.seen.insert(self.hash(id), (class, left));
    }

    /// A scan begins.
    pub(super) fn next_round(&mut self) {
        self.round = (self.round + 1) % ROUNDS;
    }

    /// Another worker may have done something since.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_looked_at_anew_once_in_sixteen_scans() {
        let mut known = Known::default();
        let ids: Vec<OrderId> = (0..100).map(|i| format!("A-{i}").parse().unwrap()).collect();
        assert!(ids.iter().all(|id| known.recall(id, Class::Paid).is_none()));
        ids.iter().for_each(|id| known.note(id, Class::Paid, None));
        let mut looks = vec![0; ids.len()];
        for _ in 0..16 {
            known.next_round();
            ids.iter().zip(&mut looks).for_each(|(id, looks)| {
                *looks += usize::from(known.recall(id, Class::Paid).is_none())
            });
        }
        assert!(looks.iter().all(|&looks| looks == 1), "{looks:?}");
        assert!(
            ids.iter().all(|id| known.recall(id, Class::Cancelled).is_none()),
            "another word is looked at always"
        );
    }
}
