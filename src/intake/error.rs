//! The error type of the intake.

use autoreceive_domain::words::WrongText;

use crate::engine::SubmitError;
use crate::store::StoreError;

/// Why the intake could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// The address of the shop's Redis is invalid. It is not repeated: it may hold a password.
    #[error("is not the address of a Redis server")]
    Address,
    /// The connection to the shop's Redis cannot be configured.
    #[error("{0}")]
    Connection(String),
    /// The shop's Redis did not answer, or answered with an error.
    #[error("the shop's Redis: {0}")]
    Shop(String),
    /// The intake cannot work with this server.
    #[error("intake.url: {0}")]
    Unsuitable(String),
    /// The subscription to notifications ended.
    #[error("the shop's Redis: the connection ended")]
    Disconnected,
    /// The text about a status is not a valid reason.
    #[error(transparent)]
    Status(#[from] WrongText),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine did not apply an observation.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}
