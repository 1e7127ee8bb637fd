//! A client of the `autoreceive` HTTP API. The command line uses it, too.
//!
//! ```no_run
//! use autoreceive_client::{Client, ErrorKind};
//! use autoreceive_client::wire::command::{AtFields, NewOrder, PlaceFields};
//!
//! # async fn example() -> Result<(), autoreceive_client::Error> {
//! let client = Client::new("http://127.0.0.1:8780", None)?;
//! let fields = PlaceFields { amount: Some(59_000.into()), ..PlaceFields::of_buyer("u-7") };
//! let order = client.place(&NewOrder { order_id: "A-1".to_owned(), fields }).await?;
//! assert_eq!(order.version, 1);
//! match client.pay("A-1", &AtFields::default()).await {
//!     Ok(order) => println!("{} is {}", order.order_id, order.status),
//!     // Every command is safe to repeat.
//!     Err(error) if error.kind() == ErrorKind::Unavailable => println!("again later: {error}"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::get`] and [`Client::post`] return the raw answer of any route.

use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Body, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use autoreceive_domain as domain;
pub use autoreceive_wire as wire;
pub use reqwest::Url;

mod calls;
mod error;
mod lines;

pub use error::{Error, ErrorKind};
pub use lines::AnswerLines;

/// The maximum wait for the next bytes of an answer.
const READ: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// The maximum size of an answer. A full page of the largest orders has a tenth of it.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A client of one service. Cloning it is cheap; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
}

/// A raw answer.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    body: Vec<u8>,
    url: Url,
}

impl Client {
    /// A client of the service at `url`, with a token if the service requires one. The URL may have
    /// a path before `/v1`.
    ///
    /// # Errors
    /// The address or the token is not valid, or HTTPS is not available.
    pub fn new(url: &str, token: Option<&str>) -> Result<Client, Error> {
        let parsed = Url::parse(url);
        let url = parsed.map_err(|error| Error::because("the address is not a URL", error))?;
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            // The original error would not say what is wrong.
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| Error::no_token())?;
            // Keeps the token out of debug output.
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let builder = reqwest::Client::builder().redirect(Policy::none()).no_proxy();
        let builder = builder.connect_timeout(CONNECT).read_timeout(READ).default_headers(headers);
        // Plain HTTP needs no root certificates. A minimal container has none.
        let plain = url.scheme() == "http";
        let builder = if plain { builder.tls_certs_only([]) } else { builder };
        let http = builder.build().map_err(|error| {
            let hint = "are the root certificates installed (package ca-certificates)?";
            Error::because(format!("HTTPS is not available; {hint}"), error)
        })?;
        Ok(Client { http, url })
    }

    /// The service's address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Sends a GET request to the path made of `segments`.
    ///
    /// # Errors
    /// The service refuses the request, or does not answer.
    pub async fn get(
        &self,
        segments: &[&str],
        query: &[(&str, String)],
    ) -> Result<RawAnswer, Error> {
        let mut url = self.address(segments)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.http.get(url)).await
    }

    /// Sends a POST request with `body` to the path made of `segments`.
    ///
    /// # Errors
    /// The service refuses the request, or does not answer.
    pub async fn post(
        &self,
        segments: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<RawAnswer, Error> {
        let body = serde_json::to_string(body)
            .map_err(|error| Error::because("the request cannot be written as JSON", error))?;
        let request = self.http.post(self.address(segments)?);
        self.answer(request.header(CONTENT_TYPE, "application/json").body(body)).await
    }

    /// Sends many commands as lines, and returns the answers as they arrive: one for each line, in
    /// the same order.
    ///
    /// # Errors
    /// The service refuses the stream, or does not answer.
    pub async fn commands<E>(
        &self,
        lines: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<AnswerLines, Error>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let request = self.http.post(self.address(&["v1", "commands"])?);
        let request = request.header(CONTENT_TYPE, "application/x-ndjson");
        let response = self.send(request.body(Body::wrap_stream(lines))).await?;
        Ok(AnswerLines::new(response, self.url.clone()))
    }

    /// The URL of a path below the service's address.
    fn address(&self, segments: &[&str]) -> Result<Url, Error> {
        let mut url = self.url.clone();
        if segments.iter().any(|segment| [".", ".."].contains(segment)) {
            return Err(Error::other("an order id . or .. cannot be part of a URL"));
        }
        let no_base = |()| Error::other("the address must begin with http:// or https://");
        url.path_segments_mut().map_err(no_base)?.pop_if_empty().extend(segments);
        Ok(url)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<RawAnswer, Error> {
        let response = self.send(request).await?;
        Ok(RawAnswer { body: self.body(response).await?, url: self.url.clone() })
    }

    /// Sends the request. An error status becomes an error.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let sent = request.send().await;
        let response = sent.map_err(|error| Error::unreachable(&self.url, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response).await.unwrap_or_default();
        Err(Error::refused(&self.url, status, body))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|error| Error::unreachable(&self.url, &error))? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => return Ok(body),
            }
            if body.len() > ANSWER_BYTES {
                let url = &self.url;
                let long = format!("the answer of {url} is longer than {ANSWER_BYTES} bytes");
                return Err(Error::other(long));
            }
        }
    }
}

impl RawAnswer {
    /// The raw body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Parses the answer.
    ///
    /// # Errors
    /// It is not JSON of this form: another service answers at the address.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let url = &self.url;
            Error::because(format!("the service at {url} is not autoreceive"), error)
        })
    }
}

#[cfg(test)]
mod tests;
