//! Slows a relay down while its receiver only fails, and stops it while the receiver is disabled.
//! What this worker sees it tells the store about once a second, and hears there what the others
//! see: all act on the same circuit, also after a restart.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use autoreceive_domain::circuit::AttemptOutcomes;
use autoreceive_domain::{Circuit, Event, Time};

use crate::action::{Endpoint, Outcome, Subscription};
use crate::circuits;
use autoreceive_store::now::span;
use autoreceive_store::{Store, StoreError};

/// So many failures in a row, without a success, and only one event is attempted at a time.
const FAILURES: u32 = 20;
/// The waits between such attempts: the first, doubled up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// What one worker knows of the receiver of one action. Without an endpoint it lets everything
/// through.
pub(crate) struct Breaker {
    endpoint: Option<Endpoint>,
    state: Mutex<BreakerState>,
}

#[derive(Default)]
struct BreakerState {
    /// As the store last said.
    circuit: Circuit,
    /// What the store was not written yet.
    seen: AttemptOutcomes,
    /// How many failures there were since the last success, here.
    failures: u32,
    /// When the next event may be tried while the receiver fails, and how long to wait if it fails,
    /// too.
    probe_at: Option<Instant>,
    wait: Duration,
}

impl BreakerState {
    fn is_slowed(&self) -> bool {
        self.failures >= FAILURES
    }

    fn is_limited(&self) -> bool {
        self.circuit.disabled_at.is_some() || self.is_slowed()
    }

    /// What failed for good says something about the event, or was a clear no: not that a receiver
    /// is away.
    fn record(&mut self, event: &Event, outcome: &Outcome) {
        match outcome {
            Outcome::Dead { .. } => {}
            Outcome::Done => {
                self.seen.add("", true);
                self.failures = 0;
            }
            Outcome::Retry { .. } => {
                self.seen.add(&event.id(), false);
                self.failures = self.failures.saturating_add(1);
                self.schedule_probe(Instant::now());
            }
        }
    }

    /// Puts the next attempt off where the receiver fails only. What was under way when it began to
    /// fail is one failure, not many.
    fn schedule_probe(&mut self, now: Instant) {
        if self.is_slowed() && self.probe_at.is_none_or(|at| at <= now) {
            self.wait = if self.probe_at.is_none() {
                FIRST_WAIT
            } else {
                (self.wait * 2).clamp(FIRST_WAIT, LAST_WAIT)
            };
            self.probe_at = Some(now + self.wait);
        }
    }
}

impl Breaker {
    pub(crate) fn new(endpoint: Option<Endpoint>) -> Breaker {
        Breaker { endpoint, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many attempts more may be begun while `running` are made, of `most` in all; or how long
    /// none may.
    pub(crate) fn free_attempts(&self, running: usize, most: usize) -> Result<usize, Duration> {
        let state = self.state();
        if state.circuit.disabled_at.is_some() {
            return Err(LAST_WAIT);
        }
        if !state.is_slowed() {
            return Ok(most.saturating_sub(running));
        }
        match state
            .probe_at
            .map(|at| at.saturating_duration_since(Instant::now()))
            .filter(|wait| !wait.is_zero())
        {
            _ if running > 0 => Ok(0),
            Some(wait) => Err(wait),
            None => Ok(1),
        }
    }

    /// The most events in the next attempt, of `most` otherwise.
    pub(crate) fn batch(&self, most: usize) -> usize {
        if self.state().is_slowed() { 1 } else { most.max(1) }
    }

    /// Whether what is not begun is better left in the store.
    pub(crate) fn is_limited(&self) -> bool {
        self.state().is_limited()
    }

    /// Attempts made before this count for no event.
    pub(crate) fn enabled_at(&self) -> Option<Time> {
        self.state().circuit.enabled_at
    }

    /// Takes in how the attempts of events went.
    pub(crate) fn record_all<'a>(&self, attempts: impl Iterator<Item = (&'a Event, &'a Outcome)>) {
        if self.endpoint.is_some() {
            let mut state = self.state();
            attempts.for_each(|(event, outcome)| state.record(event, outcome));
        }
    }

    /// Takes in what is known of the receiver altogether. While others reach it, it does not fail
    /// only; where it fails only for all, a worker that has just started begins slowly. Returns
    /// whether it was disabled until now, or is from now on.
    pub(crate) fn update(&self, circuit: Circuit) -> bool {
        let mut state = self.state();
        let changed = state.circuit.disabled_at.is_some() != circuit.disabled_at.is_some();
        match circuit.failing_since {
            None if circuit.disabled_at.is_none() => {
                state.failures = state.failures.min(FAILURES - 1)
            }
            Some(_)
                if state.circuit.failing_since.is_none()
                    && state.probe_at.is_none()
                    && !state.seen.success =>
            {
                state.failures = FAILURES
            }
            _ => {}
        }
        if !state.is_slowed() {
            state.probe_at = None;
        }
        state.circuit = circuit;
        changed
    }

    /// Tells the store what was seen, and learns what it knows. Returns whether the receiver was
    /// disabled or enabled.
    pub(crate) async fn sync(
        &self,
        store: &dyn Store,
        of: &Subscription,
    ) -> Result<bool, StoreError> {
        let Some(endpoint) = &self.endpoint else { return Ok(false) };
        let (now, stored) = circuits::read(store, &of.name).await?;
        let seen = std::mem::take(&mut self.state().seen);
        let next = stored.circuit.after(&seen, now, endpoint.disable_after.map(span));
        let written = if next == stored.circuit {
            Ok(true)
        } else {
            circuits::write(store, &of.name, &stored, &next).await
        };
        if !matches!(written, Ok(true)) {
            // Another worker was first, or nobody knows: it is written again, and what came meanwhile
            // after it.
            let mut state = self.state();
            state.seen = seen.then(std::mem::take(&mut state.seen));
            return written.map(|_| false);
        }
        log(of, &stored.circuit, &next, now);
        Ok(self.update(next))
    }
}

/// Says once, by the worker that found out, what an operator wants to know.
fn log(of: &Subscription, known: &Circuit, next: &Circuit, now: Time) {
    let action = &of.name;
    match (known.failing_since, next.failing_since) {
        (_, Some(since)) if known.disabled_at.is_none() && next.disabled_at.is_some() => {
            let failed_for = now.since(since);
            tracing::error!(%action, %failed_for, "the receiver is disabled; its events are kept \
                until `autoreceive actions enable {action}`");
        }
        (None, Some(_)) => tracing::warn!(%action, "the receiver fails only"),
        (Some(_), None) => tracing::info!(%action, "the receiver accepts again"),
        _ => {}
    }
}
