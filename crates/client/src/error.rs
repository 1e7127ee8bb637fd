//! Why a call failed.

use autoreceive_wire::Problem;
use reqwest::{StatusCode, Url};

/// The kind of a failure. It decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The order does not exist or does not permit the command, or a value is wrong. Repeating does
    /// not help.
    Rejected,
    /// There was no answer, or the service or its store is busy or unavailable. Repeating is safe.
    Unavailable,
    /// No program listens at the address.
    NotRunning,
    /// The given token has characters that a token cannot have.
    NoToken,
    /// Any other failure: for example a wrong address, or another service at it.
    Other,
}

/// Why a call failed. The message is for people; use [`Error::kind`] in code.
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
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The service's problem details, if it sent some.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_deref()
    }

    /// The raw body of the response; empty if there was none.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn no_token() -> Error {
        Error::new(
            ErrorKind::NoToken,
            "the token has characters that an HTTP header cannot carry".to_owned(),
        )
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

    /// The service answered with an error status.
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

    /// There was no answer, or it was incomplete.
    pub(crate) fn unreachable(url: &Url, error: &reqwest::Error) -> Error {
        let mut deepest: &dyn std::error::Error = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        let io = deepest.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return Error::new(ErrorKind::NotRunning, format!("no service at {url}"));
        }
        let why = if error.is_timeout() {
            "it does not answer in time".to_owned()
        } else {
            deepest.to_string()
        };
        let hint = other_scheme(url, &why);
        let message = format!("no answer from {url}: {why}{hint}; repeating the command is safe");
        Error::new(ErrorKind::Unavailable, message)
    }
}

/// A hint if the service speaks the other of HTTP and HTTPS.
fn other_scheme(url: &Url, why: &str) -> &'static str {
    match url.scheme() {
        "https" if why.contains("InvalidContentType") => {
            " (perhaps it does not speak TLS; try http://)"
        }
        "http" if why.contains("invalid HTTP version") => " (perhaps it speaks TLS; try https://)",
        _ => "",
    }
}
