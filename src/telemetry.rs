//! What the service shows of itself: the engine's figures, the intake's, and the store's, and how
//! the log is written.

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

pub use intake::{Found, IntakeFigures, IntakeState, ScanReport};

/// Every figure of this program: what the engine counts, and what the intake does.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// What the engine counts and measures.
    pub engine: Arc<Metrics>,
    /// What the intake does.
    pub intake: Arc<IntakeFigures>,
}

impl Telemetry {
    /// The figures in the OpenMetrics text format, those of the store with them where it answered.
    #[must_use]
    pub fn render(&self, stats: Option<&Stats>) -> String {
        let mut text = self.engine.render();
        let mut others = Registry::with_prefix("autoreceive");
        self.intake.register(&mut others);
        if let Some(stats) = stats {
            register_stats(&mut others, stats);
        }
        // Writing into a text cannot fail.
        let _ = encode(&mut text, &others);
        text
    }

    /// What the intake of this worker knows of itself; none where it has none.
    #[must_use]
    pub fn intake_state(&self) -> Option<IntakeState> {
        self.intake.with(|state| state.enabled.then(|| state.clone()))
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
        totals
            .get_or_create(&vec![("type", kind.to_string()), ("cause", cause.to_string())])
            .set(signed(*count));
    }
    registry.register("events_ever", "Events of the store's whole life, by type and cause", totals);
    let oldest = stats.oldest_overdue.map_or(0.0, |at| stats.now.since(at).ms() as f64 / 1_000.0);
    registry.register("waiting", "Orders with a due time to come or passed", gauge(stats.waiting));
    registry.register("overdue", "Orders whose due time has passed", gauge(stats.overdue));
    registry.register_with_unit(
        "oldest_overdue",
        "For how long the oldest overdue order is overdue",
        Unit::Seconds,
        float_gauge(oldest),
    );
    registry.register("held", "Orders that are held", gauge(stats.held));
    let (pending, dead) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    let (age, oldest_dead) =
        (Family::<Labels, FloatGauge>::default(), Family::<Labels, FloatGauge>::default());
    let (failing, disabled) =
        (Family::<Labels, FloatGauge>::default(), Family::<Labels, Gauge>::default());
    for action in &stats.actions {
        let label = vec![("action", action.name.to_string())];
        pending.get_or_create(&label).set(signed(action.pending));
        dead.get_or_create(&label).set(signed(action.dead));
        let since =
            |at: Option<Time>| at.map_or(0.0, |at| stats.now.since(at).ms() as f64 / 1_000.0);
        age.get_or_create(&label).set(since(action.next_at));
        oldest_dead.get_or_create(&label).set(since(action.oldest_dead));
        failing.get_or_create(&label).set(since(action.circuit.failing_since));
        disabled.get_or_create(&label).set(i64::from(action.circuit.disabled_at.is_some()));
    }
    registry.register(
        "outbox_entries",
        "Outbox entries that wait or are worked on, by action",
        pending,
    );
    registry.register_with_unit(
        "outbox_overdue",
        "For how long the oldest claimable entry waits, by action",
        Unit::Seconds,
        age,
    );
    registry.register("dead_letters", "Dead letters, by action", dead);
    registry.register_with_unit(
        "dead_letters_age",
        "For how long the oldest dead letter lies there, by action",
        Unit::Seconds,
        oldest_dead,
    );
    registry.register_with_unit(
        "endpoint_failing",
        "For how long the receiver only fails, by action",
        Unit::Seconds,
        failing,
    );
    registry.register("endpoint_disabled", "Whether the receiver is disabled, by action", disabled);
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
