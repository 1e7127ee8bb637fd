//! The `stream` action: each event as an entry of a Redis Stream, for consumers in any language.

use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::Event;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, RedisResult, TlsCertificates, Value};
use tokio::sync::Mutex;

use super::{Action, Outcome, tls};
use crate::wire;

/// How much of what a server says is kept.
const WHY_CHARS: usize = 160;

/// What is published to, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The stream's key.
    pub key: String,
    /// About how many of its last entries are kept.
    pub max_len: u64,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// Certificates (PEM) of authorities that are trusted in place of the system's, where the address asks for TLS.
    pub authorities: Option<Vec<u8>>,
}

/// Publishes to one stream.
pub struct Stream {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    settings: Settings,
}

impl Stream {
    /// A stream on the Redis server at `url`.
    ///
    /// # Errors
    /// Where `url` is not the address of a Redis server, which is not repeated, or a certificate cannot be read.
    pub fn new(url: &str, settings: Settings) -> Result<Stream, String> {
        let wrong = |_| "is not the address of a Redis server".to_owned();
        let client = match settings.authorities.clone().filter(|_| url.starts_with("rediss:")) {
            None => Client::open(url).map_err(wrong)?,
            root_cert => Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert }).map_err(wrong)?,
        };
        Ok(Stream { client, connection: Mutex::new(None), settings })
    }

    /// One command for each event, in one round trip.
    fn additions(&self, events: &[Event]) -> Pipeline {
        let Settings { key, max_len, .. } = &self.settings;
        let mut pipe = Pipeline::with_capacity(events.len());
        for event in events {
            let add = pipe.cmd("XADD").arg(key).arg("MAXLEN").arg("~").arg(*max_len).arg("*");
            let add = add.arg("id").arg(event.id()).arg("type").arg(event.kind().as_str());
            add.arg("order_id").arg(event.0.id.as_str()).arg("version").arg(event.0.version).arg("body").arg(wire::event_json(event));
        }
        pipe
    }

    async fn publish(&self, events: &[Event]) -> Result<Vec<Value>, String> {
        let pipe = self.additions(events);
        let failure = match tokio::time::timeout(self.settings.timeout, self.send(&pipe, events.len())).await {
            Ok(Ok(answers)) if answers.len() == events.len() => return Ok(answers),
            Ok(Ok(_)) => "an answer of Redis is missing".to_owned(),
            Ok(Err(error)) => in_words(&error),
            Err(_) => "Redis did not answer in time".to_owned(),
        };
        // The other end may be gone without a word. Where the lock is taken, somebody is opening a new connection.
        if let Ok(mut held) = self.connection.try_lock() {
            held.take();
        }
        Err(failure)
    }

    async fn send(&self, pipe: &Pipeline, count: usize) -> RedisResult<Vec<Value>> {
        self.connection().await?.send_packed_commands(pipe, 0, count).await
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref() {
            return Ok(connection.clone());
        }
        // The crate's own limits would be shorter; `publish` keeps the configured one.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        Ok(held.insert(self.client.get_multiplexed_async_connection_with_config(&config).await?).clone())
    }
}

#[async_trait]
impl Action for Stream {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        match self.publish(events).await {
            Ok(answers) => answers.iter().map(outcome).collect(),
            Err(why) => vec![Outcome::retry(why); events.len()],
        }
    }
}

fn outcome(answer: &Value) -> Outcome {
    match answer {
        Value::ServerError(error) => Outcome::retry(short(&format!("{} {}", error.code(), error.details().unwrap_or_default()))),
        _ => Outcome::Done,
    }
}

fn in_words(error: &RedisError) -> String {
    tls::reason(error).unwrap_or_else(|| short(&error.to_string()))
}

fn short(text: &str) -> String {
    text.trim_end().chars().take(WHY_CHARS).collect()
}
