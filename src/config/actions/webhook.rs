//! The keys of `type = "webhook"`.

use std::path::PathBuf;

use autoreceive_domain::Span;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::ActionScope;
use super::endpoint::{self, EndpointKeys, OneOrMany};
use crate::action::Endpoint;
use crate::action::outgoing::Limits;
use crate::action::webhook::SigningSecret;
use crate::config::ConfigProblem;
use crate::config::values::{self, MaskedUrl};

/// The settings of a webhook, checked.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Address of the endpoint.
    pub url: MaskedUrl,
    /// The signing secrets; never empty.
    pub secrets: Vec<SigningSecret>,
    /// The limits of attempts.
    pub limits: Limits,
    /// When the endpoint is disabled.
    pub endpoint: Endpoint,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookKeys {
    url: MaskedUrl,
    #[serde(default, deserialize_with = "secrets", skip_serializing_if = "Option::is_none")]
    secret: Option<OneOrMany<SigningSecret>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_env: Option<OneOrMany<String>>,
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

/// Limit of signing secrets: the current one, the next one, and room for a mistake.
const MAX_SECRETS: usize = 4;

pub fn check(keys: WebhookKeys, scope: &ActionScope) -> Result<WebhookConfig, ConfigProblem> {
    let secrets = signing_secrets(&keys, scope)?;
    let WebhookKeys { url, timeout, rate, disable_after, allow_private, ca_file, .. } = keys;
    let keys = EndpointKeys { timeout, rate, allow_private, ca_file: ca_file.as_ref() };
    let limits = endpoint::limits(&keys, url.expose().as_str(), scope)?;
    Ok(WebhookConfig { url, secrets, limits, endpoint: endpoint::endpoint(disable_after, scope)? })
}

fn signing_secrets(
    keys: &WebhookKeys,
    scope: &ActionScope,
) -> Result<Vec<SigningSecret>, ConfigProblem> {
    let problem = |message: &str| scope.problem_of_two("secret", "secret_env", message);
    let secrets: Vec<SigningSecret> = match (&keys.secret, &keys.secret_env) {
        (Some(secrets), None) => secrets.as_slice().to_vec(),
        (None, Some(variables)) => variables
            .as_slice()
            .iter()
            .map(|variable| from_variable(variable, scope))
            .collect::<Result<_, _>>()?,
        (Some(_), Some(_)) => return Err(problem("both are set; remove one of them")),
        (None, None) => {
            return Err(problem(
                "both are missing; messages need a signing secret, and `autoreceive secret new` \
                 makes one",
            ));
        }
    };
    let count = secrets.len();
    if (1..=MAX_SECRETS).contains(&count) {
        return Ok(secrets);
    }
    Err(problem(&format!("{count} secrets are set; expected 1 to {MAX_SECRETS}")))
}

fn from_variable(variable: &str, scope: &ActionScope) -> Result<SigningSecret, ConfigProblem> {
    let text = scope.variable("secret_env", variable)?;
    text.parse().map_err(|wrong| scope.problem(&format!("secret_env ({variable})"), wrong))
}

/// One secret or a list. The error does not repeat the text.
fn secrets<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<OneOrMany<SigningSecret>>, D::Error> {
    let parse = |text: &toml::Value| {
        let text = text
            .as_str()
            .ok_or_else(|| D::Error::custom("expected a text in quotes, or a list of them"))?;
        text.parse::<SigningSecret>().map_err(D::Error::custom)
    };
    match toml::Value::deserialize(deserializer)? {
        toml::Value::Array(many) => {
            Ok(Some(OneOrMany::Many(many.iter().map(parse).collect::<Result<_, _>>()?)))
        }
        one => Ok(Some(OneOrMany::One(parse(&one)?))),
    }
}
