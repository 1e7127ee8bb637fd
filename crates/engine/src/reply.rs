//! What a caller hears of a command.

use std::sync::Arc;

use autoreceive_domain::{Order, Rejection, Terms, UnknownPolicy};

/// What became of a command that was answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// How it went.
    pub outcome: ReplyOutcome,
    /// The order as the command left it, and the terms it was placed under; none where there is no
    /// such order.
    pub order: Option<(Arc<Order>, Arc<Terms>)>,
}

/// How a command went. Exhaustive on purpose: a caller must have an answer to each.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyOutcome {
    /// It changed the order.
    Changed,
    /// It had been carried out before; nothing changed.
    Unchanged,
    /// It cannot be carried out; nothing changed.
    Rejected(Rejection),
    /// It names a policy that is not configured; nothing changed.
    UnknownPolicy(UnknownPolicy),
}

/// Why a command was not answered. All of these are safe to repeat.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The queue is full; nothing was done.
    #[error("too many commands are waiting; try again in a moment")]
    Overloaded,
    /// The engine is shutting down; nothing was done.
    #[error("the service is shutting down")]
    Stopping,
    /// The store did not answer; the command may or may not have been carried out.
    #[error("{0}")]
    Store(String),
    /// The stored order cannot be read by this version of the program.
    #[error("{0}")]
    Unreadable(String),
}
