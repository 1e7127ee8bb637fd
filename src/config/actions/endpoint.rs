//! The keys of the types that send HTTP requests to an endpoint.

use std::path::PathBuf;

use autoreceive_domain::Span;
use serde::{Deserialize, Serialize};

use super::ActionScope;
use super::limits::{authorities, rate, timeout};
use crate::action::Endpoint;
use crate::action::outgoing::{Limits, address};
use crate::config::ConfigProblem;

/// Checks the limits of attempts at `url`.
pub fn limits(
    keys: &EndpointKeys,
    url: &str,
    scope: &ActionScope,
) -> Result<Limits, ConfigProblem> {
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

/// The keys of the limits.
pub struct EndpointKeys<'a> {
    pub timeout: Option<Span>,
    pub rate: Option<u32>,
    pub allow_private: bool,
    pub ca_file: Option<&'a PathBuf>,
}

fn refused_url(refused: &address::RefusedAddress, scope: &ActionScope) -> ConfigProblem {
    match refused {
        address::RefusedAddress::Private(host) => {
            let allow = scope.key("allow_private");
            scope.problem(
                "url",
                format_args!(
                    "{host} is a private address; set {allow} = true if events should go there"
                ),
            )
        }
        _ => scope.problem("url", refused),
    }
}

/// The default of `disable_after`: the age at which an event becomes a dead letter.
#[expect(clippy::unnecessary_wraps, reason = "the default of an optional key")]
pub fn three_days() -> Option<Span> {
    Some(Span::THREE_DAYS)
}

/// Checks when the endpoint is disabled.
pub fn endpoint(
    disable_after: Option<Span>,
    scope: &ActionScope,
) -> Result<Endpoint, ConfigProblem> {
    let (least, most) = (Span::from_secs(60), Span::from_hours(30 * 24));
    match disable_after.filter(|after| !(least..=most).contains(after)) {
        None => Ok(Endpoint { disable_after: disable_after.map(Span::to_std) }),
        Some(after) => Err(scope.problem(
            "disable_after",
            format_args!("is {after}; expected {least} to {most}, or \"never\""),
        )),
    }
}

/// One text, or a list of them.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub fn as_slice(&self) -> &[T] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}
