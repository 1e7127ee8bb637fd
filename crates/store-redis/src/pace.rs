//! How many due orders are taken at once. A commit of many is faster for each of them, but Redis does nothing else
//! meanwhile; so the number follows how soon commits are answered. With several on their way, an answer takes as long as all
//! those before it, and the PING of another client nearly as long (p99, `autoreceive bench herd`). A server that is slower, or
//! asked by many workers, gets smaller ones.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Commits that are answered later than this, the way to the server and back aside, are made smaller.
const ANSWERED_WITHIN: Duration = Duration::from_millis(12);
/// The fewest: below that the round trips cost more than the work.
const LEAST: usize = 50;
const FIRST: usize = 200;
const MOST: usize = 500;

/// Shrinks by a quarter, grows by an eighth.
pub(super) struct Pace {
    orders: AtomicUsize,
    /// The shortest answer so far, in nanoseconds: the way to the server and back, which smaller commits do not shorten.
    shortest: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { orders: AtomicUsize::new(FIRST), shortest: AtomicU64::new(u64::MAX) }
    }

    /// How many orders at once.
    pub(super) fn orders(&self) -> usize {
        self.orders.load(Ordering::Relaxed)
    }

    /// Takes in when a commit of so many orders was answered. Small ones say nothing.
    pub(super) fn answered(&self, orders: usize, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let way = Duration::from_nanos(self.shortest.fetch_min(nanos, Ordering::Relaxed).min(nanos));
        let now = self.orders();
        let next = match took - way > ANSWERED_WITHIN {
            true if orders >= LEAST => (now - now / 4).max(LEAST),
            false if orders >= now => (now + now / 8).min(MOST),
            _ => return,
        };
        self.orders.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_far_away_is_not_taken_for_a_slow_one() {
        let pace = Pace::new();
        for _ in 0..100 {
            pace.answered(pace.orders(), Duration::from_millis(80));
        }
        assert_eq!(pace.orders(), MOST);
    }

    #[test]
    fn a_slow_server_gets_small_commits_and_a_fast_one_large_ones() {
        let pace = Pace::new();
        for _ in 0..100 {
            pace.answered(pace.orders(), Duration::from_millis(5));
        }
        assert_eq!(pace.orders(), MOST);
        pace.answered(1, Duration::from_millis(500));
        assert_eq!(pace.orders(), MOST, "a single command that was slow says nothing about large commits");
        for _ in 0..100 {
            pace.answered(pace.orders(), Duration::from_millis(500));
        }
        assert_eq!(pace.orders(), LEAST);
        pace.answered(LEAST - 1, Duration::from_millis(5));
        assert_eq!(pace.orders(), LEAST, "a small commit that was fast says nothing about large ones");
    }
}
