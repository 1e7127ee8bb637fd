//! The pending entries of actions during a backfill.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use autoreceive_domain::ActionName;
use parking_lot::Mutex;

/// How long the store's figure stays valid.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// The pending entries of the actions that are being backfilled.
#[derive(Default)]
pub(crate) struct Backfills(Mutex<HashMap<ActionName, (Instant, u64)>>);

impl Backfills {
    /// The pending entries of `action`; `None` if the store must be asked.
    pub(crate) fn pending(&self, action: &ActionName) -> Option<u64> {
        let known = self.0.lock();
        known.get(action).filter(|(at, _)| at.elapsed() < KNOWN_FOR).map(|(_, pending)| *pending)
    }

    /// Remembers the store's figure.
    pub(crate) fn set(&self, action: &ActionName, pending: u64) {
        self.0.lock().insert(action.clone(), (Instant::now(), pending));
    }

    /// Counts entries that were added since.
    pub(crate) fn added(&self, action: &ActionName, added: u64) {
        if let Some((_, pending)) = self.0.lock().get_mut(action) {
            *pending += added;
        }
    }
}
