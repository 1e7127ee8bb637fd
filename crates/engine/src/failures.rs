//! Logs failed attempts: the first at once, then at most one line a second, however many attempts
//! fail during an outage.

use std::time::{Duration, Instant};

use autoreceive_domain::Event;
use parking_lot::Mutex;

use crate::action::Outcome;
use autoreceive_store::ActionName;

const PAUSE: Duration = Duration::from_secs(1);

/// The failures of one action.
#[derive(Default)]
pub(crate) struct FailureLog(Mutex<LastLine>);

#[derive(Default)]
struct LastLine {
    at: Option<Instant>,
    /// Failed events since the last line.
    failed: u64,
}

impl FailureLog {
    /// Logs a failed outcome, unless the last line is less than a second old.
    pub(crate) fn note(&self, action: &ActionName, event: &Event, outcome: &Outcome) {
        let (why, next) = match outcome {
            Outcome::Done => return,
            Outcome::Retry { why, .. } => (why, "and will be retried"),
            Outcome::Dead { why } => (why, "for good; the event is a dead letter"),
        };
        let mut last = self.0.lock();
        last.failed += 1;
        if last.at.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        tracing::warn!(%action, event = %event.id(), failed = last.failed, why, "an attempt \
            failed {next}");
        *last = LastLine { at: Some(Instant::now()), failed: 0 };
    }
}
