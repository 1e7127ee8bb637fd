//! Settings of a worker.

use std::sync::Arc;
use std::time::Duration;

use crate::guard::Guard;

/// The most orders in one commit.
pub(crate) const MAX_BATCH: usize = 500;
/// The most bytes of records in one commit. A larger one would block the server for other clients.
pub(crate) const COMMIT_BYTES: usize = 256 * 1_024;
/// Approximate bytes of an order without its `data`.
pub(crate) const ORDER_BYTES: usize = 160;

#[derive(Debug, Clone)]
pub(crate) struct EngineSettings {
    /// This worker's name, unique among the living workers.
    pub(crate) worker: String,
    /// The most orders in one batch of the timer.
    pub(crate) batch: usize,
    /// The longest sleep between two polls.
    pub(crate) check_every: Duration,
    pub(crate) guard: Option<Arc<dyn Guard>>,
}
