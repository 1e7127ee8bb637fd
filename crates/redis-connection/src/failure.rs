//! Why a call has no usable answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerError};

use crate::Deadline;

/// What happened to commands without a usable answer. Callers must distinguish the three cases, so
/// the enum is exhaustive.
#[derive(Debug, Clone)]
pub enum Failure {
    /// Not sent: there is no connection.
    Unreachable(FailureCause),
    /// Not carried out; nothing was written.
    Refused(FailureCause),
    /// Sent, but it is unknown whether they were carried out.
    Unanswered(FailureCause),
}

/// The cause as text. Never contains the address, the user or the password.
#[derive(Debug, Clone)]
pub struct FailureCause {
    text: String,
    timed_out: bool,
    error: Option<Arc<RedisError>>,
}

impl Failure {
    /// The cause.
    #[must_use]
    pub fn cause(&self) -> &FailureCause {
        match self {
            Failure::Unreachable(cause) | Failure::Refused(cause) | Failure::Unanswered(cause) => {
                cause
            }
        }
    }

    /// The cause as text.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Failure::Unreachable(cause) | Failure::Refused(cause) | Failure::Unanswered(cause) => {
                cause.text
            }
        }
    }

    /// Whether the deadline passed.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.cause().timed_out
    }

    /// Whether the failure is temporary: no answer, or a server that loads its data or runs a long
    /// script.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let passing = ["LOADING", "BUSY ", "TRYAGAIN"];
        match self {
            Failure::Unreachable(_) | Failure::Unanswered(_) => true,
            Failure::Refused(cause) => passing.iter().any(|code| cause.text.starts_with(code)),
        }
    }

    /// A connection could not be opened. If the server refused the password or the database, it is
    /// reachable; any other error means that it is not.
    pub(crate) fn of_connecting(error: RedisError) -> Failure {
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::Server(_) => {
                Failure::Refused(error.into())
            }
            _ => Failure::Unreachable(error.into()),
        }
    }

    pub(crate) fn no_connection_by(deadline: Deadline) -> Failure {
        let text = format!("no connection within {:?}", deadline.timeout());
        Failure::Unreachable(FailureCause { timed_out: true, ..text.into() })
    }

    pub(crate) fn no_answer_by(deadline: Deadline) -> Failure {
        let text = format!("no answer within {:?}", deadline.timeout());
        Failure::Unanswered(FailureCause { timed_out: true, ..text.into() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().fmt(f)
    }
}

impl Error for Failure {
    /// The text already contains the client's error, so its source is next.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().error.as_ref()?.source()
    }
}

impl FailureCause {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<FailureCause> for String {
    fn from(cause: FailureCause) -> String {
        cause.text
    }
}

impl From<String> for FailureCause {
    fn from(text: String) -> FailureCause {
        FailureCause { text, timed_out: false, error: None }
    }
}

impl From<RedisError> for FailureCause {
    fn from(error: RedisError) -> FailureCause {
        FailureCause { text: error.to_string(), timed_out: false, error: Some(Arc::new(error)) }
    }
}

/// The text of a server's error: its code and details.
#[must_use]
pub fn server_text(error: &ServerError) -> String {
    let details = error.details().unwrap_or_default();
    format!("{} {details}", error.code()).trim_end().to_owned()
}
