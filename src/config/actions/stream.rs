//! The keys of `type = "stream"`.

use std::path::PathBuf;

use autoreceive_domain::Span;
use serde::{Deserialize, Serialize};

use super::{Scope, limits};
use crate::action::stream::{Stream, StreamSettings};
use crate::config::values::{self, MaskedUrl};

/// A stream, checked.
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

pub fn check(keys: StreamKeys, scope: &Scope) -> Result<StreamConfig, String> {
    let timeout = limits::timeout(keys.timeout, scope)?;
    let StreamKeys { url, stream, max_len, ca_file, .. } = keys;
    if stream.is_empty() || stream.len() > 256 {
        return Err(format!(
            "{}: expected a key of 1 to 256 bytes, for example \"orders\"",
            scope.key("stream")
        ));
    }
    if max_len == 0 {
        return Err(format!(
            "{}: is 0; entries would be gone before anybody could read them",
            scope.key("max_len")
        ));
    }
    let authorities = ca_file.map(|path| limits::authorities(&path, scope)).transpose()?;
    let settings =
        StreamSettings { key: stream, max_len, timeout: timeout.to_std(), authorities };
    Stream::new(url.expose().as_str(), settings.clone())
        .map_err(|why| format!("{}: {why}", scope.key("url")))?;
    Ok(StreamConfig { url, settings })
}
