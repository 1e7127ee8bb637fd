//! What an action fails at, told in the log: the first failure at once, and no more than a line a
//! second, however many attempts fail while a receiver is away.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use autoreceive_domain::Event;

use crate::action::Outcome;
use autoreceive_store::ActionName;

const PAUSE: Duration = Duration::from_secs(1);

/// The failures of one action.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Told>);

#[derive(Default)]
struct Told {
    at: Option<Instant>,
    /// How many events failed since.
    failed: u64,
}

impl Failures {
    /// Tells of an event's outcome, if it is a failure and there was no line about another just
    /// now.
    pub(crate) fn note(&self, action: &ActionName, event: &Event, outcome: &Outcome) {
        let (why, next) = match outcome {
            Outcome::Done => return,
            Outcome::Retry { why, .. } => (why, "it is made again"),
            Outcome::Dead { why } => (why, "it is not made again"),
        };
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.failed += 1;
        if told.at.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        tracing::warn!(%action, event = %event.id(), failed = told.failed, why, "an attempt \
            failed; {next}");
        *told = Told { at: Some(Instant::now()), failed: 0 };
    }
}
