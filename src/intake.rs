//! Takes over the orders of a shop that writes a status key and a trigger key for each, and reads
//! `RECEIVED` in the status key (docs/from-ttl-keys.md). The shop's code stays as it is.
//!
//! | module | does |
//! |---|---|
//! | [`crate::shop_keys`] | how the shop's keys are built, and what stands in them |
//! | [`shop`] | the connections to the shop's Redis; `lua/` holds the only writes |
//! | [`scan`] | the truth: a walk over all keys, by one worker at a time |
//! | [`turn`] | which worker that is |
//! | [`listen`], [`flags`] | the hint: keyspace notifications |
//! | [`look`], [`known`] | the keys of some orders, read and submitted; what needs no second look |
//! | [`guard`] | the shop's word at the deadline, before the commit |
//! | [`adopt`] | the one-off version, for a migration |
//! | [`open`] | what is checked at the start |
//!
//! # How it works
//!
//! An order is *adopted* when its status is first seen `PAID`: from then on it is an order like
//! every other, with a clock by the store's time, but it takes no commands. It follows its status
//! key (`Command::Observe`): what the shop writes there is what it does. Scan and notifications
//! lead to the same look, any number of times, in any order, from any worker: a look reads the key
//! as it is now, and the same word twice changes nothing.
//!
//! At the deadline two stores have to agree: ours, and the shop's. The shop's word wins, and it is
//! asked for at one point:
//!
//! ```text
//! sweeper: Due ─► RECEIVED? ─► guard, one script on the shop's Redis ─┬─ marked, or PAID: status := RECEIVED + mark ─► "ours"
//!                                                                     └─ anything else ─► that status
//!    "ours" ─► commit (version unchanged) ─► outbox, actions ─► the trigger is deleted
//!    else   ─► Observe(that status): cancel, refund, receive by the shop, or hold
//! ```
//!
//! - A cancel that comes before the script wins, and no action runs; one that comes after it finds
//!   RECEIVED, and is a refund.
//! - A worker that dies after the script has left the mark: whoever looks next is told "ours"
//!   again, and commits. Without the mark "we wrote RECEIVED" and "the shop received it by hand"
//!   would look alike, and the one would be lost or the other doubled.
//! - Two workers that ask at once are both told "ours"; the version decides which commit counts.
//! - A status that means nothing here (`SHIPPED`), or none, stops the clock (a hold, for people to
//!   see) until it is `PAID` again.
//!
//! A paid order without a trigger is either one whose trigger ended meanwhile, or years old. Only
//! the very first scan can tell: it notes those that it finds as history, in the store, and they
//! are left to `autoreceive adopt`.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use autoreceive_domain::{OrderId, Policy};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Guard};
use crate::telemetry::IntakeFigures;

pub mod adopt;
mod flags;
mod guard;
mod known;
mod listen;
mod look;
mod open;
mod scan;
pub mod shop;
mod turn;

pub use crate::shop_keys::{CountFrom, Settings, shapes, words};
pub use look::{Left, Looked, Scope};
pub use open::open;

use known::Known;
use shop::Shop;

/// The wait after the shop's Redis did not answer.
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// Takes orders over.
pub struct Intake {
    shop: Arc<Shop>,
    settings: Settings,
    engine: Engine,
    figures: Arc<IntakeFigures>,
    known: Mutex<Known>,
    looking: tokio::sync::Mutex<()>,
    scan_now: Notify,
    /// Whether it is this worker that scans.
    has_turn: AtomicBool,
    /// What does not work at the moment, so that it is said once.
    failing: Mutex<Vec<&'static str>>,
}

/// The shop's word about adopted orders, for the engine's timer.
#[must_use]
pub fn guard(shop: &Arc<Shop>, policy: &Policy, figures: &Arc<IntakeFigures>) -> Arc<dyn Guard> {
    Arc::new(guard::ShopGuard {
        shop: shop.clone(),
        policy: policy.clone(),
        figures: figures.clone(),
    })
}

impl Intake {
    /// Nothing is looked at yet.
    #[must_use]
    pub fn new(
        shop: Arc<Shop>,
        settings: Settings,
        engine: Engine,
        figures: Arc<IntakeFigures>,
    ) -> Intake {
        figures.with(|state| state.enabled = true);
        Intake {
            shop,
            settings,
            engine,
            figures,
            known: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            scan_now: Notify::new(),
            has_turn: AtomicBool::new(false),
            failing: Mutex::default(),
        }
    }

    /// Takes orders over until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let listening = async {
            if self.settings.notifications {
                self.listen_on(&stop).await;
            } else {
                self.figures.with(|state| {
                    state.notifications =
                        "not listened to (intake.notifications = false)".to_owned()
                });
            }
        };
        tokio::join!(self.take_turns(&stop), self.scan_on(&stop), listening);
    }

    /// Under which name the store remembers that the first scan was done. Other keys make another
    /// first scan.
    fn first_scan_name(&self) -> String {
        format!("intake: {} was scanned", self.shop.statuses.pattern())
    }

    /// Under which name the store remembers that an order is history.
    fn history_name(&self, id: &OrderId) -> String {
        format!("intake: history {id}")
    }

    /// Says once that something does not work, and once that it does again.
    fn noted<T>(&self, what: &'static str, result: Result<T, String>) -> Option<T> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let was_failing = failing.contains(&what);
        match &result {
            Err(why) if !was_failing => {
                failing.push(what);
                tracing::error!(why, "{what} does not work, and is tried again");
            }
            Ok(_) if was_failing => {
                failing.retain(|known| *known != what);
                tracing::info!("{what} works again");
            }
            _ => {}
        }
        self.figures.with(|state| state.trouble = failing.join(", "));
        result.ok()
    }
}
