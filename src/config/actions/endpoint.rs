//! The keys of every type that speaks HTTP to a receiver.

use std::path::PathBuf;

use autoreceive_domain::Span;
use serde::{Deserialize, Serialize};

use super::Scope;
use super::limits::{authorities, rate, timeout};
use crate::action::Endpoint;
use crate::action::outgoing::{Limits, address};

/// Checks what bounds the attempts at `url`.
pub fn limits(keys: &EndpointKeys, url: &str, scope: &Scope) -> Result<Limits, String> {
    let timeout = timeout(keys.timeout, scope)?;
    rate(keys.rate, scope)?;
    address::check_url(url, keys.allow_private).map_err(|refused| refused_url(&refused, scope))?;
    let authorities = keys.ca_file.map(|path| authorities(path, scope)).transpose()?;
    let EndpointKeys { rate, allow_private, .. } = *keys;
    Ok(Limits {
        timeout: timeout.to_std(),
        rate,
        concurrency: scope.concurrency,
        allow_private,
        authorities,
    })
}

/// The values of the keys.
pub struct EndpointKeys<'a> {
    pub timeout: Option<Span>,
    pub rate: Option<u32>,
    pub allow_private: bool,
    pub ca_file: Option<&'a PathBuf>,
}

fn refused_url(refused: &address::RefusedAddress, scope: &Scope) -> String {
    let url = scope.key("url");
    match refused {
        address::RefusedAddress::Private(host) => {
            let allow = scope.key("allow_private");
            format!(
                "{url}: {host} is a private address; set {allow} = true if events are meant to go \
                    there"
            )
        }
        _ => format!("{url}: {refused}"),
    }
}

/// When a receiver is disabled where nothing else is configured: when the first of its events would
/// be given up.
#[expect(clippy::unnecessary_wraps, reason = "it is the default of a key that can be none")]
pub fn three_days() -> Option<Span> {
    Some(Span::THREE_DAYS)
}

/// What is done where a receiver only fails.
pub fn endpoint(disable_after: Option<Span>, scope: &Scope) -> Result<Endpoint, String> {
    let (least, most) = (Span::from_secs(60), Span::from_hours(30 * 24));
    match disable_after.filter(|after| !(least..=most).contains(after)) {
        None => Ok(Endpoint { disable_after: disable_after.map(Span::to_std) }),
        Some(after) => Err(format!(
            "{}: is {after}; expected {least} to {most}, or \"never\"",
            scope.key("disable_after")
        )),
    }
}

/// One text, or several.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Several<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Several<T> {
    pub fn as_slice(&self) -> &[T] {
        match self {
            Several::One(one) => std::slice::from_ref(one),
            Several::Many(many) => many,
        }
    }
}
