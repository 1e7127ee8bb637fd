//! The deadline of a call.

use std::time::Duration;

use tokio::time::Instant;

/// Stands for "for ever": the clock cannot represent larger durations.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

/// The time by which a call must be finished, connecting included. All steps of a call share it, so
/// a slow first step leaves less time for the others.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// The deadline of a call that starts now and may take `timeout`.
    #[must_use]
    pub fn after(timeout: Duration) -> Deadline {
        let now = Instant::now();
        let at = now.checked_add(timeout).unwrap_or_else(|| now + FAR);
        Deadline { at, timeout }
    }

    /// The remaining time; zero if the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(crate) fn at(self) -> Instant {
        self.at
    }

    /// The time limit of the call.
    pub(crate) fn timeout(self) -> Duration {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_timeout_gives_a_distant_deadline() {
        assert!(Deadline::after(Duration::MAX).at() > Instant::now() + FAR / 2);
    }
}
