//! The keys of `type = "stream"`.

use std::path::PathBuf;

use autoreceive_domain::Span;
use serde::{Deserialize, Serialize};

use super::{ActionScope, limits};
use crate::action::stream::{Stream, StreamSettings};
use crate::config::ConfigProblem;
use crate::config::values::{self, MaskedUrl};

/// The settings of a stream action, checked.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// The Redis server.
    pub url: MaskedUrl,
    /// The stream.
    pub settings: StreamSettings,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StreamKeys {
    #[serde(deserialize_with = "values::redis_url")]
    url: MaskedUrl,
    stream: String,
    #[serde(default = "a_million")]
    max_len: u64,
    #[serde(default, with = "values::span_or_none", skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
}

fn a_million() -> u64 {
    1_000_000
}

pub fn check(keys: StreamKeys, scope: &ActionScope) -> Result<StreamConfig, ConfigProblem> {
    let timeout = limits::timeout(keys.timeout, scope)?;
    let StreamKeys { url, stream, max_len, ca_file, .. } = keys;
    if stream.is_empty() || stream.len() > 256 {
        let message = "expected a key of 1 to 256 bytes, for example \"orders\"";
        return Err(scope.problem("stream", message));
    }
    if max_len == 0 {
        let message = "must be at least 1; with 0, entries are removed before anyone can read them";
        return Err(scope.problem("max_len", message));
    }
    let authorities = ca_file.map(|path| limits::authorities(&path, scope)).transpose()?;
    let settings = StreamSettings { key: stream, max_len, timeout: timeout.to_std(), authorities };
    Stream::new(url.expose().as_str(), settings.clone())
        .map_err(|error| scope.problem("url", error))?;
    Ok(StreamConfig { url, settings })
}
