//! Counts errors from the statuses that the shop saw and from the executed actions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::shop::ObservedOrder;

/// The executed post-receive actions: for each order the event ids, and how often. The pattern has
/// no ids.
#[derive(Debug, Clone, Default)]
pub struct Done(Arc<Mutex<HashMap<String, HashMap<String, u32>>>>);

impl Done {
    /// Records that an order's actions were executed.
    pub fn note(&self, order: &str, event: &str) {
        let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *done.entry(order.to_owned()).or_default().entry(event.to_owned()).or_default() += 1;
    }

    /// The number of different ids. An endpoint detects a repeat under the same id.
    #[must_use]
    pub fn ids(&self, order: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(order).map_or(0, HashMap::len)
    }
}

/// The results of one side, as numbers of orders.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Paid.
    pub paid: usize,
    /// Cancelled by the shop while they were PAID.
    pub cancelled: usize,
    /// Received before the end of the window.
    pub early: usize,
    /// Paid and not cancelled, but never received.
    pub never: usize,
    /// Actions executed more than once.
    pub doubled: usize,
    /// Received by the job without the actions.
    pub lost: usize,
    /// Cancelled by the shop, but RECEIVED in the end, or with executed actions.
    pub overwritten: usize,
    /// For the others: ms from the end of the window until RECEIVED was seen.
    pub late_ms: Vec<u64>,
}

impl Tally {
    /// Counts the results of all orders.
    #[must_use]
    pub fn of(lives: &[ObservedOrder], done: &Done, window: Duration) -> Tally {
        let mut tally = Tally::default();
        for life in lives {
            tally.count(life, done.ids(&life.id), window);
        }
        tally.late_ms.sort_unstable();
        tally
    }

    fn count(&mut self, life: &ObservedOrder, actions: usize, window: Duration) {
        let Some(paid) = life.paid else { return };
        self.paid += 1;
        let was_cancelled = life.cancelled_from.as_deref() == Some("PAID");
        self.cancelled += usize::from(was_cancelled);
        self.overwritten +=
            usize::from(was_cancelled && (life.last.as_deref() == Some("RECEIVED") || actions > 0));
        self.doubled += usize::from(actions > 1);
        // An order that was cancelled from RECEIVED had been received.
        let received = life.last.as_deref() == Some("RECEIVED")
            || life.cancelled_from.as_deref() == Some("RECEIVED");
        self.never += usize::from(life.cancelled_from.is_none() && !received);
        self.lost += usize::from(received && !was_cancelled && actions == 0);
        if let Some(seen) = life.received {
            match seen.checked_duration_since(paid + window) {
                Some(late) => {
                    self.late_ms.push(u64::try_from(late.as_millis()).unwrap_or(u64::MAX))
                }
                None => self.early += 1,
            }
        }
    }

    /// The `q` quantile of `late_ms`.
    #[must_use]
    pub fn late_ms(&self, q: f64) -> Option<u64> {
        self.late_ms.get((self.late_ms.len().saturating_sub(1) as f64 * q) as usize).copied()
    }

    /// The figures.
    #[must_use]
    pub fn figures(&self) -> Value {
        json!({
            "paid": self.paid,
            "cancelled_while_paid": self.cancelled,
            "received_early": self.early,
            "never_received": self.never,
            "actions_doubled": self.doubled,
            "actions_lost": self.lost,
            "cancels_overwritten": self.overwritten,
            "late_ms_p50": self.late_ms(0.5),
            "late_ms_p99": self.late_ms(0.99),
            "late_ms_max": self.late_ms(1.0),
        })
    }
}
