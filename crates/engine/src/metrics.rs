//! The engine's metrics. Each program has one [`Metrics`] and passes it on; there is no global one.

use std::time::Duration;

use autoreceive_domain::Cause;
use autoreceive_store::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// All metrics that this program counts itself. The store's figures are added when they are
/// rendered.
pub struct Metrics {
    registry: Registry,
    /// Orders received, by cause.
    pub(crate) received: Family<ByCause, Counter>,
    /// Delay of timer receipts after their deadline, in seconds.
    pub(crate) lag: Histogram,
    /// Attempts by action and result.
    pub(crate) attempts: Family<ByResult, Counter>,
    /// Duration of attempts in seconds, by action.
    pub(crate) attempt_seconds: Family<ByAction, Histogram>,
    /// Duration of store calls in seconds, by operation.
    pub(crate) store_seconds: Family<ByOperation, Histogram>,
    /// Failed store calls, by operation.
    pub(crate) store_errors: Family<ByOperation, Counter>,
    /// Orders in one decision round, by source.
    pub(crate) batch_orders: Family<BySource, Histogram>,
    /// Changes that lost to another commit, by source.
    pub(crate) conflicts: Family<BySource, Counter>,
    /// Due times that did not match their order and were corrected.
    pub(crate) corrected: Counter,
    /// Records and entries that could not be read.
    pub(crate) unreadable: Counter,
    /// Resting orders that were removed after their retention time.
    pub(crate) removed: Counter,
    /// Due adopted orders on a worker without a guard.
    pub(crate) unguarded: Counter,
}

/// Label: the cause of a receipt.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ByCause {
    cause: &'static str,
}

/// Label: the action.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ByAction {
    /// The action's name.
    pub action: String,
}

/// Labels: the action and the result.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ByResult {
    /// The action's name.
    pub action: String,
    /// `done`, `retry` or `dead`.
    pub result: &'static str,
}

/// Label: the store's operation.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ByOperation {
    /// The operation's name.
    pub operation: &'static str,
}

/// Label: the source of a decision.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct BySource {
    /// `commands`, `timer` or `guarded`.
    pub source: &'static str,
}

impl ByCause {
    /// The label of a cause.
    #[must_use]
    pub fn of(cause: Cause) -> ByCause {
        ByCause { cause: cause.as_str() }
    }
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 18))
}

fn lags() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0,
        3_600.0,
    ])
}

fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 11))
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("autoreceive"),
            received: Family::default(),
            lag: lags(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(seconds),
            store_seconds: Family::new_with_constructor(seconds),
            store_errors: Family::default(),
            batch_orders: Family::new_with_constructor(sizes),
            conflicts: Family::default(),
            corrected: Counter::default(),
            unreadable: Counter::default(),
            removed: Counter::default(),
            unguarded: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("received", "Orders received by this worker", self.received.clone());
        r.register_with_unit(
            "receive_lag",
            "Delay of timer receipts after the order's deadline",
            Unit::Seconds,
            self.lag.clone(),
        );
        r.register("attempts", "Attempted events, by action and result", self.attempts.clone());
        r.register_with_unit(
            "attempt_duration",
            "Duration of attempts, by action",
            Unit::Seconds,
            self.attempt_seconds.clone(),
        );
        r.register_with_unit(
            "store_duration",
            "Duration of store calls, by operation",
            Unit::Seconds,
            self.store_seconds.clone(),
        );
        r.register("store_errors", "Failed store calls, by operation", self.store_errors.clone());
        r.register(
            "batch_orders",
            "Orders in one decision round, by source",
            self.batch_orders.clone(),
        );
        r.register(
            "conflicts",
            "Changes that lost to another commit, by source",
            self.conflicts.clone(),
        );
        r.register(
            "due_corrected",
            "Due times that did not match their order and were corrected",
            self.corrected.clone(),
        );
        r.register(
            "unreadable",
            "Records and outbox entries that could not be read",
            self.unreadable.clone(),
        );
        r.register(
            "removed",
            "Resting orders removed after their retention time",
            self.removed.clone(),
        );
        r.register(
            "intake_unguarded",
            "Due adopted orders on a worker without an intake",
            self.unguarded.clone(),
        );
    }

    /// The metrics in the OpenMetrics text format, without the end mark, because the service
    /// appends more.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8_192);
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        let end = text.trim_end_matches("# EOF\n").len();
        text.truncate(end);
        text
    }

    /// Conflicts of `source`, which is `commands`, `timer` or `guarded`.
    #[must_use]
    pub fn conflicts_of(&self, source: &'static str) -> u64 {
        self.conflicts.get_or_create(&BySource { source }).get()
    }
}

impl Observer for Metrics {
    fn store_called(&self, operation: &'static str, took: Duration, failed: bool) {
        let label = ByOperation { operation };
        self.store_seconds.get_or_create(&label).observe(took.as_secs_f64());
        if failed {
            self.store_errors.get_or_create(&label).inc();
        }
    }
}
