//! The end of a call.

use std::time::Duration;

use tokio::time::Instant;

/// As long as "for ever": the clock cannot count beyond all durations.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

/// When a call must be finished, connecting included. It is one for all steps of the call: a slow
/// first step leaves less time to the others.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// The deadline of a call that begins now and may take `timeout`.
    #[must_use]
    pub fn after(timeout: Duration) -> Deadline {
        let now = Instant::now();
        let at = now.checked_add(timeout).unwrap_or_else(|| now + FAR);
        Deadline { at, timeout }
    }

    /// How much time is left; nothing where it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(crate) fn at(self) -> Instant {
        self.at
    }

    /// How long the call could take from its beginning.
    pub(crate) fn timeout(self) -> Duration {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_beyond_all_clocks_is_far_away() {
        assert!(Deadline::after(Duration::MAX).at() > Instant::now() + FAR / 2);
    }
}
