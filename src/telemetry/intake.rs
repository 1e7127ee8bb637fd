//! Metrics and state of the intake.

use std::time::Duration;

use autoreceive_engine::ShopDecision;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The figures of the intake. All stay 0 on a worker without an intake.
pub struct IntakeFigures {
    changes: Family<ByWhat, Counter>,
    asked: Family<ByWhat, Counter>,
    hints: Family<ByWhat, Counter>,
    skipped: Family<ByWhat, Gauge>,
    scans: Counter,
    keys_walked: Counter,
    step_seconds: Histogram,
    scan_seconds: Histogram,
    state: Mutex<IntakeState>,
}

/// Label: the kind.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByWhat {
    what: &'static str,
}

/// A change of an order after a check of the shop's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntakeChange {
    /// The order was adopted.
    Adopted,
    /// An adopted order followed the shop's status.
    Followed,
}

/// The result of a scan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScanReport {
    /// The duration.
    pub seconds: f64,
    /// Orders with a status key.
    pub orders: u64,
    /// Orders that this scan adopted.
    pub adopted: u64,
    /// Paid orders whose trigger was gone before the first scan.
    pub history: u64,
    /// Orders that were placed by a command.
    pub placed_by_command: u64,
    /// Keys without a valid order id.
    pub bad_keys: u64,
}

/// The state of this worker's intake.
#[derive(Debug, Clone, Default)]
pub struct IntakeState {
    /// Whether the worker has an intake.
    pub enabled: bool,
    /// Whether this worker scans.
    pub scans_here: bool,
    /// Whether it receives notifications.
    pub listening: bool,
    /// Whether the server sends notifications, and the reason if not.
    pub notifications: String,
    /// The tasks that fail at the moment.
    pub trouble: String,
    /// The last scan of this worker.
    pub last_scan: Option<ScanReport>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 18))
}

impl Default for IntakeFigures {
    fn default() -> IntakeFigures {
        IntakeFigures {
            changes: Family::default(),
            asked: Family::default(),
            hints: Family::default(),
            skipped: Family::default(),
            scans: Counter::default(),
            keys_walked: Counter::default(),
            step_seconds: seconds(),
            scan_seconds: seconds(),
            state: Mutex::default(),
        }
    }
}

impl IntakeFigures {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "intake_orders",
            "Orders that were adopted or that followed the shop's status",
            self.changes.clone(),
        );
        r.register(
            "intake_asked",
            "Answers of the shop's Redis about due adopted orders",
            self.asked.clone(),
        );
        r.register(
            "intake_hints",
            "Notifications about status keys, taken or left to the scan",
            self.hints.clone(),
        );
        r.register(
            "intake_left",
            "Keys that the last scan of this worker skipped, by reason",
            self.skipped.clone(),
        );
        r.register("intake_scans", "Scans over the shop's keys", self.scans.clone());
        r.register(
            "intake_keys_walked",
            "Keys that the shop's Redis walked over in scans, including other keys",
            self.keys_walked.clone(),
        );
        r.register_with_unit(
            "intake_step_duration",
            "Duration of one step of a scan",
            Unit::Seconds,
            self.step_seconds.clone(),
        );
        r.register_with_unit(
            "intake_scan_duration",
            "Duration of a scan",
            Unit::Seconds,
            self.scan_seconds.clone(),
        );
    }

    /// Reads or changes the state.
    pub fn with<T>(&self, f: impl FnOnce(&mut IntakeState) -> T) -> T {
        f(&mut self.state.lock())
    }

    /// Counts a changed order.
    pub fn changed(&self, change: IntakeChange) {
        let what = match change {
            IntakeChange::Adopted => "adopted",
            IntakeChange::Followed => "changed",
        };
        self.changes.get_or_create(&ByWhat { what }).inc();
    }

    /// Counts an answer of the shop's Redis about a due order.
    pub fn asked(&self, decision: &ShopDecision) {
        let what = match decision {
            ShopDecision::Ours => "ours",
            ShopDecision::Shop(_) => "shop",
            ShopDecision::Unknown(_) => "unanswered",
        };
        self.asked.get_or_create(&ByWhat { what }).inc();
    }

    /// Counts a notification.
    pub fn hint(&self, taken: bool) {
        let what = if taken { "taken" } else { "left_to_scan" };
        self.hints.get_or_create(&ByWhat { what }).inc();
    }

    /// Counts one step of a scan.
    pub fn step(&self, keys: u64, took: Duration) {
        self.keys_walked.inc_by(keys);
        self.step_seconds.observe(took.as_secs_f64());
    }

    /// Counts a completed scan. Returns the report of the previous one.
    pub fn scanned(&self, report: &ScanReport) -> Option<ScanReport> {
        self.scans.inc();
        self.scan_seconds.observe(report.seconds);
        let skipped = [
            ("history", report.history),
            ("placed_by_command", report.placed_by_command),
            ("bad_key", report.bad_keys),
        ];
        for (what, count) in skipped {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.skipped.get_or_create(&ByWhat { what }).set(count);
        }
        self.with(|state| state.last_scan.replace(report.clone()))
    }
}
