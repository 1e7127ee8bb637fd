//! What is measured, and how the log is written. One [`Metrics`] for each program, handed to whoever has something to count; there is no global one.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use autoreceive_domain::{Cause, Time};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::store::Stats;

mod intake;
pub mod logging;

pub use intake::{Found, IntakeFigures, IntakeState, ScanReport};

/// Every figure that this program counts and measures by itself. What the store knows is added when they are shown.
pub struct Metrics {
    registry: Registry,
    /// Orders received, by cause.
    pub received: Family<ByCause, Counter>,
    /// How much later than its deadline an order was received by the timer, in seconds.
    pub lag: Histogram,
    /// Attempts by action and result.
    pub attempts: Family<ByResult, Counter>,
    /// How long an attempt took, in seconds, by action.
    pub attempt_seconds: Family<ByAction, Histogram>,
    /// How long a store call took, in seconds, by operation.
    pub store_seconds: Family<ByOperation, Histogram>,
    /// Store calls that failed, by operation.
    pub store_errors: Family<ByOperation, Counter>,
    /// How many orders one decision round held, by who asked.
    pub batch_orders: Family<BySource, Histogram>,
    /// Changes that lost against another commit, by who asked.
    pub conflicts: Family<BySource, Counter>,
    /// Wakes that did not agree with their order and were corrected.
    pub corrected: Counter,
    /// Records and entries that could not be read.
    pub unreadable: Counter,
    /// Resting orders that were removed.
    pub removed: Counter,
    /// What the intake does.
    pub intake: IntakeFigures,
}

/// Label: who or what caused it.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ByCause {
    cause: &'static str,
}

/// Label: the action.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ByAction {
    /// The action's name.
    pub action: String,
}

/// Labels: the action and how it went.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ByResult {
    /// The action's name.
    pub action: String,
    /// `done`, `retry` or `dead`.
    pub result: &'static str,
}

/// Label: the store's operation.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ByOperation {
    /// The operation's name.
    pub operation: &'static str,
}

/// Label: who asked for a decision.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct BySource {
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
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3_600.0])
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
            intake: IntakeFigures::default(),
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
            "How much later than its deadline the timer received an order",
            Unit::Seconds,
            self.lag.clone(),
        );
        r.register("attempts", "Attempted events by action and result", self.attempts.clone());
        r.register_with_unit("attempt_duration", "How long an attempt took", Unit::Seconds, self.attempt_seconds.clone());
        r.register_with_unit("store_duration", "How long a store call took", Unit::Seconds, self.store_seconds.clone());
        r.register("store_errors", "Store calls that failed", self.store_errors.clone());
        r.register("batch_orders", "Orders in one decision round", self.batch_orders.clone());
        r.register("conflicts", "Changes that lost against another commit", self.conflicts.clone());
        r.register("wakes_corrected", "Wakes that did not agree with their order", self.corrected.clone());
        r.register("unreadable", "Records and entries that could not be read", self.unreadable.clone());
        r.register("removed", "Resting orders removed", self.removed.clone());
        self.intake.register(r);
    }

    /// The figures in the OpenMetrics text format, those of the store with them where it answered.
    #[must_use]
    pub fn render(&self, stats: Option<&Stats>) -> String {
        let mut text = String::with_capacity(8_192);
        let _ = encode(&mut text, &self.registry);
        let end = text.trim_end_matches("# EOF\n").len();
        text.truncate(end);
        let mut of_store = Registry::with_prefix("autoreceive");
        if let Some(stats) = stats {
            register_stats(&mut of_store, stats);
        }
        let _ = encode(&mut text, &of_store);
        text
    }

    /// Notes how long a store call took.
    pub fn store_call(&self, operation: &'static str, took: Duration, failed: bool) {
        let label = ByOperation { operation };
        self.store_seconds.get_or_create(&label).observe(took.as_secs_f64());
        if failed {
            self.store_errors.get_or_create(&label).inc();
        }
    }
}

/// A label and its value, for the figures that the store keeps.
type Labels = Vec<(&'static str, String)>;
type FloatGauge = Gauge<f64, AtomicU64>;

fn register_stats(registry: &mut Registry, stats: &Stats) {
    let orders = Family::<Labels, Gauge>::default();
    for (status, count) in &stats.orders {
        orders.get_or_create(&vec![("status", status.to_string())]).set(signed(*count));
    }
    registry.register("orders", "Orders that are not resting, by status", orders);
    let totals = Family::<Labels, Gauge>::default();
    for (kind, cause, count) in &stats.totals {
        totals.get_or_create(&vec![("type", kind.to_string()), ("cause", cause.to_string())]).set(signed(*count));
    }
    registry.register("events_ever", "Events of the store's whole life, by type and cause", totals);
    let oldest = stats.oldest_overdue.map_or(0.0, |at| stats.now.since(at).ms() as f64 / 1_000.0);
    registry.register("waiting", "Orders with a wake to come or passed", gauge(stats.waiting));
    registry.register("overdue", "Orders whose wake has passed", gauge(stats.overdue));
    registry.register_with_unit("oldest_overdue", "For how long the oldest overdue order is overdue", Unit::Seconds, float_gauge(oldest));
    registry.register("held", "Orders that are held", gauge(stats.held));
    let (pending, dead) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    let (age, oldest_dead) = (Family::<Labels, FloatGauge>::default(), Family::<Labels, FloatGauge>::default());
    let (failing, disabled) = (Family::<Labels, FloatGauge>::default(), Family::<Labels, Gauge>::default());
    for action in &stats.actions {
        let label = vec![("action", action.name.to_string())];
        pending.get_or_create(&label).set(signed(action.pending));
        dead.get_or_create(&label).set(signed(action.dead));
        let since = |at: Option<Time>| at.map_or(0.0, |at| stats.now.since(at).ms() as f64 / 1_000.0);
        age.get_or_create(&label).set(since(action.next_at));
        oldest_dead.get_or_create(&label).set(since(action.oldest_dead));
        failing.get_or_create(&label).set(since(action.circuit.failing_since));
        disabled.get_or_create(&label).set(i64::from(action.circuit.disabled_at.is_some()));
    }
    registry.register("outbox_entries", "Outbox entries that wait or are worked on, by action", pending);
    registry.register_with_unit("outbox_overdue", "For how long the oldest claimable entry waits, by action", Unit::Seconds, age);
    registry.register("dead_letters", "Dead letters, by action", dead);
    registry.register_with_unit(
        "dead_letters_age",
        "For how long the oldest dead letter lies there, by action",
        Unit::Seconds,
        oldest_dead,
    );
    registry.register_with_unit("receiver_failing", "For how long the receiver only fails, by action", Unit::Seconds, failing);
    registry.register("receiver_disabled", "Whether the receiver is disabled, by action", disabled);
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn gauge(count: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(signed(count));
    gauge
}

fn float_gauge(value: f64) -> FloatGauge {
    let gauge = FloatGauge::default();
    gauge.set(value);
    gauge
}
