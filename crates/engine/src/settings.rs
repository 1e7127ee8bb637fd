//! How a worker works.

use std::sync::Arc;
use std::time::Duration;

use crate::guard::Guard;

/// The most orders in one commit.
pub(crate) const MAX_BATCH: usize = 500;
/// The most bytes of records in one commit: one that writes more would block the server for others.
pub(crate) const COMMIT_BYTES: usize = 256 * 1_024;
/// What an order takes without its `data`, roughly.
pub(crate) const ORDER_BYTES: usize = 160;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// This worker's name, unique among the living.
    pub(crate) worker: String,
    /// The most orders that the timer decides in one batch.
    pub(crate) batch: usize,
    /// The longest sleep.
    pub(crate) check_every: Duration,
    pub(crate) guard: Option<Arc<dyn Guard>>,
}
