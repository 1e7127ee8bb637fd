//! TLS for the API's listener.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// A certificate and its private key, read and checked as a pair.
#[derive(Clone)]
pub struct Tls(pub(super) TlsAcceptor);

/// A certificate or key that cannot be used. No text repeats the content of a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or does not contain what is expected.
    #[error("{key} ({}): {why}", path.display())]
    File {
        /// The key in the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The problem.
        why: String,
    },
    /// The certificate and the key do not belong together, or cannot be used.
    #[error("http.tls_cert and http.tls_key cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

impl Tls {
    /// Reads the certificate chain and its key, both PEM.
    ///
    /// # Errors
    /// If a file cannot be read or has the wrong content, or the two do not belong together.
    pub fn load(cert: &Path, key: &Path) -> Result<Tls, TlsError> {
        let wrong = |key, path: &Path, why: &str| TlsError::File {
            key,
            path: path.to_owned(),
            why: why.to_owned(),
        };
        let chain = read("http.tls_cert", cert, CertificateDer::pem_file_iter)?;
        let chain: Vec<CertificateDer<'static>> = chain
            .collect::<Result<_, _>>()
            .map_err(|error| wrong("http.tls_cert", cert, &in_words(&error)))?;
        if chain.is_empty() {
            return Err(wrong(
                "http.tls_cert",
                cert,
                "it has no certificate; expected PEM with BEGIN CERTIFICATE",
            ));
        }
        let key = read("http.tls_key", key, PrivateKeyDer::from_pem_file)?;
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }
}

fn read<T>(
    key: &'static str,
    path: &Path,
    read: impl FnOnce(PathBuf) -> Result<T, pem::Error>,
) -> Result<T, TlsError> {
    read(path.to_owned()).map_err(|error| TlsError::File {
        key,
        path: path.to_owned(),
        why: in_words(&error),
    })
}

fn in_words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => {
            "it has no private key; expected PEM with BEGIN PRIVATE KEY".to_owned()
        }
        _ => "it is not PEM".to_owned(),
    }
}
