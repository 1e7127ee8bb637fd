//! Explains TLS errors: what is wrong with the certificate, and what to do.

use std::error::Error;
use std::io;

use rustls::CertificateError::{
    Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
    NotValidYetContext, Revoked, UnknownIssuer,
};

/// The TLS error among the causes of `error`, explained.
pub(super) fn reason(error: &(dyn Error + 'static)) -> Option<String> {
    find(error).map(|error| format!("TLS: {}", explain(error)))
}

/// Looks inside an `io::Error`, too: its `source()` skips the error that it wraps.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| find(inner));
    error.downcast_ref().or(wrapped).or_else(|| find(error.source()?))
}

fn explain(error: &rustls::Error) -> String {
    let problem = match error {
        rustls::Error::InvalidCertificate(problem) => problem,
        rustls::Error::InvalidMessage(_) => return "the server does not speak TLS".to_owned(),
        other => return other.to_string(),
    };
    let known = match problem {
        Expired | ExpiredContext { .. } => "the server's certificate has expired",
        NotValidYet | NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; is this machine's clock right?"
        }
        NotValidForName | NotValidForNameContext { .. } => {
            "the server's certificate is for another name"
        }
        Revoked => "the server's certificate was revoked",
        UnknownIssuer => {
            "the server's certificate is self-signed, or its authority is not trusted; name the \
             authority's certificate in ca_file"
        }
        _ => return error.to_string(),
    };
    known.to_owned()
}
