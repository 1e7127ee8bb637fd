//! Metrics and log: renders the figures of engine, intake and store, and starts the log.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use autoreceive_domain::Time;
use autoreceive_engine::Metrics;
use autoreceive_store::Stats;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

mod intake;
pub mod logging;

pub use intake::{IntakeChange, IntakeFigures, IntakeState, ScanReport};

/// The figures of engine and intake.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// The figures of the engine.
    pub engine: Arc<Metrics>,
    /// The figures of the intake.
    pub intake: Arc<IntakeFigures>,
}

impl Telemetry {
    /// All figures in the OpenMetrics text format, with those of the store if it answered.
    #[must_use]
    pub fn render(&self, stats: Option<&Stats>) -> String {
        let mut text = self.engine.render();
        let mut others = Registry::with_prefix("autoreceive");
        self.intake.register(&mut others);
        if let Some(stats) = stats {
            register_stats(&mut others, stats);
        }
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &others);
        text
    }

    /// The state of this worker's intake; `None` if it has none.
    #[must_use]
    pub fn intake_state(&self) -> Option<IntakeState> {
        self.intake.with(|state| state.enabled.then(|| state.clone()))
    }
}

/// Labels and their values, for the figures of the store.
type Labels = Vec<(&'static str, String)>;
type FloatGauge = Gauge<f64, AtomicU64>;

fn register_stats(registry: &mut Registry, stats: &Stats) {
    register_orders(registry, stats);
    register_actions(registry, stats);
}

fn register_orders(registry: &mut Registry, stats: &Stats) {
    let orders = Family::<Labels, Gauge>::default();
    for (status, count) in &stats.orders {
        orders.get_or_create(&vec![("status", status.to_string())]).set(signed(*count));
    }
    registry.register("orders", "Orders that are not resting, by status", orders);
    let totals = Family::<Labels, Gauge>::default();
    for (kind, cause, count) in &stats.totals {
        totals
            .get_or_create(&vec![("type", kind.to_string()), ("cause", cause.to_string())])
            .set(signed(*count));
    }
    registry.register(
        "events_ever",
        "Events since the store was created, by type and cause",
        totals,
    );
    registry.register("waiting", "Orders with a due time, future or past", gauge(stats.waiting));
    registry.register("overdue", "Orders whose due time has passed", gauge(stats.overdue));
    registry.register_with_unit(
        "oldest_overdue",
        "Seconds since the due time of the oldest overdue order",
        Unit::Seconds,
        float_gauge(seconds_since(stats.oldest_overdue, stats.now)),
    );
    registry.register("held", "Orders on hold", gauge(stats.held));
}

fn register_actions(registry: &mut Registry, stats: &Stats) {
    let pending = Family::<Labels, Gauge>::default();
    let overdue = Family::<Labels, FloatGauge>::default();
    let dead = Family::<Labels, Gauge>::default();
    let oldest_dead = Family::<Labels, FloatGauge>::default();
    let failing = Family::<Labels, FloatGauge>::default();
    let disabled = Family::<Labels, Gauge>::default();
    for action in &stats.actions {
        let label = vec![("action", action.name.to_string())];
        let since = |at| seconds_since(at, stats.now);
        pending.get_or_create(&label).set(signed(action.pending));
        overdue.get_or_create(&label).set(since(action.next_at));
        dead.get_or_create(&label).set(signed(action.dead));
        oldest_dead.get_or_create(&label).set(since(action.oldest_dead));
        failing.get_or_create(&label).set(since(action.circuit.failing_since));
        disabled.get_or_create(&label).set(i64::from(action.circuit.disabled_at.is_some()));
    }
    registry.register("outbox_entries", "Outbox entries, waiting or claimed, by action", pending);
    registry.register_with_unit(
        "outbox_overdue",
        "Seconds since the oldest claimable entry became due, by action",
        Unit::Seconds,
        overdue,
    );
    registry.register("dead_letters", "Dead letters, by action", dead);
    registry.register_with_unit(
        "dead_letters_age",
        "Age of the oldest dead letter in seconds, by action",
        Unit::Seconds,
        oldest_dead,
    );
    registry.register_with_unit(
        "endpoint_failing",
        "Seconds since every attempt at this endpoint has been failing, by action",
        Unit::Seconds,
        failing,
    );
    registry.register(
        "endpoint_disabled",
        "1 if the endpoint is disabled, otherwise 0, by action",
        disabled,
    );
}

fn seconds_since(at: Option<Time>, now: Time) -> f64 {
    at.map_or(0.0, |at| now.since(at).ms() as f64 / 1_000.0)
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
