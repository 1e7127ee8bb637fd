//! Texts of the file as types. A value that may contain a secret has its own type: its output is
//! masked, and its errors do not repeat the text.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use autoreceive_domain::{Span, StartsAt, Terms};
use reqwest::Url;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MissingFeature;

/// The kind and address of a store.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreAddress {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A Redis server.
    Redis(MaskedUrl),
}

/// A URL that may contain a password. It is shown without it.
#[derive(Clone, PartialEq)]
pub struct MaskedUrl(Url);

impl MaskedUrl {
    /// The URL with its password, for connecting.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Option<MaskedUrl> {
        Url::parse(text).ok().filter(Url::has_host).map(MaskedUrl)
    }
}

impl fmt::Display for MaskedUrl {
    /// Masks password and query: some endpoints have a key in the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        if url.password().is_some() {
            // Cannot fail: a URL with a host can have a password.
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

/// The text is not the address of a store. No text repeats it, as it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreAddressError {
    /// This build does not have the store.
    #[error(transparent)]
    MissingFeature(#[from] MissingFeature),
    /// `sqlite:` without a path.
    #[error("expected a path after \"sqlite:\"")]
    NoPath,
    /// `rediss:`.
    #[error("TLS to Redis (rediss:) is not supported yet")]
    Tls,
    /// Anything else.
    #[error("expected \"sqlite:PATH\" or \"redis://user:password@host:port/db\"")]
    Unknown,
}

impl StoreAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// See [`StoreAddressError`].
    pub fn parse(text: &str) -> Result<StoreAddress, StoreAddressError> {
        for (feature, store, is_built) in [
            ("sqlite", "SQLite", cfg!(feature = "sqlite")),
            ("redis", "Redis", cfg!(feature = "redis")),
        ] {
            if !is_built && text.split_once(':').is_some_and(|(scheme, _)| scheme == feature) {
                return Err(MissingFeature { part: format!("{store} store"), feature }.into());
            }
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return if path.is_empty() {
                Err(StoreAddressError::NoPath)
            } else {
                Ok(StoreAddress::Sqlite(path.into()))
            };
        }
        if text.starts_with("rediss:") {
            return Err(StoreAddressError::Tls);
        }
        let redis = MaskedUrl::parse(text)
            .filter(|url| url.0.scheme() == "redis" && is_database(url.0.path()));
        redis.map(StoreAddress::Redis).ok_or(StoreAddressError::Unknown)
    }
}

/// True if the path of a Redis URL is empty or the number of a database.
fn is_database(path: &str) -> bool {
    let number = path.strip_prefix('/').unwrap_or(path);
    number.is_empty() || number.parse::<u16>().is_ok()
}

/// Reads a text. Its error does not repeat it.
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
    // A port without an address, as in `--listen 8780`, is read as a number.
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "expected an IP address and a port, for example \"127.0.0.1:8780\"; found {text:?}"
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
            D::Error::custom(format!(
                "expected \"paid\", \"shipped\" or \"delivered\"; found {word:?}"
            ))
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

/// A length of time that is optional.
pub mod span_or_none {
    use super::*;

    /// Reads one.
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
        let wrong = |wrong| D::Error::custom(format_args!("{wrong}, or \"never\""));
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
