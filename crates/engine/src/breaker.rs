//! The circuit breaker of an endpoint. Slows a relay down while its endpoint only fails, and stops
//! it while the endpoint is disabled. About once a second each worker writes its observations to
//! the store and reads those of the others, so all workers share one circuit, also after a restart.

use std::time::{Duration, Instant};

use autoreceive_domain::circuit::AttemptOutcomes;
use autoreceive_domain::{Circuit, Event, Time};
use parking_lot::{Mutex, MutexGuard};

use crate::action::{Endpoint, Outcome, Subscription};
use crate::circuits;
use autoreceive_store::now::span;
use autoreceive_store::{Store, StoreError};

/// After this number of failures in a row, only one event is attempted at a time.
const FAILURES: u32 = 20;
/// The wait between such attempts starts at the first value and doubles up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// This worker's view of an action's endpoint. Without an `Endpoint` it allows everything.
pub(crate) struct Breaker {
    endpoint: Option<Endpoint>,
    state: Mutex<BreakerState>,
}

#[derive(Default)]
struct BreakerState {
    /// The circuit as last read from the store.
    circuit: Circuit,
    /// Observations that are not in the store yet.
    seen: AttemptOutcomes,
    /// This worker's failures since the last success.
    failures: u32,
    /// While the endpoint fails: when the next attempt is allowed, and the wait after another
    /// failure.
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

    /// A dead letter says something about the event, or is a clear refusal. It does not count as a
    /// failure of the endpoint.
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

    /// Schedules the next attempt while the endpoint fails. Attempts that were already in flight
    /// count as one failure, not many.
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
        self.state.lock()
    }

    /// Attempts that may start now, given `running` of at most `most`; `Err(wait)` while no attempt
    /// is allowed.
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

    /// The most events in the next attempt, at most `most`.
    pub(crate) fn batch(&self, most: usize) -> usize {
        if self.state().is_slowed() { 1 } else { most.max(1) }
    }

    /// Whether entries that were not started should stay in the store.
    pub(crate) fn is_limited(&self) -> bool {
        self.state().is_limited()
    }

    /// Attempts before this time do not count.
    pub(crate) fn enabled_at(&self) -> Option<Time> {
        self.state().circuit.enabled_at
    }

    /// Records the outcomes of attempted events.
    pub(crate) fn record_all<'a>(&self, attempts: impl Iterator<Item = (&'a Event, &'a Outcome)>) {
        if self.endpoint.is_some() {
            let mut state = self.state();
            for (event, outcome) in attempts {
                state.record(event, outcome);
            }
        }
    }

    /// Updates the shared circuit. If another worker reaches the endpoint, this one is no longer
    /// slowed. If it fails for all workers, a newly started worker begins slowly. Returns whether
    /// the endpoint was disabled or enabled.
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

    /// Writes the observations to the store and reads the circuit. Returns whether the endpoint was
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
            // Another worker wrote first, or the outcome is unknown. Keep the observations for the
            // next sync, before the newer ones.
            let mut state = self.state();
            state.seen = seen.then(std::mem::take(&mut state.seen));
            return written.map(|_| false);
        }
        log(of, &stored.circuit, &next, now);
        Ok(self.update(next))
    }
}

/// Logs a change of the circuit, once: on the worker that wrote it.
fn log(of: &Subscription, known: &Circuit, next: &Circuit, now: Time) {
    let action = &of.name;
    match (known.failing_since, next.failing_since) {
        (_, Some(since)) if known.disabled_at.is_none() && next.disabled_at.is_some() => {
            let failed_for = now.since(since);
            tracing::error!(%action, %failed_for, "circuit open: the endpoint is disabled; its \
                events are kept until `autoreceive actions enable {action}`");
        }
        (None, Some(_)) => tracing::warn!(%action, "every attempt at the endpoint is failing"),
        (Some(_), None) => tracing::info!(%action, "the endpoint accepts events again"),
        _ => {}
    }
}
