//! The `http` action: each event as a request built from templates, for gateways with their own
//! request format.

use async_trait::async_trait;
use autoreceive_domain::Event;
use minijinja::value::Value;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};

use super::outgoing::{self, Limits, Outgoing, OutgoingError, answer};
use super::template::{Escape, Secrets, Template, TemplateError, Templates, values};
use super::{Action, Outcome};

/// The most characters of an unexpected value that the reason quotes.
const ANSWER_CHARS: usize = 60;

/// How a request is built. URL, header values and body are templates. They see the event in the
/// form of the webhook body, and the secrets as `env`.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The URL. Scheme, host and port are fixed, so that no order can choose the endpoint.
    pub url: String,
    /// Headers.
    pub headers: Vec<(HeaderName, String)>,
    /// The body.
    pub body: Option<String>,
    /// The values of `env`.
    pub secrets: Secrets,
    /// A value that the answer must have, beside a status of 2xx, to count as success.
    pub expected: Option<ExpectedValue>,
}

/// A value in a JSON answer.
#[derive(Debug, Clone)]
pub struct ExpectedValue {
    /// The place of the value: a JSON pointer.
    pub pointer: String,
    /// The expected value, as text.
    pub value: String,
}

/// Sends one request for each event.
pub struct Http {
    outgoing: Outgoing,
    compiled: CompiledRequest,
    method: Method,
    secrets: Secrets,
    expected: Option<ExpectedValue>,
}

/// The compiled templates of a request.
struct CompiledRequest {
    templates: Templates,
    origin: Url,
    url: Template,
    headers: Vec<(HeaderName, Template)>,
    body: Option<(Template, Escape)>,
}

/// Why an `http` action cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The endpoint cannot be used.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// The URL is invalid, or its host is a template.
    #[error("expected https:// or http://, and a host without a template")]
    Origin,
    /// The syntax of a template is wrong.
    #[error("{key}: {source}")]
    Template {
        /// The configuration key of the template.
        key: String,
        /// The mistake, with its line.
        source: TemplateError,
    },
}

/// Why an event gives no request. A repeat would fail in the same way.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("{key}: {source}")]
    Template { key: String, source: TemplateError },
    #[error("url: the filled-in template is not a URL")]
    Url,
    #[error("url: the filled-in template leads to another host")]
    OtherHost,
    #[error("{key}: a control character cannot be sent in a header")]
    Header { key: String },
    #[error(
        "body: the filled-in template is not JSON; {{{{ … }}}} writes the quotes of a text by \
         itself"
    )]
    Body,
}

impl Request {
    /// Checks the URL and the templates.
    ///
    /// # Errors
    /// Names the wrong template and the line.
    pub fn check(&self) -> Result<(), HttpError> {
        CompiledRequest::new(self).map(drop)
    }
}

impl CompiledRequest {
    fn new(request: &Request) -> Result<CompiledRequest, HttpError> {
        let origin = parse_origin(&request.url).ok_or(HttpError::Origin)?;
        let mut templates = Templates::new();
        let mut add = |name: &str, source: &str, escape| {
            templates
                .add(name, source, escape)
                .map_err(|source| HttpError::Template { key: name.to_owned(), source })
        };
        let url = add("url", &request.url, Escape::Percent)?;
        let escape = body_escape(&request.headers);
        let body = request
            .body
            .as_ref()
            .map(|body| add("body", body, escape))
            .transpose()?
            .map(|body| (body, escape));
        let mut headers = Vec::new();
        for (name, source) in &request.headers {
            headers.push((name.clone(), add(&format!("headers.{name}"), source, Escape::None)?));
        }
        Ok(CompiledRequest { templates, origin, url, headers, body })
    }

    fn url(&self, values: &Value) -> Result<Url, RequestError> {
        let text = self.render("url", &self.url, values)?;
        let url: Url = text.parse().map_err(|_| RequestError::Url)?;
        if url.origin() == self.origin.origin() { Ok(url) } else { Err(RequestError::OtherHost) }
    }

    fn headers(&self, values: &Value) -> Result<HeaderMap, RequestError> {
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let key = format!("headers.{name}");
            let text = self.render(&key, template, values)?;
            let mut value = HeaderValue::from_bytes(text.as_bytes())
                .map_err(|_| RequestError::Header { key })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if self.body.is_some() {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        Ok(headers)
    }

    fn body(&self, values: &Value) -> Result<Option<String>, RequestError> {
        let Some((template, escape)) = &self.body else { return Ok(None) };
        let body = self.render("body", template, values)?;
        let must_be_json = *escape == Escape::Json;
        if must_be_json && serde_json::from_str::<serde::de::IgnoredAny>(&body).is_err() {
            return Err(RequestError::Body);
        }
        Ok(Some(body))
    }

    fn render(
        &self,
        key: &str,
        template: &Template,
        values: &Value,
    ) -> Result<String, RequestError> {
        self.templates
            .render(template, values)
            .map_err(|source| RequestError::Template { key: key.to_owned(), source })
    }
}

impl Http {
    /// An action that sends `request`, filled in for each event, within `limits`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn new(request: Request, limits: &Limits) -> Result<Http, HttpError> {
        let compiled = CompiledRequest::new(&request)?;
        let outgoing = Outgoing::new(&compiled.origin, limits)?;
        let Request { method, secrets, expected, .. } = request;
        Ok(Http { outgoing, compiled, method, secrets, expected })
    }

    async fn send(&self, event: &Event) -> Outcome {
        let request = match self.request(&values(event, &self.secrets, &[])) {
            Ok(request) => request,
            // An event never changes, so a repeat would fail in the same way.
            Err(error) => return Outcome::Dead { why: self.secrets.redact(&error.to_string()) },
        };
        let response = match self.outgoing.send(request).await {
            Ok(response) => response,
            Err(outcome) => return outcome,
        };
        let outcome = answer::outcome(response.status(), response.headers());
        let body = outgoing::read(response).await;
        match &self.expected {
            Some(expected) if outcome == Outcome::Done => self.compare(&body, expected),
            _ => outcome,
        }
    }

    fn request(&self, values: &Value) -> Result<RequestBuilder, RequestError> {
        let request = self
            .outgoing
            .client()
            .request(self.method.clone(), self.compiled.url(values)?)
            .headers(self.compiled.headers(values)?);
        Ok(match self.compiled.body(values)? {
            Some(body) => request.body(body),
            None => request,
        })
    }

    fn compare(&self, body: &[u8], expected: &ExpectedValue) -> Outcome {
        let ExpectedValue { pointer, value } = expected;
        let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else {
            return Outcome::retry("the answer is not JSON of at most 64 KiB");
        };
        let found = match answer.pointer(pointer) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => return Outcome::retry(format!("the answer has no {pointer}")),
        };
        if found == *value {
            return Outcome::Done;
        }
        let found: String = self.secrets.redact(&found).chars().take(ANSWER_CHARS).collect();
        Outcome::retry(format!("the answer's {pointer} is {found:?}, not {value:?}"))
    }
}

#[async_trait]
impl Action for Http {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        self.outgoing.each(events, |event| self.send(event)).await
    }
}

/// Scheme, host and port of a URL template, if they contain no template.
#[must_use]
pub fn origin(url: &str) -> Option<String> {
    parse_origin(url).map(String::from)
}

fn parse_origin(url: &str) -> Option<Url> {
    let (scheme, rest) =
        url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    if authority.contains(['{', '}', '@']) {
        return None;
    }
    Url::parse(&format!("{scheme}://{authority}/")).ok()
}

/// How values are escaped in a body of this content type. The default type is JSON.
fn body_escape(headers: &[(HeaderName, String)]) -> Escape {
    let content_type = headers
        .iter()
        .find(|(name, _)| name == CONTENT_TYPE)
        .map(|(_, value)| value.to_ascii_lowercase());
    match content_type {
        Some(content_type) if content_type.contains("form-urlencoded") => Escape::Percent,
        Some(content_type) if !content_type.contains("json") => Escape::None,
        _ => Escape::Json,
    }
}
