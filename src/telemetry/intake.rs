//! What is counted and known about the intake.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use autoreceive_engine::ShopDecision;
use prometheus_client::metrics::histogram::exponential_buckets;

/// The figures of the intake. All stay 0 on a worker without one.
pub struct IntakeFigures {
    found: Family<ByWhat, Counter>,
    asked: Family<ByWhat, Counter>,
    hints: Family<ByWhat, Counter>,
    left: Family<ByWhat, Gauge>,
    scans: Counter,
    walked: Counter,
    step_seconds: Histogram,
    scan_seconds: Histogram,
    state: Mutex<IntakeState>,
}

/// Label: which.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByWhat {
    what: &'static str,
}

/// What a look at the shop's keys led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// An order was adopted.
    Adopted,
    /// An adopted order followed the shop's word.
    Changed,
}

/// What a scan found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScanReport {
    /// How long it took.
    pub seconds: f64,
    /// How many orders have a status key.
    pub orders: u64,
    /// How many were adopted by it.
    pub adopted: u64,
    /// How many are paid without a trigger since before the first scan.
    pub history: u64,
    /// How many were placed by a command.
    pub placed_by_command: u64,
    /// How many keys belong to no order.
    pub bad_keys: u64,
}

/// How the intake of this worker stands.
#[derive(Debug, Clone, Default)]
pub struct IntakeState {
    /// Whether there is one.
    pub enabled: bool,
    /// Whether it is this worker that scans.
    pub scans_here: bool,
    /// Whether it listens.
    pub listening: bool,
    /// Whether the server tells of changed keys.
    pub notifications: String,
    /// What does not work at the moment.
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
            found: Family::default(),
            asked: Family::default(),
            hints: Family::default(),
            left: Family::default(),
            scans: Counter::default(),
            walked: Counter::default(),
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
            "Orders that were adopted, or followed the shop's status",
            self.found.clone(),
        );
        r.register(
            "intake_asked",
            "Answers of the shop's Redis about adopted orders that were due",
            self.asked.clone(),
        );
        r.register(
            "intake_hints",
            "Notifications about status keys, taken or left to the scan",
            self.hints.clone(),
        );
        r.register(
            "intake_left",
            "Keys that the last scan of this worker left alone, by reason",
            self.left.clone(),
        );
        r.register("intake_scans", "Scans over the shop's keys", self.scans.clone());
        r.register(
            "intake_keys_walked",
            "Keys that the shop's Redis walked over for scans, foreign ones too",
            self.walked.clone(),
        );
        r.register_with_unit(
            "intake_step_duration",
            "How long one step of a scan took",
            Unit::Seconds,
            self.step_seconds.clone(),
        );
        r.register_with_unit(
            "intake_scan_duration",
            "How long a scan took",
            Unit::Seconds,
            self.scan_seconds.clone(),
        );
    }

    /// Reads or changes how it stands.
    pub fn with<T>(&self, f: impl FnOnce(&mut IntakeState) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A look led to something.
    pub fn found(&self, found: Found) {
        let what = match found {
            Found::Adopted => "adopted",
            Found::Changed => "changed",
        };
        self.found.get_or_create(&ByWhat { what }).inc();
    }

    /// The shop's Redis was asked about an order that is due.
    pub fn asked(&self, word: &ShopDecision) {
        let what = match word {
            ShopDecision::Ours => "ours",
            ShopDecision::Shop(_) => "shop",
            ShopDecision::Unknown(_) => "unanswered",
        };
        self.asked.get_or_create(&ByWhat { what }).inc();
    }

    /// A changed key was told of.
    pub fn hint(&self, taken: bool) {
        self.hints
            .get_or_create(&ByWhat { what: if taken { "taken" } else { "left_to_scan" } })
            .inc();
    }

    /// One step of a scan.
    pub fn step(&self, keys: u64, took: Duration) {
        self.walked.inc_by(keys);
        self.step_seconds.observe(took.as_secs_f64());
    }

    /// A scan came to its end. Returns the one before.
    pub fn scanned(&self, report: &ScanReport) -> Option<ScanReport> {
        self.scans.inc();
        self.scan_seconds.observe(report.seconds);
        let left = [
            ("history", report.history),
            ("placed_by_command", report.placed_by_command),
            ("bad_key", report.bad_keys),
        ];
        for (what, count) in left {
            self.left.get_or_create(&ByWhat { what }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.with(|state| state.last_scan.replace(report.clone()))
    }
}
