//! The engine's replies to commands.

use std::sync::Arc;

use autoreceive_domain::{Order, Rejection, Terms, UnknownPolicy};

/// The reply to a command.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What the command did.
    pub outcome: ReplyOutcome,
    /// The order after the command, and the terms under which it was placed. `None` if there is no
    /// such order.
    pub order: Option<(Arc<Order>, Arc<Terms>)>,
}

/// What a command did. Exhaustive on purpose: a caller must handle each case.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyOutcome {
    /// It changed the order.
    Changed,
    /// It was applied before; nothing changed.
    Unchanged,
    /// It cannot be carried out; nothing changed.
    Rejected(Rejection),
    /// It names a policy that is not configured; nothing changed.
    UnknownPolicy(UnknownPolicy),
}

/// Why there is no reply. The command is safe to repeat in each case.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The queue is full; nothing was done.
    #[error("too many commands are waiting; repeat this one in a moment")]
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
