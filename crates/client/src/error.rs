//! Why a call came to nothing.

use autoreceive_wire::Problem;
use reqwest::{StatusCode, Url};

/// What kind of failure it is, which decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The order does not exist or does not permit it, or a value is wrong. Asking again changes
    /// nothing.
    Rejected,
    /// There was no answer, or the service or its store is busy or away. Repeating is safe.
    Unavailable,
    /// Nobody listens at the address.
    NotRunning,
    /// The text that was given as a token is none.
    NoToken,
    /// Everything else: a wrong address, an answer of some other service.
    Other,
}

/// Why a call came to nothing, told for people; [`Error::kind`] is for programs.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    body: Vec<u8>,
    problem: Option<Box<Problem>>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The service's own words, where it answered.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_deref()
    }

    /// The body of the answer as it came; empty where there was none.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn no_token() -> Error {
        Error::new(ErrorKind::NoToken, "this is no token".to_owned())
    }

    fn new(kind: ErrorKind, message: String) -> Error {
        Error { kind, message, body: Vec::new(), problem: None, source: None }
    }

    pub(crate) fn other(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Other, message.into())
    }

    pub(crate) fn because(
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        Error { source: Some(Box::new(source)), ..Error::other(message) }
    }

    /// The service refused it.
    pub(crate) fn refused(url: &Url, status: StatusCode, body: Vec<u8>) -> Error {
        let problem: Option<Problem> = serde_json::from_slice(&body).ok();
        let message = match &problem {
            Some(problem) => problem.explained(),
            None => format!("{url} answers with status {status}"),
        };
        let kind = match status.as_u16() {
            404 | 409 | 422 => ErrorKind::Rejected,
            408 | 429 | 502..=504 => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        };
        Error { body, problem: problem.map(Box::new), ..Error::new(kind, message) }
    }

    /// No answer came, or it broke off.
    pub(crate) fn unreachable(url: &Url, error: &reqwest::Error) -> Error {
        let mut deepest: &dyn std::error::Error = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        let io = deepest.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return Error::new(ErrorKind::NotRunning, format!("no service at {url}"));
        }
        let why = match error.is_timeout() {
            true => "it does not answer in time".to_owned(),
            false => deepest.to_string(),
        };
        let hint = other_scheme(url, &why);
        let message = format!("no answer from {url}: {why}{hint}; repeating the command is safe");
        Error::new(ErrorKind::Unavailable, message)
    }
}

/// What to try where the answer is none of the protocol that was asked for.
fn other_scheme(url: &Url, why: &str) -> &'static str {
    match url.scheme() {
        "https" if why.contains("InvalidContentType") => {
            " (perhaps it does not speak TLS; try http://)"
        }
        "http" if why.contains("invalid HTTP version") => " (perhaps it speaks TLS; try https://)",
        _ => "",
    }
}
