//! Elects the worker that scans. If it dies, another one takes over soon.
//!
//! A change is found within [`scan_every`](super::IntakeSettings::scan_every). Half of it is the
//! interval of scans; each scan starts earlier by the duration of the one before. A dead leader is
//! noticed within the third quarter. The last quarter is for the first scan of the next leader. If
//! that scan takes longer, a change can be seen later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Intake;
use crate::store::now::span;

/// Heartbeats in one `scan_every`. Three missed ones, their detection and the start of a scan take
/// a quarter of it.
const HEARTBEATS_PER_PERIOD: u32 = 20;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);
/// Missed heartbeats after which another worker becomes the leader.
const MISSED: u32 = 3;

impl Intake {
    /// The time between the starts of two scans.
    pub(super) fn scan_interval(&self) -> Duration {
        self.settings.scan_every / 2
    }

    /// The time between two heartbeats.
    pub(super) fn heartbeat_interval(&self) -> Duration {
        (self.settings.scan_every / HEARTBEATS_PER_PERIOD)
            .clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
    }

    /// Sends heartbeats and keeps `is_leader` up to date, until `stop` is cancelled.
    pub(super) async fn leader_loop(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let leads = self.engine.leads_intake(span(self.heartbeat_interval() * MISSED)).await;
            // While the store is unavailable, a scan could save nothing.
            self.is_leader.store(leads.unwrap_or(false), Ordering::Relaxed);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.heartbeat_interval()) => {}
            }
        }
    }
}
