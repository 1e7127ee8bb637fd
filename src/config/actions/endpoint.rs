//! The keys of every type that speaks HTTP to a receiver.

use std::path::PathBuf;

use autoreceive_domain::Span;
use reqwest::{Certificate, Url};
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::action::Endpoint;
use crate::action::outgoing::{Limits, address};

/// How long a receiver may take where nothing else is configured.
const TIMEOUT: Span = Span::TEN_SECONDS;
/// The longest an attempt may wait for its turns; far below the 10 minutes after which the engine gives it up.
const LONGEST_QUEUE_SECONDS: usize = 300;

/// Checks what bounds the attempts at `url`.
pub fn limits(keys: &EndpointKeys, url: &Url, scope: &Scope) -> Result<Limits, String> {
    let timeout = timeout(keys.timeout, scope)?;
    rate(keys.rate, scope)?;
    address::check_url(url, keys.allow_private).map_err(|refused| refused_url(&refused, scope))?;
    let authorities = keys.ca_file.map(|path| authorities(path, scope)).transpose()?;
    let EndpointKeys { rate, allow_private, .. } = *keys;
    Ok(Limits { timeout: timeout.to_std(), rate, concurrency: scope.concurrency, allow_private, authorities })
}

/// The values of the keys.
pub struct EndpointKeys<'a> {
    pub timeout: Option<Span>,
    pub rate: Option<u32>,
    pub allow_private: bool,
    pub ca_file: Option<&'a PathBuf>,
}

fn refused_url(refused: &address::Refused, scope: &Scope) -> String {
    let url = scope.key("url");
    match refused {
        address::Refused::Private(host) => {
            let allow = scope.key("allow_private");
            format!("{url}: {host} is a private address; set {allow} = true if events are meant to go there")
        }
        address::Refused::Never(_) => format!("{url}: {refused}"),
    }
}

/// How long a receiver may take: less than the lease, so that no other worker starts the same while this one waits.
pub fn timeout(timeout: Option<Span>, scope: &Scope) -> Result<Span, String> {
    let (timeout, lease) = (timeout.unwrap_or(TIMEOUT), scope.common.lease);
    if timeout == Span::ZERO {
        return Err(format!("{}: must be longer than nothing", scope.key("timeout")));
    }
    if lease <= timeout {
        return Err(format!("{} ({lease}): must be longer than {} ({timeout})", scope.key("lease"), scope.key("timeout")));
    }
    Ok(timeout)
}

/// The most attempts in a second: as many as keep the engine's own bound on an attempt.
pub fn rate(rate: Option<u32>, scope: &Scope) -> Result<(), String> {
    let Some(rate) = rate else { return Ok(()) };
    let key = scope.key("rate");
    if !(1..=10_000).contains(&rate) {
        return Err(format!("{key}: is {rate}; expected 1 to 10000 attempts per second"));
    }
    let at_once = scope.batch.saturating_mul(scope.attempts());
    if at_once / rate as usize > LONGEST_QUEUE_SECONDS {
        let (batch, concurrency) = (scope.key("batch"), scope.key("concurrency"));
        return Err(format!(
            "{key} ({rate}): {batch} times {concurrency} would wait for more than {LONGEST_QUEUE_SECONDS} s; lower one of them"
        ));
    }
    Ok(())
}

/// When a receiver is disabled where nothing else is configured: when the first of its events would be given up.
#[expect(clippy::unnecessary_wraps, reason = "it is the default of a key that can be none")]
pub fn three_days() -> Option<Span> {
    Some(Span::THREE_DAYS)
}

/// What is done where a receiver only fails.
pub fn endpoint(disable_after: Option<Span>, scope: &Scope) -> Result<Endpoint, String> {
    let (least, most) = (Span::from_secs(60), Span::from_hours(30 * 24));
    match disable_after.filter(|after| !(least..=most).contains(after)) {
        None => Ok(Endpoint { disable_after: disable_after.map(Span::to_std) }),
        Some(after) => Err(format!("{}: is {after}; expected {least} to {most}, or \"never\"", scope.key("disable_after"))),
    }
}

/// Reads the certificates of a file.
pub fn authorities(path: &PathBuf, scope: &Scope) -> Result<Vec<u8>, String> {
    let key = scope.key("ca_file");
    let pem = std::fs::read(path).map_err(|error| format!("{key}: {} cannot be read: {error}", path.display()))?;
    let some = Certificate::from_pem_bundle(&pem).is_ok_and(|certificates| !certificates.is_empty());
    if some { Ok(pem) } else { Err(format!("{key}: {} holds no certificate in PEM form", path.display())) }
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
