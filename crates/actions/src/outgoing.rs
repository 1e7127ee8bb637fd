//! What every action that speaks HTTP shares: the receiver is reached only where events may go, no
//! faster than configured, and its answer, or its silence, means the same everywhere.
//!
//! | module | does |
//! |---|---|
//! | [`address`] | which addresses are never connected to |
//! | [`resolver`] | the same for what a name resolves to, at every connection anew |
//! | [`answer`] | what an answer means |

use std::time::Duration;

use autoreceive_domain::Event;
use futures_util::{StreamExt, stream};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};
use tokio::sync::Semaphore;

use self::address::Refused;
use self::resolver::{Guard, System};
use super::pace::Pace;
use super::{IN_FLIGHT, Outcome};

pub mod address;
pub(super) mod answer;
mod resolver;

/// How much of an answer is read.
const ANSWER_BYTES: usize = 64 * 1024;
/// The longest wait for a connection, within the whole wait.
const CONNECT: Duration = Duration::from_secs(5);

/// What bounds the attempts at one receiver.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest wait for the whole answer.
    pub timeout: Duration,
    /// The most attempts in a second; unlimited without.
    pub rate: Option<u32>,
    /// The most requests at the same time.
    pub concurrency: usize,
    /// Whether private addresses may be connected to.
    pub allow_private: bool,
    /// Certificates (PEM) of authorities that are trusted beside the system's.
    pub authorities: Option<Vec<u8>>,
}

impl Default for Limits {
    /// Ten seconds, 64 requests at a time as fast as it goes, and no private addresses.
    fn default() -> Limits {
        Limits {
            timeout: Duration::from_secs(10),
            rate: None,
            concurrency: 64,
            allow_private: false,
            authorities: None,
        }
    }
}

/// Why a receiver cannot be spoken to at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutgoingError {
    /// The address is one that is never connected to.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No connection could be secured, for example because the system has no root certificates.
    #[error(
        "connections to the receiver cannot be secured; are the root certificates installed \
            (package ca-certificates)?"
    )]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Speaks to one receiver.
pub(super) struct Outgoing {
    client: Client,
    pace: Option<Pace>,
    /// A place for each request that may be under way.
    places: Semaphore,
    timeout: Duration,
}

impl Outgoing {
    /// Redirects are not followed, and no proxy is taken from the environment: an event goes where
    /// it was configured to go, or nowhere. An address that stands in the URL itself is never
    /// resolved, so it is checked here; names are checked each time they are.
    pub(super) fn new(url: &Url, limits: &Limits) -> Result<Outgoing, OutgoingError> {
        address::check_parsed(url, limits.allow_private)?;
        let guard = Guard { inner: System, allow_private: limits.allow_private };
        let (pace, places) =
            (limits.rate.map(Pace::new), Semaphore::new(limits.concurrency.max(1)));
        let client =
            client(url, limits, guard).map_err(|error| OutgoingError::Client(error.into()))?;
        Ok(Outgoing { client, pace, places, timeout: limits.timeout })
    }

    /// Attempts each event when the pace allows it, several at a time, and returns the outcomes in
    /// the same order.
    pub(super) async fn each<'a, F>(
        &'a self,
        events: &'a [Event],
        attempt: impl Fn(&'a Event) -> F,
    ) -> Vec<Outcome>
    where
        F: Future<Output = Outcome>,
    {
        let paced = async |future: F| {
            // It is never closed, so there is always a place in the end.
            let _place = self.places.acquire().await;
            if let Some(pace) = &self.pace {
                pace.turn().await;
            }
            future.await
        };
        let attempts: Vec<_> = events.iter().map(|event| paced(attempt(event))).collect();
        stream::iter(attempts).buffered(IN_FLIGHT).collect().await
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The outcome where there was no answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Outcome> {
        request.send().await.map_err(|error| Outcome::retry(answer::failure(&error, self.timeout)))
    }
}

fn client<R: reqwest::dns::Resolve + 'static>(
    url: &Url,
    limits: &Limits,
    guard: Guard<R>,
) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("autoreceive/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .dns_resolver(guard)
        .connect_timeout(CONNECT.min(limits.timeout))
        .timeout(limits.timeout);
    // Without TLS no root certificates are needed; a bare container has none.
    if url.scheme() == "http" {
        return builder.tls_certs_only([]).build();
    }
    match &limits.authorities {
        Some(pem) => builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?).build(),
        None => builder.build(),
    }
}

/// Reads an answer up to a bound; what comes after it is cut off. A failure ends it early: the
/// status has been said.
pub(super) async fn read(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    body
}

#[cfg(test)]
mod tests;
