//! How connections are made.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Options of a link.
#[derive(Clone)]
pub struct Options {
    pub(crate) timeout: Duration,
    pub(crate) connections: usize,
    pub(crate) authorities: Option<Vec<u8>>,
}

/// Options that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// No certificate, or one that cannot be used.
    #[error("no usable certificate; expected certificates of authorities in PEM format")]
    Authorities,
}

impl Options {
    /// One connection, and the system's certificate authorities. A call may take `timeout`,
    /// connecting included.
    #[must_use]
    pub fn new(timeout: Duration) -> Options {
        Options { timeout, connections: 1, authorities: None }
    }

    /// The number of shared connections, without dedicated ones and subscriptions. They are used in
    /// turn, so that a large answer does not delay all callers. 0 counts as 1.
    #[must_use]
    pub fn connections(self, connections: usize) -> Options {
        Options { connections: connections.max(1), ..self }
    }

    /// Certificates (PEM) of authorities to trust instead of the system's. Used only for TLS
    /// addresses.
    #[must_use]
    pub fn authorities(self, pem: Option<Vec<u8>>) -> Options {
        Options { authorities: pem, ..self }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("timeout", &self.timeout)
            .field("connections", &self.connections)
            .field(
                "authorities",
                &self.authorities.as_ref().map(|pem| format!("{} bytes", pem.len())),
            )
            .finish()
    }
}

/// Refuses a text without a certificate: no server would be trusted, and every connection would
/// fail.
pub(crate) fn check_authorities(pem: &[u8]) -> Result<(), OptionsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => Err(OptionsError::Authorities),
    }
}
