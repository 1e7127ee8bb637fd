//! Takes over the orders of a shop that writes a status key and a trigger key for each order, and
//! reads `RECEIVED` in the status key (docs/from-ttl-keys.md). The shop's code stays unchanged.
//!
//! | module | does |
//! |---|---|
//! | [`crate::shop_keys`] | builds the shop's keys and interprets them |
//! | [`shop`] | connects to the shop's Redis; `lua/` holds the only writes |
//! | [`scan`] | walks over all keys, on one worker at a time; finds every change |
//! | [`leader`] | elects that worker |
//! | [`listen`], [`flags`] | keyspace notifications: find most changes at once |
//! | [`observe`], [`seen_cache`] | reads keys and submits changes; remembers unchanged orders |
//! | [`guard`] | asks the shop at the deadline, before the commit |
//! | [`adopt`] | takes over all orders once, for a migration |
//! | [`open`] | checks the server at the start |
//! | [`error`] | the error type |
//!
//! # How it works
//!
//! An order is *adopted* when its status is first seen as `PAID`. From then on it is an order with
//! a clock by the store's time, but it accepts no commands. It follows its status key
//! (`Command::Observe`). Scan and notifications read the same keys, any number of times, in any
//! order, on any worker: they read the current value, and the same value twice changes nothing.
//!
//! At the deadline our store and the shop must agree. The shop's status wins, and it is read at
//! one point only:
//!
//! ```text
//! sweeper: order is due ─► guard: one script on the shop's Redis
//!     mark exists, or status is PAID ─► writes RECEIVED and the mark, answers "ours"
//!     any other status               ─► answers that status
//! "ours" ─► commit (version unchanged) ─► outbox, actions ─► the trigger is deleted
//! else   ─► Observe(that status): cancel, refund, receive by the shop, or hold
//! ```
//!
//! - A cancellation before the script wins, and no action runs. A cancellation after the script
//!   finds RECEIVED and is a refund.
//! - If a worker crashes after the script, the mark remains. The next worker gets "ours" again and
//!   commits. Without the mark, "we wrote RECEIVED" and "the shop wrote RECEIVED" would look alike:
//!   a receipt would be lost or counted twice.
//! - Two workers that ask at the same time both get "ours". The version decides which commit wins.
//! - An unknown status (`SHIPPED`) or a missing one holds the order until the status is `PAID`
//!   again. People see the hold.
//!
//! A paid order without a trigger either lost it while the intake was down, or is years old. Only
//! the first scan can tell: it records the orders that it finds so as *history* in the store. They
//! are left to `autoreceive adopt`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use autoreceive_domain::{OrderId, Policy};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Guard};
use crate::telemetry::IntakeFigures;

pub mod adopt;
mod error;
mod flags;
mod guard;
mod leader;
mod listen;
mod observe;
mod open;
mod scan;
mod seen_cache;
pub mod shop;

pub use crate::shop_keys::{CountFrom, IntakeSettings, shapes, words};
pub use error::IntakeError;
pub use observe::{ScanOutcome, Scope, SkipReason};
pub use open::open;

use seen_cache::SeenCache;
use shop::Shop;

/// The wait after a failed scan.
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// Takes over orders.
pub struct Intake {
    shop: Arc<Shop>,
    settings: IntakeSettings,
    engine: Engine,
    figures: Arc<IntakeFigures>,
    seen: Mutex<SeenCache>,
    observing: tokio::sync::Mutex<()>,
    scan_now: Notify,
    /// Whether this worker scans.
    is_leader: AtomicBool,
    /// The tasks that fail at the moment. Each failure is logged once.
    failing: Mutex<Vec<&'static str>>,
}

/// The guard of adopted orders, for the engine.
#[must_use]
pub fn guard(shop: &Arc<Shop>, policy: &Policy, figures: &Arc<IntakeFigures>) -> Arc<dyn Guard> {
    Arc::new(guard::ShopGuard {
        shop: shop.clone(),
        policy: policy.clone(),
        figures: figures.clone(),
    })
}

impl Intake {
    /// An intake that has not started.
    #[must_use]
    pub fn new(
        shop: Arc<Shop>,
        settings: IntakeSettings,
        engine: Engine,
        figures: Arc<IntakeFigures>,
    ) -> Intake {
        figures.with(|state| state.enabled = true);
        Intake {
            shop,
            settings,
            engine,
            figures,
            seen: Mutex::default(),
            observing: tokio::sync::Mutex::default(),
            scan_now: Notify::new(),
            is_leader: AtomicBool::new(false),
            failing: Mutex::default(),
        }
    }

    /// Takes over orders until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let listening = async {
            if self.settings.notifications {
                self.listen_loop(&stop).await;
            } else {
                self.figures.with(|state| {
                    state.notifications = "off (intake.notifications = false)".to_owned();
                });
            }
        };
        tokio::join!(self.leader_loop(&stop), self.scan_loop(&stop), listening);
    }

    /// The name under which the store remembers the first scan. Other keys have another first
    /// scan.
    fn first_scan_name(&self) -> String {
        format!("intake: {} was scanned", self.shop.statuses.pattern())
    }

    /// The name under which the store remembers that an order is history.
    fn history_name(&self, id: &OrderId) -> String {
        format!("intake: history {id}")
    }

    /// Logs when `task` starts to fail and when it works again, once each.
    fn log_change<T>(&self, task: &'static str, result: Result<T, IntakeError>) -> Option<T> {
        let mut failing = self.failing.lock();
        let was_failing = failing.contains(&task);
        match &result {
            Err(error) if !was_failing => {
                failing.push(task);
                tracing::error!(%error, "{task} failed; it will be retried");
            }
            Ok(_) if was_failing => {
                failing.retain(|known| *known != task);
                tracing::info!("{task} works again");
            }
            _ => {}
        }
        self.figures.with(|state| state.trouble = failing.join(", "));
        result.ok()
    }
}
