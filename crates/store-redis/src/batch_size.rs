//! Suggested size of the next batch. Larger commits are cheaper for each order, but block Redis for
//! its other clients, so the size shrinks while commits are answered slowly. With several commits
//! in flight an answer takes as long as all commits before it, and so does the PING of another
//! client, nearly (p99, `autoreceive bench herd`). A slow server, or one with many workers, gets
//! smaller batches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A commit that takes longer than this, in addition to the round trip, shrinks the next ones.
const MAX_DELAY: Duration = Duration::from_millis(12);
/// The smallest size; below it, round trips cost more than the work.
const MIN: usize = 50;
const FIRST: usize = 200;
const MAX: usize = 500;
/// The shortest answer is remembered for this long, and at most twice as long, because after a
/// failover the round trip may be longer.
const WINDOW: Duration = Duration::from_secs(30);

/// Shrinks by a quarter, grows by an eighth.
pub(super) struct BatchSize {
    orders: AtomicUsize,
    round_trip: Mutex<MinRoundTrip>,
}

/// The round trip to the server, which smaller commits do not shorten: the shortest answer in this
/// window and the previous one.
#[derive(Default)]
struct MinRoundTrip {
    since: Option<Instant>,
    shortest: Option<Duration>,
    before: Option<Duration>,
}

impl MinRoundTrip {
    fn update(&mut self, took: Duration, now: Instant) -> Duration {
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

impl BatchSize {
    pub(super) fn new() -> BatchSize {
        BatchSize { orders: AtomicUsize::new(FIRST), round_trip: Mutex::default() }
    }

    /// The suggested number of orders.
    pub(super) fn orders(&self) -> usize {
        self.orders.load(Ordering::Relaxed)
    }

    /// Records the duration of a commit. Small commits are ignored.
    pub(super) fn record(&self, orders: usize, took: Duration, now: Instant) {
        let round_trip = self.round_trip.lock().update(took, now);
        let size = self.orders();
        let is_slow = took.saturating_sub(round_trip) > MAX_DELAY;
        let next = if is_slow && orders >= MIN {
            (size - size / 4).max(MIN)
        } else if !is_slow && orders >= size {
            (size + size / 8).min(MAX)
        } else {
            return;
        };
        self.orders.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_round_trip_does_not_shrink_batches() {
        let size = BatchSize::new();
        let now = Instant::now();
        for _ in 0..100 {
            size.record(size.orders(), Duration::from_millis(80), now);
        }
        assert_eq!(size.orders(), MAX);
    }

    #[test]
    fn slow_answers_shrink_batches_and_fast_answers_grow_them() {
        let size = BatchSize::new();
        let now = Instant::now();
        for _ in 0..100 {
            size.record(size.orders(), Duration::from_millis(5), now);
        }
        assert_eq!(size.orders(), MAX);
        size.record(1, Duration::from_millis(500), now);
        assert_eq!(size.orders(), MAX, "a slow single command does not shrink batches");
        for _ in 0..100 {
            size.record(size.orders(), Duration::from_millis(500), now);
        }
        assert_eq!(size.orders(), MIN);
        size.record(MIN - 1, Duration::from_millis(5), now);
        assert_eq!(size.orders(), MIN, "a fast small commit does not grow batches");
    }

    #[test]
    fn batches_grow_again_after_a_failover_to_a_more_distant_server() {
        let size = BatchSize::new();
        let start = Instant::now();
        size.record(200, Duration::from_millis(1), start);
        // The new server answers one commit a second, each after 40 ms.
        let mut sizes = Vec::new();
        for second in 1..120 {
            size.record(
                size.orders(),
                Duration::from_millis(40),
                start + Duration::from_secs(second),
            );
            sizes.push(size.orders());
        }
        assert_eq!(sizes[20], MIN, "at first it looks like a slow server");
        assert_eq!(sizes.last(), Some(&MAX));
    }

    #[test]
    fn the_round_trip_is_remembered_for_one_more_window_but_not_over_a_pause() {
        let mut round_trip = MinRoundTrip::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ms = Duration::from_millis;
        assert_eq!(round_trip.update(ms(1), at(0)), ms(1));
        assert_eq!(round_trip.update(ms(40), at(31)), ms(1));
        assert_eq!(round_trip.update(ms(41), at(62)), ms(40));
        assert_eq!(round_trip.update(ms(50), at(200)), ms(50));
    }
}
