//! Limits the rate of attempts at one endpoint.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Allows attempts at a fixed interval. There are no bursts: an endpoint's own limit may count
/// over any second.
pub struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// At most `rate` attempts a second.
    pub fn new(rate: u32) -> Pace {
        Pace { interval: Duration::from_secs(1) / rate.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits until the next attempt may start.
    pub async fn wait(&self) {
        sleep_until(self.reserve()).await;
    }

    fn reserve(&self) -> Instant {
        let mut next = self.next.lock();
        let start = Instant::now().max(*next);
        *next = start + self.interval;
        start
    }
}
