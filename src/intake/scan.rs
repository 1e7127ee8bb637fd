//! Walks over the shop's whole keyspace in small steps with pauses, on one worker at a time. The
//! scan finds every change.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use autoreceive_domain::OrderId;
use tokio_util::sync::CancellationToken;

use super::observe::{ScanOutcome, Scope};
use super::{AWAY_PAUSE, Intake, IntakeError};
use crate::telemetry::ScanReport;

/// Keys that the server walks over in one step: well under 0.1 ms of its time.
const STEP: usize = 100;
/// The pause after a step, as a multiple of the step's duration. So a scan takes at most half of
/// the server's time; in fact less, because most of the duration is the round trip.
const PAUSE_PER_STEP: u32 = 1;
/// Short pauses are combined into one: timers have a resolution of a millisecond.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// The orders in one check.
const BATCH: usize = 400;
/// The most invalid keys that the log names.
const MAX_EXAMPLES: usize = 5;

/// A scan while it runs.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) outcome: ScanOutcome,
    pub(super) keys: u64,
    pub(super) bad_keys: u64,
    pub(super) bad_key_examples: Vec<String>,
}

impl Intake {
    /// Scans at regular intervals while this worker is the leader, until `stop` is cancelled.
    pub(super) async fn scan_loop(&self, stop: &CancellationToken) {
        let mut due = Instant::now();
        let mut was_leader = false;
        while !stop.is_cancelled() {
            let is_leader = self.is_leader.load(Ordering::Relaxed);
            if is_leader && (due <= Instant::now() || !was_leader) {
                if !was_leader {
                    // Another worker has scanned meanwhile, so the cache may be outdated.
                    self.seen.lock().clear();
                }
                let start = Instant::now();
                let scanned = tokio::select! {
                    () = stop.cancelled() => return,
                    scanned = self.scan() => scanned,
                };
                // The worst case is a key that is written just after the scan has passed it: the
                // next scan finds it at its end.
                due = start + self.scan_interval().saturating_sub(start.elapsed());
                if self.log_change("the scan of the shop's keys", scanned).is_none() {
                    due = due.min(Instant::now() + AWAY_PAUSE);
                }
            }
            was_leader = is_leader;
            self.figures.with(|state| state.scans_here = is_leader);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.heartbeat_interval()) => {}
                () = self.scan_now.notified() => due = Instant::now(),
            }
        }
    }

    /// Runs one scan. The first scan of a store records history.
    ///
    /// # Errors
    /// If the shop's Redis or the store does not answer.
    pub async fn scan(&self) -> Result<ScanReport, IntakeError> {
        let first_scan = [self.first_scan_name()];
        let remembered = self.engine.remembered(&first_scan).await?;
        let scope = if remembered == [true] { Scope::Later } else { Scope::First };
        self.seen.lock().next_round();
        let start = Instant::now();
        let mut walk = Walk::default();
        self.walk(scope, &mut walk, |_| ()).await?;
        if scope == Scope::First {
            self.engine.remember(&first_scan).await?;
        }
        Ok(self.report(walk, start.elapsed(), scope))
    }

    /// Walks over all status keys and checks their orders. Calls `step` after each step.
    pub(super) async fn walk(
        &self,
        scope: Scope,
        walk: &mut Walk,
        mut step: impl FnMut(&Walk),
    ) -> Result<(), IntakeError> {
        let mut cursor = 0;
        let mut batch = Vec::with_capacity(BATCH);
        let mut pause = Duration::ZERO;
        loop {
            let start = Instant::now();
            let page = self.shop.scan(&self.shop.statuses, cursor, STEP).await?;
            let took = start.elapsed();
            self.figures.step(STEP as u64, took);
            walk.keys += page.keys.len() as u64;
            batch.extend(page.keys.iter().filter_map(|key| self.order_of(key, walk)));
            cursor = page.cursor;
            let is_last = cursor == 0;
            while batch.len() >= BATCH || (is_last && !batch.is_empty()) {
                let part: Vec<OrderId> = batch.drain(..batch.len().min(BATCH)).collect();
                walk.outcome.add(self.observe(part, scope).await?);
            }
            step(walk);
            if is_last {
                return Ok(());
            }
            pause += took * PAUSE_PER_STEP;
            if pause >= SHORTEST_PAUSE {
                tokio::time::sleep(std::mem::take(&mut pause)).await;
            }
        }
    }

    fn order_of(&self, key: &[u8], walk: &mut Walk) -> Option<OrderId> {
        match self.shop.statuses.id(key)? {
            Ok(id) => Some(id),
            Err(wrong) => {
                walk.bad_keys += 1;
                if walk.bad_key_examples.len() < MAX_EXAMPLES {
                    walk.bad_key_examples.push(format!("{}: {wrong}", key.escape_ascii()));
                }
                None
            }
        }
    }

    fn report(&self, walk: Walk, took: Duration, scope: Scope) -> ScanReport {
        let report = ScanReport {
            seconds: took.as_secs_f64(),
            orders: walk.keys - walk.bad_keys,
            adopted: walk.outcome.adopted,
            history: walk.outcome.history,
            placed_by_command: walk.outcome.placed_by_command,
            bad_keys: walk.bad_keys,
        };
        let before = self.figures.scanned(&report);
        if scope == Scope::First && report.history > 0 {
            tracing::warn!(
                history = report.history,
                "the first scan found paid orders without a trigger; they are skipped, and \
                 `autoreceive adopt` takes them over"
            );
        }
        if report.bad_keys > 0 && before.is_none_or(|before| before.bad_keys != report.bad_keys) {
            tracing::warn!(
                keys = report.bad_keys,
                examples = ?walk.bad_key_examples,
                "status keys without a valid order id are skipped"
            );
        }
        report
    }
}
