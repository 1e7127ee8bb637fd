//! How the service is asked: HTTP and the JSON of its API.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde_json::Value;

use super::{Failure, output, zone};

/// The longest wait for the next bytes of an answer.
const READ: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer that is read; a full page of the largest orders is a tenth of it.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The variable that holds the token. A flag for it would show in the list of processes.
const TOKEN: &str = "AUTORECEIVE_TOKEN";

/// Where the service is, and how its answer is shown.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Where the service is.
    #[arg(long, env = "AUTORECEIVE_URL", default_value = "http://127.0.0.1:8780", value_name = "URL", value_parser = service_url)]
    pub url: Url,
    /// A file with the token for the service; without it, the environment variable AUTORECEIVE_TOKEN is used.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the service's JSON.
    #[arg(long)]
    pub json: bool,
    /// The time zone in which times are shown, for example Asia/Seoul; this system's without it.
    #[arg(long, value_name = "ZONE", value_parser = zone::parse)]
    tz: Option<jiff::tz::TimeZone>,
}

impl ClientArgs {
    /// The zone in which times are shown.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        self.tz.clone().unwrap_or_else(jiff::tz::TimeZone::system)
    }

    /// Asks for what lies under the path made of `segments`.
    pub async fn get(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        let mut url = self.address(segments)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.request(Method::GET, url)?).await
    }

    /// Sends `body` to the path made of `segments`.
    pub async fn post(&self, segments: &[&str], body: &impl Serialize) -> Result<Value, Failure> {
        self.answer(self.posting(segments, body)?).await
    }

    /// Sends one of several requests, whose answers are not printed.
    pub async fn quietly(&self, request: RequestBuilder) -> Result<Value, Failure> {
        Ok(self.read(request).await?.0)
    }

    /// A request with `body` to the path made of `segments`.
    pub fn posting(&self, segments: &[&str], body: &impl Serialize) -> Result<RequestBuilder, Failure> {
        let body = serde_json::to_string(body).context("the request cannot be written as JSON")?;
        let request = self.request(Method::POST, self.address(segments)?)?;
        Ok(request.header("content-type", "application/json").body(body))
    }

    /// A request with nothing sent yet.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, Failure> {
        let builder = Client::builder().redirect(Policy::none()).no_proxy().connect_timeout(CONNECT).read_timeout(READ);
        // Without TLS no root certificates are needed; a bare container has none.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client =
            builder.build().context("HTTPS is not possible here; are the root certificates installed (package ca-certificates)?")?;
        let request = client.request(method, url);
        Ok(match self.token()? {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        })
    }

    fn token(&self) -> Result<Option<HeaderValue>, Failure> {
        let (text, source) = match &self.token_file {
            Some(path) => (std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?, "--token-file"),
            None => (std::env::var(TOKEN).unwrap_or_default(), TOKEN),
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        // The error would repeat nothing, but it would not say what is wrong either.
        let value = HeaderValue::from_str(&format!("Bearer {}", text.trim())).map_err(|_| anyhow!("{source} holds no token"))?;
        Ok(Some(sensitive(value)))
    }

    /// The address of a path below the service's.
    pub fn address(&self, segments: &[&str]) -> Result<Url, Failure> {
        let mut url = self.url.clone();
        if segments.iter().any(|segment| [".", ".."].contains(segment)) {
            return Err(anyhow!("an order called . or .. cannot be named in a URL; use `autoreceive import`").into());
        }
        url.path_segments_mut().map_err(|()| anyhow!("--url must begin with http:// or https://"))?.pop_if_empty().extend(segments);
        Ok(url)
    }

    /// Sends the request and tells an answer from a refusal.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.body(response).await.unwrap_or_default();
        Err(self.refused(status, &body))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let (value, body) = self.read(request).await?;
        if self.json {
            output::print(&String::from_utf8_lossy(&body));
        }
        Ok(value)
    }

    async fn read(&self, request: RequestBuilder) -> Result<(Value, Vec<u8>), Failure> {
        let response = self.send(request).await?;
        let body = self.body(response).await?;
        let value = serde_json::from_slice(&body).with_context(|| format!("what answers at {} is no autoreceive service", self.url))?;
        Ok((value, body))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES {
                return Err(anyhow!("the answer of {} is longer than {ANSWER_BYTES} bytes", self.url).into());
            }
        }
        Ok(body)
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        if self.json && !body.is_empty() {
            output::print(&String::from_utf8_lossy(body));
        }
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let title = explained(&problem).unwrap_or_else(|| format!("{} answers with status {status}", self.url));
        match status.as_u16() {
            404 | 409 | 422 => Failure::Rejected(title),
            408 | 429 | 502..=504 => Failure::Unavailable(title),
            _ => Failure::Other(anyhow!(title)),
        }
    }

    /// What to say where no answer came.
    pub fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut deepest: &dyn std::error::Error = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        let refused = deepest.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::ConnectionRefused);
        let (url, why) = (&self.url, if error.is_timeout() { "it does not answer in time".to_owned() } else { deepest.to_string() });
        Failure::Unavailable(if refused {
            format!("no service at {url}; start one with `autoreceive serve`, or name another with --url or AUTORECEIVE_URL")
        } else {
            format!("no answer from {url}: {why}{}; repeating the command is safe", other_scheme(url, &why))
        })
    }
}

/// Reads the address of a service.
fn service_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let url = url.ok_or("it must begin with http:// or https://, for example http://127.0.0.1:8780")?;
    if url.path().trim_end_matches('/').ends_with("/v1") {
        return Err("leave out the /v1: the commands add it themselves".to_owned());
    }
    Ok(url)
}

/// What to try where the answer is none of the protocol that was asked for.
fn other_scheme(url: &Url, why: &str) -> &'static str {
    match url.scheme() {
        "https" if why.contains("InvalidContentType") => " (perhaps it does not speak TLS; try http://)",
        "http" if why.contains("invalid HTTP version") => " (perhaps it speaks TLS; try https://)",
        _ => "",
    }
}

/// Kept out of every debug output.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// The service's own words, and what it would accept.
pub fn explained(problem: &Value) -> Option<String> {
    let title = problem["title"].as_str()?;
    let detail = problem["detail"].as_str().map(|detail| format!(". {detail}")).unwrap_or_default();
    let allowed: Vec<&str> = problem["allowed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let allowed = if allowed.is_empty() { String::new() } else { format!(" (possible now: {})", allowed.join(", ")) };
    Some(format!("{title}{detail}{allowed}"))
}
