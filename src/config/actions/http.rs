//! The keys of `type = "http"`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use autoreceive_domain::Span;
use reqwest::Method;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Scope;
use super::endpoint::{self, EndpointKeys};
use crate::action::Endpoint;
use crate::action::http::{self, Expected, Request};
use crate::action::outgoing::Limits;
use crate::action::template::Secrets;
use crate::config::values;

/// Requests made of templates, checked.
#[derive(Debug, Clone)]
pub struct RequestConfig {
    /// What a request is made of.
    pub request: Request,
    /// What bounds the attempts.
    pub limits: Limits,
    /// What is done where it only fails.
    pub endpoint: Endpoint,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpKeys {
    #[serde(default = "post")]
    method: String,
    url: Masked,
    #[serde(default)]
    headers: BTreeMap<String, Masked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Masked>,
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

/// A template in which somebody may have written a key out.
pub struct Masked(String);

impl<'de> Deserialize<'de> for Masked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Masked, D::Error> {
        values::hidden(deserializer).map(Masked)
    }
}

impl Serialize for Masked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Where an address leads to is no secret; what follows the host often is.
        match http::origin(&self.0) {
            Some(origin) => serializer.serialize_str(&format!("{origin}***")),
            None => serializer.serialize_str("***"),
        }
    }
}

fn post() -> String {
    "POST".to_owned()
}

pub fn check(keys: HttpKeys, scope: &Scope) -> Result<RequestConfig, String> {
    let url = &keys.url.0;
    let wrong_origin = || {
        format!(
            "{}: expected https:// or http:// and a host without a template or a password",
            scope.key("url")
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
    request.check().map_err(|error| scope.key(&error.to_string()))?;
    Ok(RequestConfig { request, limits, endpoint })
}

fn method(name: &str, scope: &Scope) -> Result<Method, String> {
    match name {
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" => {
            Ok(Method::from_bytes(name.as_bytes()).unwrap_or(Method::POST))
        }
        _ => Err(format!("{}: expected GET, POST, PUT, PATCH or DELETE", scope.key("method"))),
    }
}

fn header(name: &str, value: &str, scope: &Scope) -> Result<(HeaderName, String), String> {
    let key = scope.key(&format!("headers.{name}"));
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{key}: is not the name of a header"))?;
    if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&parsed) {
        return Err(format!("{key}: is set by the program itself"));
    }
    Ok((parsed, value.to_owned()))
}

fn secrets(names: &[String], scope: &Scope) -> Result<Secrets, String> {
    let each = names
        .iter()
        .map(|name| scope.variable("env", name).map(|value| (name.clone(), value.to_owned())));
    Ok(Secrets(each.collect::<Result<_, _>>()?))
}

fn expected(
    pointer: Option<String>,
    value: Option<String>,
    scope: &Scope,
) -> Result<Option<Expected>, String> {
    match (pointer, value) {
        (None, None) => Ok(None),
        (Some(pointer), Some(value)) if pointer.starts_with('/') => {
            Ok(Some(Expected { pointer, value }))
        }
        (Some(_), Some(_)) => Err(format!(
            "{}: expected a JSON pointer, for example \"/result_code\"",
            scope.key("ok_pointer")
        )),
        _ => Err(format!(
            "{} and {}: one needs the other",
            scope.key("ok_pointer"),
            scope.key("ok_value")
        )),
    }
}
