//! How fast a receiver is attempted.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Gives out turns at a fixed distance. There are no bursts: a receiver's own limit may count over
/// any second.
pub struct Pace {
    distance: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// At most `rate` turns a second.
    pub fn new(rate: u32) -> Pace {
        Pace { distance: Duration::from_secs(1) / rate.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits for the next turn.
    pub async fn turn(&self) {
        sleep_until(self.reserve()).await;
    }

    fn reserve(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Instant::now().max(*next);
        *next = turn + self.distance;
        turn
    }
}
