//! One `[actions.NAME]`: the keys that every type has, and those of one type.
//!
//! | module | does |
//! |---|---|
//! | [`database`] | the keys of `type = "database"` |

use std::collections::BTreeMap;

use autoreceive_domain::{EventKind, Span};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::values::{self, MaskedUrl};
use crate::action::webhook::SigningSecret;
use crate::store::ActionName;

pub use database::DatabaseConfig;

mod database;

/// An action, checked.
#[derive(Debug, Clone)]
pub struct ActionConfig {
    /// Its name.
    pub name: ActionName,
    /// The events it is given.
    pub on: Vec<EventKind>,
    /// The most events in one attempt.
    pub batch: usize,
    /// How many attempts are made at the same time.
    pub concurrency: usize,
    /// How long a worker keeps an entry before another may take it.
    pub lease: Span,
    /// What is done.
    pub kind: ActionKind,
}

/// What an action does.
#[derive(Debug, Clone)]
pub enum ActionKind {
    /// Writes a line.
    Log,
    /// Posts a signed message.
    Webhook {
        /// Where to.
        url: MaskedUrl,
        /// What it is signed with.
        secret: SigningSecret,
        /// The longest wait for an answer.
        timeout: Span,
    },
    /// Keeps a database up to date.
    Database(DatabaseConfig),
}

/// An action, as written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionValue {
    #[serde(rename = "type")]
    kind: ActionType,
    #[serde(default, with = "kinds", skip_serializing_if = "Option::is_none")]
    on: Option<Vec<EventKind>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    #[serde(default = "four")]
    concurrency: usize,
    #[serde(with = "values::span", default = "half_a_minute")]
    lease: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<MaskedUrl>,
    #[serde(default, deserialize_with = "secret", skip_serializing_if = "Option::is_none")]
    secret: Option<SigningSecret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_env: Option<String>,
    #[serde(default, with = "values::span_or_none", skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<database::PointsValue>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ActionType {
    Log,
    Webhook,
    Database,
}

fn four() -> usize {
    4
}

fn half_a_minute() -> Span {
    Span::from_secs(30)
}

/// How long a receiver may take where nothing else is configured.
const TIMEOUT: Span = Span::TEN_SECONDS;

impl ActionValue {
    /// What is used where nothing is configured.
    pub fn log() -> ActionValue {
        ActionValue {
            kind: ActionType::Log,
            on: None,
            batch: None,
            concurrency: four(),
            lease: half_a_minute(),
            url: None,
            secret: None,
            secret_env: None,
            timeout: None,
            prefix: None,
            statement: None,
            points: None,
        }
    }

    /// The action `name`, its secret taken from `env` where a variable is named.
    ///
    /// # Errors
    /// Names the key, or both keys that do not go together.
    pub fn resolve(&self, name: &str, env: &BTreeMap<String, String>) -> Result<ActionConfig, String> {
        self.refuse_keys_of_other_types(name)?;
        let (kind, batch) = match self.kind {
            ActionType::Log => (ActionKind::Log, 200),
            ActionType::Webhook => (self.webhook(name, env)?, 64),
            ActionType::Database => (ActionKind::Database(self.database(name)?), 200),
        };
        let config = ActionConfig {
            name: action_name(name)?,
            on: self.on(),
            batch: self.batch.unwrap_or(batch),
            concurrency: self.concurrency,
            lease: self.lease,
            kind,
        };
        config.check()?;
        Ok(config)
    }

    /// A table of orders is told everything; all others what they were made for.
    fn on(&self) -> Vec<EventKind> {
        let keeps_orders = self.kind == ActionType::Database && self.statement.is_none();
        let usual = if keeps_orders { EventKind::ALL.to_vec() } else { vec![EventKind::Received] };
        self.on.clone().unwrap_or(usual)
    }

    fn refuse_keys_of_other_types(&self, name: &str) -> Result<(), String> {
        use ActionType::{Database, Webhook};
        let keys: [(&str, bool, &[ActionType]); 7] = [
            ("url", self.url.is_some(), &[Webhook, Database]),
            ("secret", self.secret.is_some(), &[Webhook]),
            ("secret_env", self.secret_env.is_some(), &[Webhook]),
            ("timeout", self.timeout.is_some(), &[Webhook, Database]),
            ("prefix", self.prefix.is_some(), &[Database]),
            ("statement", self.statement.is_some(), &[Database]),
            ("points", self.points.is_some(), &[Database]),
        ];
        let foreign = keys.iter().find(|(_, set, types)| *set && !types.contains(&self.kind));
        foreign.map_or(Ok(()), |(key, _, types)| {
            let types: Vec<String> = types.iter().map(|kind| format!("{:?}", kind.as_str())).collect();
            let (types, kind) = (types.join(" or "), self.kind.as_str());
            Err(format!("actions.{name}.{key}: belongs to actions.{name}.type = {types}, but the type is {kind:?}"))
        })
    }

    /// The wait for an answer, shorter than the lease.
    fn timeout(&self, name: &str) -> Result<Span, String> {
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        if timeout == Span::ZERO {
            return Err(format!("actions.{name}.timeout: must be longer than nothing"));
        }
        if self.lease <= timeout {
            let lease = self.lease;
            return Err(format!("actions.{name}.lease ({lease}): must be longer than actions.{name}.timeout ({timeout})"));
        }
        Ok(timeout)
    }

    fn webhook(&self, name: &str, env: &BTreeMap<String, String>) -> Result<ActionKind, String> {
        let url = self.url.clone().ok_or_else(|| format!("actions.{name}.url: is missing; a webhook needs it"))?;
        if !matches!(url.expose().scheme(), "http" | "https") {
            return Err(format!("actions.{name}.url: expected a URL that begins with https:// or http://"));
        }
        let timeout = self.timeout(name)?;
        Ok(ActionKind::Webhook { url, secret: self.signing_secret(name, env)?, timeout })
    }

    fn signing_secret(&self, name: &str, env: &BTreeMap<String, String>) -> Result<SigningSecret, String> {
        let keys = format!("actions.{name}.secret and actions.{name}.secret_env");
        match (&self.secret, &self.secret_env) {
            (Some(secret), None) => Ok(secret.clone()),
            (None, Some(variable)) => {
                let missing = || format!("actions.{name}.secret_env: the environment has no {variable}");
                let text = env.get(variable).ok_or_else(missing)?;
                text.parse().map_err(|wrong| format!("actions.{name}.secret_env ({variable}): {wrong}"))
            }
            (Some(_), Some(_)) => Err(format!("{keys} are both set; keep one")),
            (None, None) => {
                Err(format!("{keys} are both missing; messages are signed with one of them: `autoreceive secret new` makes one"))
            }
        }
    }
}

impl ActionType {
    fn as_str(self) -> &'static str {
        match self {
            ActionType::Log => "log",
            ActionType::Webhook => "webhook",
            ActionType::Database => "database",
        }
    }
}

impl ActionConfig {
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if self.on.is_empty() {
            return Err(format!("actions.{name}.on: names no event; take the action out instead"));
        }
        for (key, value, most) in [("batch", self.batch, 1_000), ("concurrency", self.concurrency, 64)] {
            if !(1..=most).contains(&value) {
                return Err(format!("actions.{name}.{key}: is {value}; expected 1 to {most}"));
            }
        }
        if !(Span::from_secs(1)..=Span::from_hours(1)).contains(&self.lease) {
            return Err(format!("actions.{name}.lease: is {}; expected 1s to 1h", self.lease));
        }
        Ok(())
    }
}

fn action_name(name: &str) -> Result<ActionName, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if (1..=32).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(name.into());
    }
    Err(format!("actions.{name}: is not an action name: 1 to 32 of a-z, 0-9, _ and - are expected"))
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SigningSecret>, D::Error> {
    values::hidden(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

mod kinds {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<EventKind>>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect::<Result<_, _>>().map(Some)
    }

    pub fn serialize<S: Serializer>(value: &Option<Vec<EventKind>>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().flatten().map(|kind| kind.as_str()))
    }
}
