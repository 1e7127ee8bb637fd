//! The `http` action: each event as a request made of templates, for gateways that have a form of
//! their own.

use async_trait::async_trait;
use autoreceive_domain::Event;
use minijinja::value::Value;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};

use super::outgoing::{self, Limits, Outgoing, OutgoingError, answer};
use super::template::{Escape, Secrets, Template, Templates, values};
use super::{Action, Outcome};

/// How much of an unexpected answer is repeated in the reason.
const ANSWER_CHARS: usize = 60;

/// What requests are made of. Address, header values and body are templates over the event in the
/// form that webhooks have, with the secrets as `env`.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The address; scheme, host and port hold no template, so that no order chooses who receives
    /// it.
    pub url: String,
    /// Headers.
    pub headers: Vec<(HeaderName, String)>,
    /// The body, if there is one.
    pub body: Option<String>,
    /// What `env` holds.
    pub secrets: Secrets,
    /// What the answer must say to count as success, beside a status of 2xx.
    pub expected: Option<Expected>,
}

/// A value in a JSON answer.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Where it stands: a JSON pointer.
    pub pointer: String,
    /// What stands there, as text.
    pub value: String,
}

/// Makes a request of each event.
pub struct Http {
    outgoing: Outgoing,
    form: Form,
    method: Method,
    secrets: Secrets,
    expected: Option<Expected>,
}

/// The templates of a request, read.
struct Form {
    templates: Templates,
    origin: Url,
    url: Template,
    headers: Vec<(HeaderName, Template)>,
    body: Option<(Template, Escape)>,
}

/// Why requests cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The receiver cannot be spoken to.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// The address is none, or its host is left to a template.
    #[error("url: expected https:// or http:// and a host without a template")]
    Origin,
    /// A template's grammar is wrong.
    #[error("{0}: {1}")]
    Template(String, String),
}

impl Request {
    /// Whether its templates can be read.
    ///
    /// # Errors
    /// Says which one cannot, and in which line.
    pub fn check(&self) -> Result<(), HttpError> {
        Form::new(self).map(drop)
    }
}

impl Form {
    fn new(request: &Request) -> Result<Form, HttpError> {
        let origin = parse_origin(&request.url).ok_or(HttpError::Origin)?;
        let mut templates = Templates::new();
        let mut add = |name: &str, source: &str, escape| {
            templates
                .add(name, source, escape)
                .map_err(|why| HttpError::Template(name.to_owned(), why))
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
        Ok(Form { templates, origin, url, headers, body })
    }

    fn url(&self, values: &Value) -> Result<Url, String> {
        let url: Url = self
            .render("url", &self.url, values)?
            .parse()
            .map_err(|_| "url: is none once it is filled in".to_owned())?;
        if url.origin() == self.origin.origin() {
            Ok(url)
        } else {
            Err("url: would lead to another host".to_owned())
        }
    }

    fn headers(&self, values: &Value) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let key = format!("headers.{name}");
            let value = HeaderValue::from_bytes(self.render(&key, template, values)?.as_bytes());
            let mut value = value
                .map_err(|_| format!("{key}: a control character cannot be sent in a header"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if self.body.is_some() {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        Ok(headers)
    }

    fn body(&self, values: &Value) -> Result<Option<String>, String> {
        let Some((template, escape)) = &self.body else { return Ok(None) };
        let body = self.render("body", template, values)?;
        if *escape == Escape::Json && serde_json::from_str::<serde::de::IgnoredAny>(&body).is_err()
        {
            return Err("body: is not JSON once it is filled in; {{ … }} writes the quotes of a \
                text by itself"
                .to_owned());
        }
        Ok(Some(body))
    }

    fn render(&self, key: &str, template: &Template, values: &Value) -> Result<String, String> {
        self.templates.render(template, values).map_err(|why| format!("{key}: {why}"))
    }
}

impl Http {
    /// An action that makes `request` of each event, within `limits`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn new(request: Request, limits: &Limits) -> Result<Http, HttpError> {
        let form = Form::new(&request)?;
        let Request { method, secrets, expected, .. } = request;
        Ok(Http { outgoing: Outgoing::new(&form.origin, limits)?, form, method, secrets, expected })
    }

    async fn send(&self, event: &Event) -> Outcome {
        let request = match self.request(&values(event, &self.secrets, &[])) {
            Ok(request) => request,
            // The event will never be another one.
            Err(why) => return Outcome::Dead { why: self.secrets.redact(&why) },
        };
        let response = match self.outgoing.send(request).await {
            Ok(response) => response,
            Err(outcome) => return outcome,
        };
        let outcome = answer::outcome(response.status(), response.headers());
        let said = outgoing::read(response).await;
        match &self.expected {
            Some(expected) if outcome == Outcome::Done => self.judge(&said, expected),
            _ => outcome,
        }
    }

    fn request(&self, values: &Value) -> Result<RequestBuilder, String> {
        let request = self
            .outgoing
            .client()
            .request(self.method.clone(), self.form.url(values)?)
            .headers(self.form.headers(values)?);
        Ok(match self.form.body(values)? {
            Some(body) => request.body(body),
            None => request,
        })
    }

    fn judge(&self, said: &[u8], expected: &Expected) -> Outcome {
        let Expected { pointer, value } = expected;
        let Ok(answer) = serde_json::from_slice::<serde_json::Value>(said) else {
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

/// Scheme, host and port, where no template is among them.
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

/// What the body's type asks for; without one it is JSON.
fn body_escape(headers: &[(HeaderName, String)]) -> Escape {
    let of_type = headers
        .iter()
        .find(|(name, _)| name == CONTENT_TYPE)
        .map(|(_, value)| value.to_ascii_lowercase());
    match of_type {
        Some(of_type) if of_type.contains("form-urlencoded") => Escape::Percent,
        Some(of_type) if !of_type.contains("json") => Escape::None,
        _ => Escape::Json,
    }
}
