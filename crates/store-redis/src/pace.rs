//! How many due orders are taken at once. A commit of many is faster for each of them, but Redis
//! does nothing else meanwhile; so the number follows how soon commits are answered. With several
//! on their way, an answer takes as long as all those before it, and the PING of another client
//! nearly as long (p99, `autoreceive bench herd`). A server that is slower, or asked by many
//! workers, gets smaller ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Commits that are answered later than this, the way to the server and back aside, are made
/// smaller.
const ANSWERED_WITHIN: Duration = Duration::from_millis(12);
/// The fewest: below that the round trips cost more than the work.
const LEAST: usize = 50;
const FIRST: usize = 200;
const MOST: usize = 500;
/// For so long, and no more than twice as long, the shortest answer is remembered: after a failover
/// the way to the server may be longer.
const WINDOW: Duration = Duration::from_secs(30);

/// Shrinks by a quarter, grows by an eighth.
pub(super) struct Pace {
    orders: AtomicUsize,
    way: Mutex<Way>,
}

/// The way to the server and back, which smaller commits do not shorten: the shortest answer of
/// this window and the one before.
#[derive(Default)]
struct Way {
    since: Option<Instant>,
    shortest: Option<Duration>,
    before: Option<Duration>,
}

impl Way {
    fn with(&mut self, took: Duration, now: Instant) -> Duration {
        let age = self.since.map_or(Duration::MAX, |since| now.saturating_duration_since(since));
        if age >= WINDOW {
            self.before = self.shortest.filter(|_| age < 2 * WINDOW);
            self.shortest = None;
            self.since = Some(now);
        }
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        self.before.map_or(took, |before| before.min(took)).min(self.shortest.unwrap_or(took))
    }
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { orders: AtomicUsize::new(FIRST), way: Mutex::default() }
    }

    /// How many orders at once.
    pub(super) fn orders(&self) -> usize {
        self.orders.load(Ordering::Relaxed)
    }

    /// Takes in when a commit of so many orders was answered. Small ones say nothing.
    pub(super) fn answered(&self, orders: usize, took: Duration, now: Instant) {
        let way = self.way.lock().unwrap_or_else(PoisonError::into_inner).with(took, now);
        let size = self.orders();
        let next = match took.saturating_sub(way) > ANSWERED_WITHIN {
            true if orders >= LEAST => (size - size / 4).max(LEAST),
            false if orders >= size => (size + size / 8).min(MOST),
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
        let (pace, now) = (Pace::new(), Instant::now());
        for _ in 0..100 {
            pace.answered(pace.orders(), Duration::from_millis(80), now);
        }
        assert_eq!(pace.orders(), MOST);
    }

    #[test]
    fn a_slow_server_gets_small_commits_and_a_fast_one_large_ones() {
        let (pace, now) = (Pace::new(), Instant::now());
        for _ in 0..100 {
            pace.answered(pace.orders(), Duration::from_millis(5), now);
        }
        assert_eq!(pace.orders(), MOST);
        pace.answered(1, Duration::from_millis(500), now);
        assert_eq!(
            pace.orders(),
            MOST,
            "a single command that was slow says nothing about large commits"
        );
        for _ in 0..100 {
            pace.answered(pace.orders(), Duration::from_millis(500), now);
        }
        assert_eq!(pace.orders(), LEAST);
        pace.answered(LEAST - 1, Duration::from_millis(5), now);
        assert_eq!(
            pace.orders(),
            LEAST,
            "a small commit that was fast says nothing about large ones"
        );
    }

    #[test]
    fn after_a_failover_to_a_server_further_away_commits_grow_again() {
        let (pace, start) = (Pace::new(), Instant::now());
        pace.answered(200, Duration::from_millis(1), start);
        // The other server answers one commit a second, each after 40 ms.
        let mut sizes = Vec::new();
        for second in 1..120 {
            pace.answered(
                pace.orders(),
                Duration::from_millis(40),
                start + Duration::from_secs(second),
            );
            sizes.push(pace.orders());
        }
        assert_eq!(sizes[20], LEAST, "at first it is taken for a slow one");
        assert_eq!(sizes.last(), Some(&MOST));
    }

    #[test]
    fn the_way_is_remembered_over_the_end_of_a_window_and_not_over_a_pause() {
        let (mut way, start) = (Way::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let ms = Duration::from_millis;
        assert_eq!(way.with(ms(1), at(0)), ms(1));
        assert_eq!(way.with(ms(40), at(31)), ms(1));
        assert_eq!(way.with(ms(41), at(62)), ms(40));
        assert_eq!(way.with(ms(50), at(200)), ms(50));
    }
}
