//! An action that only records the time of its attempts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use autoreceive_domain::{Event, Span, Terms, Time};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::histogram;
use crate::action::{Action, Outcome};

/// Counts attempted events and records the lag of each receipt.
#[derive(Clone)]
pub struct NoopAction(Arc<Attempts>);

struct Attempts {
    attempted: AtomicU64,
    early: AtomicU64,
    lags_ms: Mutex<Histogram<u64>>,
    /// The store's time at one instant of this machine's monotonic clock.
    anchor: (Time, Instant),
    silence: Span,
}

impl NoopAction {
    /// `store_now` is the store's current time.
    ///
    /// # Errors
    /// If the histogram cannot be created.
    pub fn new(store_now: Time) -> anyhow::Result<NoopAction> {
        let lags_ms = Mutex::new(histogram()?);
        let attempts = Attempts {
            attempted: AtomicU64::new(0),
            early: AtomicU64::new(0),
            lags_ms,
            anchor: (store_now, Instant::now()),
            silence: Terms::default().receive_after,
        };
        Ok(NoopAction(Arc::new(attempts)))
    }

    /// The number of attempted events.
    #[must_use]
    pub fn attempted(&self) -> u64 {
        self.0.attempted.load(Ordering::Relaxed)
    }

    /// The lags of receipts, and the number of receipts before their deadline, which must be 0.
    #[must_use]
    pub fn lag_ms(&self) -> Value {
        let lags = self.0.lags_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let early = self.0.early.load(Ordering::Relaxed);
        let at = |q: f64| lags.value_at_quantile(q);
        json!({
            "p50": at(0.5),
            "p90": at(0.9),
            "p99": at(0.99),
            "p999": at(0.999),
            "max": lags.max(),
            "count": lags.len(),
            "early": early,
        })
    }
}

#[async_trait]
impl Action for NoopAction {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        let attempts = &self.0;
        let (then, at) = attempts.anchor;
        let now_ms = then.ms() + i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
        let mut lags = attempts.lags_ms.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let times = &event.0.times;
            let deadline = times.paid_at.unwrap_or(times.placed_at).after(attempts.silence);
            if times.received_at.is_some_and(|received| received < deadline) {
                attempts.early.fetch_add(1, Ordering::Relaxed);
            }
            lags.saturating_record(u64::try_from(now_ms - deadline.ms()).unwrap_or(0));
        }
        attempts.attempted.fetch_add(events.len() as u64, Ordering::Relaxed);
        vec![Outcome::Done; events.len()]
    }
}
