//! Why a call has no usable answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerError};

use crate::Deadline;

/// What became of commands that have no usable answer. Callers must tell the three apart, so no
/// fourth will be added.
#[derive(Debug, Clone)]
pub enum Failure {
    /// They were not sent: there is no connection.
    Unreachable(Cause),
    /// They were not carried out, and nothing was written.
    Refused(Cause),
    /// They were sent. Nobody knows whether they were carried out.
    Unanswered(Cause),
}

/// What happened, in words. Never contains the address, its user or its password.
#[derive(Debug, Clone)]
pub struct Cause {
    text: String,
    timed_out: bool,
    error: Option<Arc<RedisError>>,
}

impl Failure {
    /// What happened.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        match self {
            Failure::Unreachable(cause) | Failure::Refused(cause) | Failure::Unanswered(cause) => {
                cause
            }
        }
    }

    /// What happened, in words.
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

    /// Whether it can pass by itself: no answer, or a server that still loads its data or runs a
    /// long script.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let passing = ["LOADING", "BUSY ", "TRYAGAIN"];
        match self {
            Failure::Unreachable(_) | Failure::Unanswered(_) => true,
            Failure::Refused(cause) => passing.iter().any(|code| cause.text.starts_with(code)),
        }
    }

    /// A connection could not be opened. A server that refuses the password or the database is
    /// there; any other trouble is on the way to it.
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
        Failure::Unreachable(Cause { timed_out: true, ..text.into() })
    }

    pub(crate) fn no_answer_by(deadline: Deadline) -> Failure {
        let text = format!("no answer within {:?}", deadline.timeout());
        Failure::Unanswered(Cause { timed_out: true, ..text.into() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().fmt(f)
    }
}

impl Error for Failure {
    /// The words are those of the client's error, so its own source comes next.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().error.as_ref()?.source()
    }
}

impl Cause {
    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> String {
        cause.text
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause { text, timed_out: false, error: None }
    }
}

impl From<RedisError> for Cause {
    fn from(error: RedisError) -> Cause {
        Cause { text: error.to_string(), timed_out: false, error: Some(Arc::new(error)) }
    }
}

/// What an error answer of the server says: its code and the details.
#[must_use]
pub fn server_text(error: &ServerError) -> String {
    let details = error.details().unwrap_or_default();
    format!("{} {details}", error.code()).trim_end().to_owned()
}
