//! The truth: a walk over the shop's whole keyspace, in small steps with pauses, by one worker at a
//! time.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use autoreceive_domain::OrderId;
use tokio_util::sync::CancellationToken;

use super::look::{Looked, Scope};
use super::{AWAY_PAUSE, Intake};
use crate::telemetry::ScanReport;

/// How many keys the server walks over in one step: well under a tenth of a millisecond of its
/// time.
const STEP: usize = 100;
/// Each step earns a pause of so many times its length, so that a scan takes half of the server's
/// time at most: less, for what a step takes is mostly its way there and back.
const PAUSES_A_STEP: u32 = 1;
/// Pauses are taken together, for a timer is no finer than a millisecond.
const PAUSE: Duration = Duration::from_millis(5);
/// How many orders are looked at together.
const BATCH: usize = 400;
/// How many keys that don't look right are named in the log.
const NAMED: usize = 5;

/// A scan while it runs.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) found: Looked,
    pub(super) keys: u64,
    pub(super) not_ids: Vec<String>,
    pub(super) bad_keys: u64,
}

impl Intake {
    /// Scans until told to stop, at once and then again and again, while it is this worker's turn.
    pub(super) async fn scan_on(&self, stop: &CancellationToken) {
        let mut due = Instant::now();
        let mut had_turn = false;
        while !stop.is_cancelled() {
            let has_turn = self.has_turn.load(Ordering::Relaxed);
            if has_turn && (due <= Instant::now() || !had_turn) {
                if !had_turn {
                    // Another worker has looked meanwhile, and what is remembered here may be from
                    // before.
                    self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
                }
                let begun = Instant::now();
                let scanned = tokio::select! {
                    () = stop.cancelled() => return,
                    scanned = self.scan() => scanned,
                };
                // What is written just behind a scan is found by the next one, at its end.
                due = begun + self.scan_after().saturating_sub(begun.elapsed());
                if self.noted("the scan of the shop's keys", scanned).is_none() {
                    due = due.min(Instant::now() + AWAY_PAUSE);
                }
            }
            had_turn = has_turn;
            self.figures.with(|state| state.scans_here = has_turn);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.sign_every()) => {}
                () = self.scan_now.notified() => due = Instant::now(),
            }
        }
    }

    /// One scan. The very first one of a store finds out what is history.
    ///
    /// # Errors
    /// Where the shop's Redis or the store does not answer.
    pub async fn scan(&self) -> Result<ScanReport, String> {
        let first_done = [self.first_scan_name()];
        let known = self.engine.remembered(&first_done).await.map_err(|error| error.to_string())?;
        let scope = if known == [true] { Scope::Later } else { Scope::First };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).next_round();
        let start = Instant::now();
        let mut walk = Walk::default();
        self.walk(scope, &mut walk, |_| ()).await?;
        if scope == Scope::First {
            self.engine.remember(&first_done).await.map_err(|error| error.to_string())?;
        }
        Ok(self.report(walk, start.elapsed(), scope))
    }

    /// Walks over all status keys and looks at the orders they belong to; `step` is told how many
    /// keys were found so far.
    pub(super) async fn walk(
        &self,
        scope: Scope,
        walk: &mut Walk,
        mut step: impl FnMut(&Walk),
    ) -> Result<(), String> {
        let (mut cursor, mut batch, mut earned) = (0, Vec::with_capacity(BATCH), Duration::ZERO);
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
                walk.found.add(self.look(part, scope).await?);
            }
            step(walk);
            if is_last {
                return Ok(());
            }
            earned += took * PAUSES_A_STEP;
            if earned >= PAUSE {
                tokio::time::sleep(std::mem::take(&mut earned)).await;
            }
        }
    }

    fn order_of(&self, key: &[u8], walk: &mut Walk) -> Option<OrderId> {
        match self.shop.statuses.id(key)? {
            Ok(id) => Some(id),
            Err(wrong) => {
                walk.bad_keys += 1;
                if walk.not_ids.len() < NAMED {
                    walk.not_ids.push(format!("{}: {wrong}", key.escape_ascii()));
                }
                None
            }
        }
    }

    fn report(&self, walk: Walk, took: Duration, scope: Scope) -> ScanReport {
        let report = ScanReport {
            seconds: took.as_secs_f64(),
            orders: walk.keys - walk.bad_keys,
            adopted: walk.found.adopted,
            history: walk.found.history,
            placed_by_command: walk.found.placed_by_command,
            bad_keys: walk.bad_keys,
        };
        let before = self.figures.scanned(&report);
        if scope == Scope::First && report.history > 0 {
            let history = report.history;
            tracing::warn!(
                history,
                "paid orders whose trigger is gone were found by the first scan: they are left alone; `autoreceive adopt` takes them over"
            );
        }
        if report.bad_keys > 0 && before.is_none_or(|before| before.bad_keys != report.bad_keys) {
            tracing::warn!(keys = report.bad_keys, examples = ?walk.not_ids, "keys that look like \
                a status but belong to no order are left alone");
        }
        report
    }
}
