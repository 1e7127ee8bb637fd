//! Why a connection could not be secured, in words that say what to do.

use std::error::Error;
use std::io;

use rustls::CertificateError::{
    Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
    NotValidYetContext, Revoked, UnknownIssuer,
};

/// The reason in TLS, where an error has one among its causes.
pub(super) fn reason(error: &(dyn Error + 'static)) -> Option<String> {
    find(error).map(|error| format!("TLS: {}", in_words(error)))
}

/// An `io::Error` hides what it was made of from `source()`.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| find(inner));
    error.downcast_ref().or(wrapped).or_else(|| find(error.source()?))
}

fn in_words(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(problem) = error else { return other(error) };
    match problem {
        Expired | ExpiredContext { .. } => "the receiver's certificate has expired".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "the receiver's certificate is not valid yet; \
            is this machine's clock right?"
            .to_owned(),
        NotValidForName | NotValidForNameContext { .. } => "the receiver's certificate is for \
            another name"
            .to_owned(),
        Revoked => "the receiver's certificate was revoked".to_owned(),
        UnknownIssuer => {
            "the receiver's certificate is self-signed or of an authority that is not trusted \
                here; ca_file can name one"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

fn other(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(_) => "the receiver does not speak TLS there".to_owned(),
        error => error.to_string(),
    }
}
