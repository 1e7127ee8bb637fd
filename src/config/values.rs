//! Texts of the file as types. What may hold a secret has a type of its own whose every output is
//! masked, and whose errors never repeat what was read.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use autoreceive_domain::{Span, StartsAt, Terms};
use reqwest::Url;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lacking;

/// Which store, and where.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreAddress {
    /// A file.
    Sqlite(PathBuf),
    /// A Redis server.
    Redis(MaskedUrl),
}

/// A URL that may carry a password: shown without it, used with it.
#[derive(Clone, PartialEq)]
pub struct MaskedUrl(Url);

impl MaskedUrl {
    /// The URL with its password, for the one who connects.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Option<MaskedUrl> {
        Url::parse(text).ok().filter(Url::has_host).map(MaskedUrl)
    }
}

impl fmt::Display for MaskedUrl {
    /// Password and query are masked: receivers are known to put keys into the latter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        if url.password().is_some() {
            // It has a host, so it can have a password.
            let _ = url.set_password(Some("***"));
        }
        if url.query().is_some() {
            url.set_query(Some("***"));
        }
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for MaskedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            StoreAddress::Redis(url) => url.fmt(f),
        }
    }
}

impl StoreAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// Says what was expected; never repeats the text, which may hold a password.
    pub fn parse(text: &str) -> Result<StoreAddress, String> {
        for (scheme, store, is_there) in [
            ("sqlite", "SQLite", cfg!(feature = "sqlite")),
            ("redis", "Redis", cfg!(feature = "redis")),
        ] {
            if !is_there && text.split_once(':').is_some_and(|(of, _)| of == scheme) {
                return Err(lacking(&format!("{store} store"), scheme));
            }
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            let wrong = || "\"sqlite:\" is followed by a path".to_owned();
            return if path.is_empty() {
                Err(wrong())
            } else {
                Ok(StoreAddress::Sqlite(path.into()))
            };
        }
        if text.starts_with("rediss:") {
            return Err("TLS to Redis (rediss:) is not supported yet".to_owned());
        }
        let redis = MaskedUrl::parse(text)
            .filter(|url| url.0.scheme() == "redis" && is_database(url.0.path()));
        let expected =
            || "expected \"sqlite:PATH\" or \"redis://user:password@host:port/db\"".to_owned();
        redis.map(StoreAddress::Redis).ok_or_else(expected)
    }
}

/// Whether the path of a Redis URL names a database, or none.
fn is_database(path: &str) -> bool {
    let number = path.strip_prefix('/').unwrap_or(path);
    number.is_empty() || number.parse::<u16>().is_ok()
}

/// Reads a text without ever repeating it in an error.
pub fn hidden<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    value.as_str().map(str::to_owned).ok_or_else(|| D::Error::custom("expected a text in quotes"))
}

/// Reads the address of a Redis server.
pub fn redis_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MaskedUrl, D::Error> {
    let url = MaskedUrl::parse(&hidden(deserializer)?)
        .filter(|url| matches!(url.expose().scheme(), "redis" | "rediss"));
    url.ok_or_else(|| {
        D::Error::custom(
            "expected \"redis://user:password@host:port/db\", or the same with rediss:// for TLS",
        )
    })
}

impl<'de> Deserialize<'de> for StoreAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StoreAddress, D::Error> {
        StoreAddress::parse(&hidden(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for StoreAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MaskedUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MaskedUrl, D::Error> {
        let url = MaskedUrl::parse(&hidden(deserializer)?)
            .filter(|url| matches!(url.0.scheme(), "http" | "https"));
        url.ok_or_else(|| D::Error::custom("expected a URL that begins with https:// or http://"))
    }
}

impl Serialize for MaskedUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a socket address.
pub fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    // A port alone, as `--listen 8780`, comes as a number.
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "{text:?} is not an IP address and a port, for example \"127.0.0.1:8780\""
        ))
    })
}

/// The terms of a policy, as written.
#[derive(Deserialize, Serialize)]
pub struct TermsValue(#[serde(with = "TermsKeys")] pub Terms);

/// The keys of [`Terms`], for serde.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Terms", default = "Terms::default", deny_unknown_fields)]
struct TermsKeys {
    #[serde(with = "span_or_none", skip_serializing_if = "Option::is_none")]
    pay_within: Option<Span>,
    #[serde(with = "starts_at")]
    starts_at: StartsAt,
    #[serde(with = "span")]
    receive_after: Span,
    #[serde(with = "span_or_none", skip_serializing_if = "Option::is_none")]
    fallback_after: Option<Span>,
    #[serde(with = "span_or_none", skip_serializing_if = "Option::is_none")]
    ship_within: Option<Span>,
    #[serde(with = "spans")]
    remind_before: Vec<Span>,
    max_extensions: u32,
    #[serde(with = "span")]
    extend_by: Span,
    #[serde(with = "span")]
    release_grace: Span,
    #[serde(with = "span_or_none", skip_serializing_if = "Option::is_none")]
    settle_after: Option<Span>,
    #[serde(with = "span")]
    retain_for: Span,
}

mod starts_at {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StartsAt, D::Error> {
        let word = String::deserialize(deserializer)?;
        let wrong = || {
            D::Error::custom(format!("{word:?} is none of \"paid\", \"shipped\", \"delivered\""))
        };
        StartsAt::parse(&word).ok_or_else(wrong)
    }

    pub fn serialize<S: Serializer>(value: &StartsAt, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.as_str())
    }
}

/// A length of time.
pub mod span {
    use super::*;

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
}

/// A length of time that need not be set.
pub mod span_or_none {
    use super::*;

    /// Reads one that is set.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Span>, D::Error> {
        span::deserialize(deserializer).map(Some)
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(
        value: &Option<Span>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|span| span.to_string()).serialize(serializer)
    }
}

/// A length of time, or `never`.
pub mod span_or_never {
    use super::*;

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Span>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |wrong| D::Error::custom(format_args!("{wrong}; or \"never\""));
        if text == "never" { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(
        value: &Option<Span>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&value.map_or_else(|| "never".to_owned(), |span| span.to_string()))
    }
}

mod spans {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Span>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }

    pub fn serialize<S: Serializer>(value: &[Span], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(Span::to_string))
    }
}
