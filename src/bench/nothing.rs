//! An action that does nothing but note when it was attempted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use autoreceive_domain::{Event, Span, Terms, Time};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::histogram;
use crate::action::{Action, Outcome};

/// Counts attempted events, and how long after its deadline each receipt was attempted.
#[derive(Clone)]
pub struct Nothing(Arc<State>);

struct State {
    attempted: AtomicU64,
    early: AtomicU64,
    lags_ms: Mutex<Histogram<u64>>,
    /// The store's time at one instant of this machine's steady clock.
    anchor: (Time, Instant),
    silence: Span,
}

impl Nothing {
    /// `store_now` is the store's time by now.
    ///
    /// # Errors
    /// Never, for the figures kept here are within what a histogram can hold.
    pub fn new(store_now: Time) -> anyhow::Result<Nothing> {
        let lags_ms = Mutex::new(histogram()?);
        let state = State {
            attempted: AtomicU64::new(0),
            early: AtomicU64::new(0),
            lags_ms,
            anchor: (store_now, Instant::now()),
            silence: Terms::default().receive_after,
        };
        Ok(Nothing(Arc::new(state)))
    }

    /// How many events were attempted.
    #[must_use]
    pub fn attempted(&self) -> u64 {
        self.0.attempted.load(Ordering::Relaxed)
    }

    /// How late receipts were attempted, and how many were received before their deadline, which
    /// must be none.
    #[must_use]
    pub fn lag_ms(&self) -> Value {
        let lags = self.0.lags_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let early = self.0.early.load(Ordering::Relaxed);
        let at = |q: f64| lags.value_at_quantile(q);
        json!({
            "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": lags.max(), "count": lags.len(), "early": early,
        })
    }
}

#[async_trait]
impl Action for Nothing {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        let state = &self.0;
        let (then, at) = state.anchor;
        let now_ms = then.ms() + i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
        let mut lags = state.lags_ms.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let times = &event.0.times;
            let deadline = times.paid_at.unwrap_or(times.placed_at).after(state.silence);
            if times.received_at.is_some_and(|received| received < deadline) {
                state.early.fetch_add(1, Ordering::Relaxed);
            }
            lags.saturating_record(u64::try_from(now_ms - deadline.ms()).unwrap_or(0));
        }
        state.attempted.fetch_add(events.len() as u64, Ordering::Relaxed);
        vec![Outcome::Done; events.len()]
    }
}
