//! The `webhook` action: each event posted as a signed message in the form of Standard Webhooks
//! (<https://www.standardwebhooks.com>).

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use autoreceive_domain::Event;
use futures_util::{StreamExt, stream};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

use super::{Action, Outcome};
use crate::wire;

pub use secret::{SigningSecret, WrongSecret};

mod answer;
mod secret;

/// How many events of one attempt are posted at the same time.
const IN_FLIGHT: usize = 16;
/// How much of an answer is read, so that the connection can be used again. What a receiver says is not used.
const ANSWER_BYTES: usize = 64 * 1024;
/// The longest wait for a connection, within the whole wait.
const CONNECT: Duration = Duration::from_secs(5);

/// Posts events to one receiver.
pub struct Webhook {
    client: Client,
    url: Url,
    signer: standardwebhooks::Webhook,
    timeout: Duration,
}

/// Why a webhook cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No connection could be secured, for example because the system has no root certificates.
    #[error("connections to the receiver cannot be secured; are the root certificates installed (package ca-certificates)?")]
    Client(#[source] reqwest::Error),
    /// A secret that nothing can be signed with.
    #[error("messages cannot be signed: {0}")]
    Signer(standardwebhooks::WebhookError),
}

impl Webhook {
    /// A webhook to `url`, which waits for `timeout` for the whole answer. Redirects are not followed, and no proxy is taken
    /// from the environment: an event goes where it was configured to go, or nowhere.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub fn new(url: Url, secret: SigningSecret, timeout: Duration) -> Result<Webhook, WebhookError> {
        let client = client(&url, timeout).map_err(WebhookError::Client)?;
        let signer = standardwebhooks::Webhook::from_bytes(secret.expose().to_vec()).map_err(WebhookError::Signer)?;
        Ok(Webhook { client, url, signer, timeout })
    }

    async fn post(&self, event: &Event) -> Outcome {
        let id = event.id();
        let body = wire::event_json(event);
        let timestamp = unix_seconds();
        let Ok(signature) = self.signer.sign(&id, timestamp, body.as_bytes()) else {
            return Outcome::retry("the message could not be signed");
        };
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").header(HEADER_WEBHOOK_ID, id);
        let request = request.header(HEADER_WEBHOOK_TIMESTAMP, timestamp).header(HEADER_WEBHOOK_SIGNATURE, signature);
        match request.body(body).send().await {
            Ok(response) => {
                let outcome = answer::outcome(response.status(), response.headers());
                drain(response).await;
                outcome
            }
            Err(error) => Outcome::retry(answer::failure(&error, self.timeout)),
        }
    }
}

fn client(url: &Url, timeout: Duration) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("autoreceive/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT.min(timeout))
        .timeout(timeout);
    // Without TLS no root certificates are needed; a bare container has none.
    if url.scheme() == "http" { builder.tls_certs_only([]).build() } else { builder.build() }
}

#[async_trait]
impl Action for Webhook {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        let posts: Vec<_> = events.iter().map(|event| self.post(event)).collect();
        stream::iter(posts).buffered(IN_FLIGHT).collect().await
    }
}

/// Reads the rest of an answer up to a bound. The status has said everything, so a failure here changes nothing.
async fn drain(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > ANSWER_BYTES {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a signature carries the sender's wall clock; no decision is made with it")]
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
