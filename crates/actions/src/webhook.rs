//! The `webhook` action: each event posted as a signed message in the form of Standard Webhooks
//! (<https://www.standardwebhooks.com>).

use std::time::SystemTime;

use async_trait::async_trait;
use autoreceive_domain::Event;
use autoreceive_wire as wire;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

use super::outgoing::{self, Limits, Outgoing, OutgoingError, address, answer};
use super::{Action, Outcome};

pub use secret::{SigningSecret, WrongSecret};

mod secret;

/// Posts events to one endpoint.
pub struct Webhook {
    outgoing: Outgoing,
    url: Url,
    signers: Vec<standardwebhooks::Webhook>,
}

/// Why a webhook cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The endpoint cannot be used.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// A secret cannot be used for signing.
    #[error("messages cannot be signed: {0}")]
    Signer(String),
}

impl Webhook {
    /// A webhook to `url`. Each message carries one signature for each secret, in this order: while
    /// an endpoint rotates its secret, it accepts the signature of the secret that it knows.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub fn new(
        url: &str,
        secrets: &[SigningSecret],
        limits: &Limits,
    ) -> Result<Webhook, WebhookError> {
        let signers = secrets
            .iter()
            .map(|secret| standardwebhooks::Webhook::from_bytes(secret.expose().to_vec()));
        let signers = signers
            .collect::<Result<_, _>>()
            .map_err(|why| WebhookError::Signer(why.to_string()))?;
        let url = address::parse(url).map_err(OutgoingError::from)?;
        Ok(Webhook { outgoing: Outgoing::new(&url, limits)?, url, signers })
    }

    async fn post(&self, event: &Event) -> Outcome {
        let id = event.id();
        let body = wire::event_json(event);
        let timestamp = unix_seconds();
        let Ok(signatures) = self.signatures(&id, timestamp, &body) else {
            return Outcome::retry("the message could not be signed");
        };
        let request = self
            .outgoing
            .client()
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, id);
        let request = request
            .header(HEADER_WEBHOOK_TIMESTAMP, timestamp)
            .header(HEADER_WEBHOOK_SIGNATURE, signatures);
        match self.outgoing.send(request.body(body)).await {
            Ok(response) => {
                let outcome = answer::outcome(response.status(), response.headers());
                // The body is ignored. It is read so that the connection can be reused.
                outgoing::read(response).await;
                outcome
            }
            Err(outcome) => outcome,
        }
    }

    fn signatures(
        &self,
        id: &str,
        timestamp: i64,
        body: &str,
    ) -> Result<String, standardwebhooks::WebhookError> {
        let each = self.signers.iter().map(|signer| signer.sign(id, timestamp, body.as_bytes()));
        Ok(each.collect::<Result<Vec<_>, _>>()?.join(" "))
    }
}

#[async_trait]
impl Action for Webhook {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        self.outgoing.each(events, |event| self.post(event)).await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a signature carries the sender's wall clock; no decision depends on it"
)]
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
