//! One conversation with a mail server. Every wait in it is bounded by the caller, who gives the
//! session up when it ends.

use std::error::Error as _;
use std::fmt;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use crate::tls;

/// How much of what a server says is kept.
const WHY_CHARS: usize = 160;

/// A mail server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// As whom the program introduces itself (EHLO).
    pub hello: String,
    /// How the connection is secured.
    pub security: Security,
    /// Who sends, where it wants to know.
    pub login: Option<Login>,
    /// Certificates (PEM) of authorities that are trusted beside the system's.
    pub authorities: Option<Vec<u8>>,
}

/// A user and a password. The password is never shown.
#[derive(Clone)]
pub struct Login {
    user: String,
    password: String,
}

impl Login {
    /// The password of `user`.
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
    /// Begun in the clear and then secured; refused where the server does not offer it.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}

/// Why a letter was not sent.
pub enum Trouble {
    /// Something with the server: no letter can be sent now.
    Server(String),
    /// The server does not take this letter now.
    Later(String),
    /// It never will.
    Hopeless(String),
}

pub struct Session(AsyncSmtpConnection);

impl Session {
    pub async fn open(server: &Server) -> Result<Session, Trouble> {
        // A refusal before a letter is sent, of the password for example, says nothing about the
        // letter.
        connect(server).await.map(Session).map_err(|error| Trouble::Server(in_words(&error)))
    }

    pub async fn send(&mut self, letter: &Message) -> Result<(), Trouble> {
        match self.0.send(letter.envelope(), &letter.formatted()).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() || error.is_client() => {
                Err(Trouble::Hopeless(in_words(&error)))
            }
            Err(error) => Err(Trouble::Later(in_words(&error))),
        }
    }

    pub async fn close(mut self) {
        let _ = self.0.quit().await;
    }
}

async fn connect(server: &Server) -> Result<AsyncSmtpConnection, Error> {
    let (address, hello) =
        ((server.host.as_str(), server.port), ClientId::Domain(server.hello.clone()));
    let at_once = if server.security == Security::Tls { Some(parameters(server)?) } else { None };
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(address, None, &hello, at_once, None).await?;
    if server.security == Security::Starttls {
        connection.starttls(parameters(server)?, &hello).await?;
    }
    if let Some(Login { user, password }) = &server.login {
        let credentials = Credentials::new(user.clone(), password.clone());
        connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
    }
    Ok(connection)
}

fn parameters(server: &Server) -> Result<TlsParameters, Error> {
    let builder = TlsParameters::builder(server.host.clone());
    match &server.authorities {
        Some(pem) => builder.add_root_certificate(Certificate::from_pem(pem)?).build_rustls(),
        None => builder.build_rustls(),
    }
}

/// What the server said, or why nothing could be said to it.
fn in_words(error: &Error) -> String {
    if let Some(reason) = tls::reason(error) {
        return reason;
    }
    let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let why: String =
        why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_CHARS).collect();
    match error.status() {
        Some(code) => format!("the mail server said {code}: {why}"),
        None => why,
    }
}
