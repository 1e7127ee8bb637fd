//! Settings of a worker.

use std::sync::Arc;
use std::time::Duration;

use crate::guard::Guard;

/// The most orders in one commit.
pub(crate) const MAX_BATCH: usize = 500;

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
