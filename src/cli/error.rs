//! Errors of commands, and their exit codes.

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The order does not exist or does not permit the command, or a value is invalid.
    #[error("{0}")]
    Rejected(String),
    /// The service or its store is not available, or busy.
    #[error("{0}")]
    Unavailable(String),
    /// Any other error.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl CliError {
    /// The exit code, as documented in `--help`.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            CliError::Other(_) => 1,
            CliError::Rejected(_) => 3,
            CliError::Unavailable(_) => 4,
        }
    }
}
