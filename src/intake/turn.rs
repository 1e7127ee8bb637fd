//! Whose turn it is to scan: one worker's at a time, and soon another's when that one dies.
//!
//! Of [`scan_every`](super::Settings::scan_every), what is new is found within half, by a scan that
//! begins so much sooner as the last one took; a worker that says nothing is missed within the
//! third quarter, and the last one is left to the first scan of the next worker. Where that takes
//! longer, something can be seen later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Intake;
use crate::store::now::span;

/// Three that are missing, their being noticed and the beginning of a scan come to a quarter of a
/// period.
const SIGNS_A_PERIOD: u32 = 20;
const OFTENEST: Duration = Duration::from_millis(20);
const SELDOMEST: Duration = Duration::from_secs(1);
/// How many signs of life are missed before it is another worker's turn.
const MISSED: u32 = 3;

impl Intake {
    /// The pause between the beginnings of two scans.
    pub(super) fn scan_after(&self) -> Duration {
        self.settings.scan_every / 2
    }

    /// The pause between two signs of life.
    pub(super) fn sign_every(&self) -> Duration {
        (self.settings.scan_every / SIGNS_A_PERIOD).clamp(OFTENEST, SELDOMEST)
    }

    /// Gives signs of life and finds out whose turn it is, until told to stop.
    pub(super) async fn take_turns(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let leads = self.engine.leads_intake(span(self.sign_every() * MISSED)).await;
            // Where the store is away, nothing that is seen could be kept.
            self.has_turn.store(leads.unwrap_or(false), Ordering::Relaxed);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.sign_every()) => {}
            }
        }
    }
}
