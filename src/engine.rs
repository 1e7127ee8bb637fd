//! The engine: load → decide → commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoreceive_domain::{Command, Order, OrderId, Policy, Rejection, Terms};

use crate::store::{Page, Stats, StoreError, View};

/// The engine of one worker. Cloning it is cheap; all clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    _private: Arc<()>,
}

/// What became of a command that was answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// How it went.
    pub outcome: ReplyOutcome,
    /// The order as the command left it, and the terms it was placed under; none where there is no such order.
    pub order: Option<(Arc<Order>, Arc<Terms>)>,
}

/// How a command went.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyOutcome {
    /// It changed the order.
    Changed,
    /// It had been carried out before; nothing changed.
    Unchanged,
    /// It cannot be carried out; nothing changed.
    Rejected(Rejection),
}

/// Why a command was not answered. All of these are safe to repeat.
#[derive(Debug, Clone, thiserror::Error)]
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

impl Engine {
    /// Carries out a command. Commands of one order that are submitted one after another by the same caller without
    /// waiting in between are carried out in that order.
    ///
    /// # Errors
    /// See [`SubmitError`]; repeating the command is always safe.
    pub async fn submit(&self, _id: OrderId, _command: Command) -> Result<Reply, SubmitError> {
        todo!()
    }

    /// The configured policies by name; there is always one called `default`.
    #[must_use]
    pub fn policies(&self) -> &BTreeMap<String, Policy> {
        todo!()
    }

    /// One order with the terms it was placed under.
    ///
    /// # Errors
    /// Where the store does not answer or the record cannot be read.
    pub async fn show(&self, _id: &OrderId) -> Result<Option<(Arc<Order>, Arc<Terms>)>, SubmitError> {
        todo!()
    }

    /// A page of orders.
    ///
    /// # Errors
    /// Where the store does not answer or the cursor is not one of this view.
    pub async fn page(&self, _view: View, _cursor: Option<&str>, _limit: usize) -> Result<Page, StoreError> {
        todo!()
    }

    /// The store's figures.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        todo!()
    }
}
