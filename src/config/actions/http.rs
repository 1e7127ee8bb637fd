//! The keys of `type = "http"`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use autoreceive_domain::Span;
use reqwest::Method;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ActionScope;
use super::endpoint::{self, EndpointKeys};
use crate::action::Endpoint;
use crate::action::http::{self, ExpectedValue, HttpError, Request};
use crate::action::outgoing::Limits;
use crate::action::template::Secrets;
use crate::config::{ConfigProblem, values};

/// The settings of an HTTP action, checked.
#[derive(Debug, Clone)]
pub struct RequestConfig {
    /// The templates of a request.
    pub request: Request,
    /// The limits of attempts.
    pub limits: Limits,
    /// When the endpoint is disabled.
    pub endpoint: Endpoint,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpKeys {
    #[serde(default = "post")]
    method: String,
    url: MaskedTemplate,
    #[serde(default)]
    headers: BTreeMap<String, MaskedTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<MaskedTemplate>,
    #[serde(default)]
    env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok_pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok_value: Option<String>,
    #[serde(default, with = "values::span_or_none", skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(default = "endpoint::three_days", with = "values::span_or_never")]
    disable_after: Option<Span>,
    #[serde(default)]
    allow_private: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
}

/// A template, which may contain a secret in plain text.
pub struct MaskedTemplate(String);

impl<'de> Deserialize<'de> for MaskedTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MaskedTemplate, D::Error> {
        values::hidden(deserializer).map(MaskedTemplate)
    }
}

impl Serialize for MaskedTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The host of an address is not secret; the path and the query often are.
        match http::origin(&self.0) {
            Some(origin) => serializer.serialize_str(&format!("{origin}***")),
            None => serializer.serialize_str("***"),
        }
    }
}

fn post() -> String {
    "POST".to_owned()
}

pub fn check(keys: HttpKeys, scope: &ActionScope) -> Result<RequestConfig, ConfigProblem> {
    let url = &keys.url.0;
    let wrong_origin = || {
        scope.problem(
            "url",
            "expected https:// or http:// and a host without a template or a password",
        )
    };
    let origin = http::origin(url).ok_or_else(wrong_origin)?;
    let bounds = EndpointKeys {
        timeout: keys.timeout,
        rate: keys.rate,
        allow_private: keys.allow_private,
        ca_file: keys.ca_file.as_ref(),
    };
    let limits = endpoint::limits(&bounds, &origin, scope)?;
    let endpoint = endpoint::endpoint(keys.disable_after, scope)?;
    let request = Request {
        method: method(&keys.method, scope)?,
        url: url.clone(),
        headers: keys
            .headers
            .iter()
            .map(|(name, value)| header(name, &value.0, scope))
            .collect::<Result<_, _>>()?,
        body: keys.body.map(|body| body.0),
        secrets: secrets(&keys.env, scope)?,
        expected: expected(keys.ok_pointer, keys.ok_value, scope)?,
    };
    request.check().map_err(|error| match error {
        HttpError::Template { key, source } => scope.problem(&key, source),
        other => scope.problem("url", other),
    })?;
    Ok(RequestConfig { request, limits, endpoint })
}

fn method(name: &str, scope: &ActionScope) -> Result<Method, ConfigProblem> {
    match name {
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" => {
            Ok(Method::from_bytes(name.as_bytes()).unwrap_or(Method::POST))
        }
        _ => Err(scope.problem("method", "expected GET, POST, PUT, PATCH or DELETE")),
    }
}

fn header(
    name: &str,
    value: &str,
    scope: &ActionScope,
) -> Result<(HeaderName, String), ConfigProblem> {
    let key = format!("headers.{name}");
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| scope.problem(&key, "is not the name of a header"))?;
    if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&parsed) {
        return Err(scope.problem(&key, "is set by autoreceive itself; remove it"));
    }
    Ok((parsed, value.to_owned()))
}

fn secrets(names: &[String], scope: &ActionScope) -> Result<Secrets, ConfigProblem> {
    let each = names
        .iter()
        .map(|name| scope.variable("env", name).map(|value| (name.clone(), value.to_owned())));
    Ok(Secrets(each.collect::<Result<_, _>>()?))
}

fn expected(
    pointer: Option<String>,
    value: Option<String>,
    scope: &ActionScope,
) -> Result<Option<ExpectedValue>, ConfigProblem> {
    match (pointer, value) {
        (None, None) => Ok(None),
        (Some(pointer), Some(value)) if pointer.starts_with('/') => {
            Ok(Some(ExpectedValue { pointer, value }))
        }
        (Some(_), Some(_)) => {
            Err(scope
                .problem("ok_pointer", "expected a JSON pointer, for example \"/result_code\""))
        }
        _ => Err(scope.problem_of_two("ok_pointer", "ok_value", "set both or neither")),
    }
}
