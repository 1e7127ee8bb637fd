//! Shared by all HTTP actions: checks the endpoint's address, limits the rate, and maps answers to
//! outcomes.
//!
//! | module | does |
//! |---|---|
//! | [`address`] | refuses addresses that must never be connected to |
//! | [`resolver`] | checks the addresses of a name, at every connection |
//! | [`answer`] | maps answers and errors to outcomes |

use std::time::Duration;

use autoreceive_domain::Event;
use futures_util::{StreamExt, stream};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};
use tokio::sync::Semaphore;

use self::address::RefusedAddress;
use self::resolver::{GuardedResolver, SystemResolver};
use super::pace::Pace;
use super::{IN_FLIGHT, Outcome};

pub mod address;
pub(super) mod answer;
mod resolver;

/// The most bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;
/// The longest wait for a connection, as a part of the timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The limits of the attempts at one endpoint.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest wait for the whole answer.
    pub timeout: Duration,
    /// The most attempts in a second; `None` for no limit.
    pub rate: Option<u32>,
    /// The most requests at the same time.
    pub concurrency: usize,
    /// Whether private addresses may be connected to.
    pub allow_private: bool,
    /// Certificates (PEM) of authorities that are trusted in addition to the system's.
    pub authorities: Option<Vec<u8>>,
}

impl Default for Limits {
    /// Ten seconds, 64 requests at a time, no rate limit, and no private addresses.
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

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutgoingError {
    /// The address must not be connected to.
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    /// TLS cannot be set up, for example because the system has no root certificates.
    #[error(
        "TLS to the endpoint cannot be set up; install the root certificates (package \
         ca-certificates)"
    )]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends requests to one endpoint.
pub(super) struct Outgoing {
    client: Client,
    pace: Option<Pace>,
    /// One permit for each request in flight.
    permits: Semaphore,
    timeout: Duration,
}

impl Outgoing {
    /// Redirects and proxies of the environment are ignored, so that events go to the configured
    /// address only. An IP address in the URL is never resolved, so it is checked here; the
    /// resolver checks names.
    pub(super) fn new(url: &Url, limits: &Limits) -> Result<Outgoing, OutgoingError> {
        address::check_parsed(url, limits.allow_private)?;
        let resolver =
            GuardedResolver { inner: SystemResolver, allow_private: limits.allow_private };
        let client =
            client(url, limits, resolver).map_err(|error| OutgoingError::Client(error.into()))?;
        Ok(Outgoing {
            client,
            pace: limits.rate.map(Pace::new),
            permits: Semaphore::new(limits.concurrency.max(1)),
            timeout: limits.timeout,
        })
    }

    /// Attempts the events, several at a time within the limits. Returns the outcomes in the order
    /// of the events.
    pub(super) async fn each<'a, F>(
        &'a self,
        events: &'a [Event],
        attempt: impl Fn(&'a Event) -> F,
    ) -> Vec<Outcome>
    where
        F: Future<Output = Outcome>,
    {
        let paced = async |future: F| {
            // Cannot fail: the semaphore is never closed.
            let _permit = self.permits.acquire().await;
            if let Some(pace) = &self.pace {
                pace.wait().await;
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
    /// The outcome, if there was no answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Outcome> {
        request.send().await.map_err(|error| Outcome::retry(answer::failure(&error, self.timeout)))
    }
}

fn client<R: reqwest::dns::Resolve + 'static>(
    url: &Url,
    limits: &Limits,
    resolver: GuardedResolver<R>,
) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("autoreceive/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .dns_resolver(resolver)
        .connect_timeout(CONNECT_TIMEOUT.min(limits.timeout))
        .timeout(limits.timeout);
    // http:// needs no root certificates, and a minimal container has none.
    if url.scheme() == "http" {
        return builder.tls_certs_only([]).build();
    }
    match &limits.authorities {
        Some(pem) => builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?).build(),
        None => builder.build(),
    }
}

/// Reads at most [`ANSWER_BYTES`] of an answer. An error ends the reading early and is ignored: the
/// status is known.
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
