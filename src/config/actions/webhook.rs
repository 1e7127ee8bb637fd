//! The keys of `type = "webhook"`.

use std::path::PathBuf;

use autoreceive_domain::Span;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::Scope;
use super::endpoint::{self, EndpointKeys, Several};
use crate::action::Endpoint;
use crate::action::outgoing::Limits;
use crate::action::webhook::SigningSecret;
use crate::config::values::{self, MaskedUrl};

/// A webhook, checked.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Where to.
    pub url: MaskedUrl,
    /// What messages are signed with; never empty.
    pub secrets: Vec<SigningSecret>,
    /// What bounds the attempts.
    pub limits: Limits,
    /// What is done where it only fails.
    pub endpoint: Endpoint,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookKeys {
    url: MaskedUrl,
    #[serde(default, deserialize_with = "secrets", skip_serializing_if = "Option::is_none")]
    secret: Option<Several<SigningSecret>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_env: Option<Several<String>>,
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

/// The most secrets that a message is signed with: the one in use, the next one, and room for a
/// mistake.
const MOST_SECRETS: usize = 4;

pub fn check(keys: WebhookKeys, scope: &Scope) -> Result<WebhookConfig, String> {
    let secrets = signing_secrets(&keys, scope)?;
    let WebhookKeys { url, timeout, rate, disable_after, allow_private, ca_file, .. } = keys;
    let keys = EndpointKeys { timeout, rate, allow_private, ca_file: ca_file.as_ref() };
    let limits = endpoint::limits(&keys, url.expose().as_str(), scope)?;
    Ok(WebhookConfig { url, secrets, limits, endpoint: endpoint::endpoint(disable_after, scope)? })
}

fn signing_secrets(keys: &WebhookKeys, scope: &Scope) -> Result<Vec<SigningSecret>, String> {
    let names = format!("{} and {}", scope.key("secret"), scope.key("secret_env"));
    let secrets: Vec<SigningSecret> = match (&keys.secret, &keys.secret_env) {
        (Some(secrets), None) => secrets.as_slice().to_vec(),
        (None, Some(variables)) => variables
            .as_slice()
            .iter()
            .map(|variable| from_variable(variable, scope))
            .collect::<Result<_, _>>()?,
        (Some(_), Some(_)) => return Err(format!("{names} are both set; keep one")),
        (None, None) => {
            return Err(format!(
                "{names} are both missing; messages are signed with one of them: `autoreceive \
                    secret new` makes one"
            ));
        }
    };
    if (1..=MOST_SECRETS).contains(&secrets.len()) {
        return Ok(secrets);
    }
    Err(format!(
        "{names}: hold {} secrets; expected 1 to {MOST_SECRETS}, the first one signs first",
        secrets.len()
    ))
}

fn from_variable(variable: &str, scope: &Scope) -> Result<SigningSecret, String> {
    let text = scope.variable("secret_env", variable)?;
    text.parse().map_err(|wrong| format!("{} ({variable}): {wrong}", scope.key("secret_env")))
}

/// One secret or a list; what is wrong is never repeated.
fn secrets<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Several<SigningSecret>>, D::Error> {
    let parse = |text: &toml::Value| {
        let text = text
            .as_str()
            .ok_or_else(|| D::Error::custom("expected a text in quotes, or a list of them"))?;
        text.parse::<SigningSecret>().map_err(D::Error::custom)
    };
    match toml::Value::deserialize(deserializer)? {
        toml::Value::Array(many) => {
            Ok(Some(Several::Many(many.iter().map(parse).collect::<Result<_, _>>()?)))
        }
        one => Ok(Some(Several::One(parse(&one)?))),
    }
}
