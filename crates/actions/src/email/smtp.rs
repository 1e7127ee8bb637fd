//! One SMTP session with a mail server. The caller bounds every call with a timeout, and drops the
//! session when the timeout ends.

use std::error::Error as _;
use std::fmt;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use crate::tls;

/// The most characters of a server's answer that are kept.
const WHY_CHARS: usize = 160;

/// A mail server.
#[derive(Debug, Clone)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The client's name in EHLO.
    pub hello: String,
    /// How the connection is secured.
    pub security: Security,
    /// The login, if the server requires one.
    pub login: Option<Login>,
    /// Certificates (PEM) of authorities that are trusted in addition to the system's.
    pub authorities: Option<Vec<u8>>,
}

/// A user and a password. The password is never shown.
#[derive(Clone)]
pub struct Login {
    user: String,
    password: String,
}

impl Login {
    /// A login with this user and password.
    #[must_use]
    pub fn new(user: String, password: String) -> Login {
        Login { user, password }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.user)
    }
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Unencrypted first, then STARTTLS. Fails if the server does not offer it.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Unencrypted.
    None,
}

/// Why an email was not sent. The text gives the reason.
pub enum SendError {
    /// The server is unavailable or refuses the login: no email can be sent now.
    Server(String),
    /// The server does not accept this email now.
    Temporary(String),
    /// The server refuses this email for good.
    Final(String),
}

pub struct SmtpSession(AsyncSmtpConnection);

impl SmtpSession {
    pub async fn open(server: &MailServer) -> Result<SmtpSession, SendError> {
        // An error before the first email, such as a wrong password, is not the email's fault.
        connect(server).await.map(SmtpSession).map_err(|error| SendError::Server(reason(&error)))
    }

    pub async fn send(&mut self, message: &Message) -> Result<(), SendError> {
        match self.0.send(message.envelope(), &message.formatted()).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() || error.is_client() => {
                Err(SendError::Final(reason(&error)))
            }
            Err(error) => Err(SendError::Temporary(reason(&error))),
        }
    }

    pub async fn close(mut self) {
        let _ = self.0.quit().await;
    }
}

async fn connect(server: &MailServer) -> Result<AsyncSmtpConnection, Error> {
    let address = (server.host.as_str(), server.port);
    let hello = ClientId::Domain(server.hello.clone());
    let tls = if server.security == Security::Tls { Some(tls_parameters(server)?) } else { None };
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(address, None, &hello, tls, None).await?;
    if server.security == Security::Starttls {
        connection.starttls(tls_parameters(server)?, &hello).await?;
    }
    if let Some(Login { user, password }) = &server.login {
        let credentials = Credentials::new(user.clone(), password.clone());
        connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
    }
    Ok(connection)
}

fn tls_parameters(server: &MailServer) -> Result<TlsParameters, Error> {
    let builder = TlsParameters::builder(server.host.clone());
    match &server.authorities {
        Some(pem) => builder.add_root_certificate(Certificate::from_pem(pem)?).build_rustls(),
        None => builder.build_rustls(),
    }
}

/// The server's answer, or why there was none.
fn reason(error: &Error) -> String {
    if let Some(reason) = tls::reason(error) {
        return reason;
    }
    let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let why: String =
        why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_CHARS).collect();
    match error.status() {
        Some(code) => format!("the mail server answered {code}: {why}"),
        None => why,
    }
}
