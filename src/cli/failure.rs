//! How a command can fail, and with which exit code.

/// Why a command did not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The order does not exist, does not permit it, or a value is wrong.
    #[error("{0}")]
    Rejected(String),
    /// The service, or its store, is away or busy.
    #[error("{0}")]
    Unavailable(String),
    /// Everything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    /// The exit code, as documented in `--help`.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Failure::Other(_) => 1,
            Failure::Rejected(_) => 3,
            Failure::Unavailable(_) => 4,
        }
    }
}
