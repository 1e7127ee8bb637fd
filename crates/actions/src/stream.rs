//! The `stream` action: each event as an entry of a Redis Stream, for consumers in any language.

use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::Event;
use autoreceive_redis_connection::redis::{Pipeline, Value};
use autoreceive_redis_connection::{Address, Failure, Link, Options, server_text};
use autoreceive_wire as wire;

use super::{Action, Outcome, tls};

/// The most characters of a server's error message that are kept.
const WHY_CHARS: usize = 160;

/// The stream, and how entries are added.
#[derive(Debug, Clone)]
pub struct StreamSettings {
    /// The stream's key.
    pub key: String,
    /// About how many of the newest entries are kept.
    pub max_len: u64,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// Certificates (PEM) of authorities that are trusted instead of the system's, for TLS.
    pub authorities: Option<Vec<u8>>,
}

/// Why a stream cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The text is no address of a Redis server. It is not repeated: it may hold a password.
    #[error("is not the address of a Redis server")]
    Address,
    /// The connection cannot be configured, for example because of a wrong certificate.
    #[error("{0}")]
    Connection(String),
}

/// Adds entries to one stream.
pub struct Stream {
    link: Link,
    settings: StreamSettings,
}

impl Stream {
    /// A stream on the Redis server at `url`.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn new(url: &str, settings: StreamSettings) -> Result<Stream, StreamError> {
        let address: Address = url.parse().map_err(|_| StreamError::Address)?;
        let options = Options::new(settings.timeout).authorities(settings.authorities.clone());
        let link = Link::new(&address, options)
            .map_err(|error| StreamError::Connection(error.to_string()))?;
        Ok(Stream { link, settings })
    }

    /// One `XADD` for each event, in one round trip.
    fn additions(&self, events: &[Event]) -> Pipeline {
        let StreamSettings { key, max_len, .. } = &self.settings;
        let mut pipe = Pipeline::with_capacity(events.len());
        for event in events {
            let add = pipe.cmd("XADD").arg(key).arg("MAXLEN").arg("~").arg(*max_len).arg("*");
            let add = add.arg("id").arg(event.id()).arg("type").arg(event.kind().as_str());
            add.arg("order_id")
                .arg(event.0.id.as_str())
                .arg("version")
                .arg(event.0.version)
                .arg("body")
                .arg(wire::event_json(event));
        }
        pipe
    }
}

#[async_trait]
impl Action for Stream {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        match self.link.send(&self.additions(events)).await {
            Ok(answers) => answers.iter().map(outcome).collect(),
            Err(failure) => vec![Outcome::retry(reason(&failure)); events.len()],
        }
    }
}

fn outcome(answer: &Value) -> Outcome {
    match answer {
        Value::ServerError(error) => Outcome::retry(short(&server_text(error))),
        _ => Outcome::Done,
    }
}

fn reason(failure: &Failure) -> String {
    if failure.timed_out() {
        return "Redis did not answer in time".to_owned();
    }
    tls::reason(failure).unwrap_or_else(|| short(&failure.to_string()))
}

fn short(text: &str) -> String {
    text.trim_end().chars().take(WHY_CHARS).collect()
}
