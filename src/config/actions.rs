//! One `[actions.NAME]`: the common keys are here, the keys of each type in a module of its own.

use std::collections::BTreeMap;
use std::fmt::Display;

use autoreceive_domain::{EventKind, Span};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Table;

use super::layers::Layers;
use super::{ConfigProblem, errors, values};
use crate::action::IN_FLIGHT;
use crate::store::ActionName;

pub use database::DatabaseConfig;
pub use email::EmailConfig;
pub use http::RequestConfig;
pub use stream::StreamConfig;
pub use webhook::WebhookConfig;

#[cfg(feature = "database")]
mod database;
#[cfg(feature = "email")]
mod email;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "stream")]
mod stream;
#[cfg(feature = "webhook")]
mod webhook;

mod absent;
#[cfg(not(feature = "database"))]
use absent as database;
#[cfg(not(feature = "email"))]
use absent as email;
#[cfg(not(feature = "http"))]
use absent as http;
#[cfg(not(feature = "stream"))]
use absent as stream;
#[cfg(not(feature = "webhook"))]
use absent as webhook;

#[cfg(any(feature = "webhook", feature = "http"))]
mod endpoint;
#[cfg(any(
    feature = "database",
    feature = "email",
    feature = "stream",
    feature = "webhook",
    feature = "http"
))]
mod limits;

/// An action, checked.
#[derive(Debug, Clone)]
pub struct ActionConfig {
    /// Its name.
    pub name: ActionName,
    /// Its events.
    pub on: Vec<EventKind>,
    /// Maximum number of events per attempt.
    pub batch: usize,
    /// Maximum number of simultaneous attempts.
    pub attempts: usize,
    /// Time after which another worker may take over an entry.
    pub lease: Span,
    /// Its type, with the settings of the type.
    pub kind: ActionKind,
}

/// The type of an action, with its settings.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "few values, each created once")]
pub enum ActionKind {
    /// Writes a line.
    Log,
    /// Posts a signed message.
    Webhook(WebhookConfig),
    /// Sends a request made from templates.
    Http(RequestConfig),
    /// Sends an email.
    Email(EmailConfig),
    /// Adds to a Redis Stream.
    Stream(StreamConfig),
    /// Keeps a database up to date.
    Database(DatabaseConfig),
}

/// The keys that every type has.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CommonKeys {
    r#type: ActionType,
    #[serde(with = "kinds", default = "received")]
    on: Vec<EventKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<usize>,
    #[serde(with = "values::span", default = "half_a_minute")]
    lease: Span,
}

/// Their names.
const COMMON: [&str; 5] = ["type", "on", "batch", "concurrency", "lease"];

#[derive(Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ActionType {
    Log,
    Webhook,
    Http,
    Email,
    Stream,
    Database,
}

impl ActionType {
    fn batch(self) -> usize {
        match self {
            ActionType::Log | ActionType::Stream | ActionType::Database => 200,
            ActionType::Webhook | ActionType::Http => 64,
            ActionType::Email => 20,
        }
    }

    fn concurrency(self) -> usize {
        if self.speaks_http() { 64 } else { 4 }
    }

    /// True if each event is one request; `concurrency` then limits requests, not batches.
    fn speaks_http(self) -> bool {
        matches!(self, ActionType::Webhook | ActionType::Http)
    }
}

/// `type = "log"` has no keys of its own.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LogKeys {}

fn received() -> Vec<EventKind> {
    vec![EventKind::Received]
}

fn half_a_minute() -> Span {
    Span::from_secs(30)
}

/// The action if none is configured.
pub fn log() -> (String, Table) {
    ("log".to_owned(), Table::from_iter([("type".to_owned(), "log".into())]))
}

/// Reads the action `name` from its merged table. Returns the values in force, with secrets masked,
/// and the settings.
///
/// # Errors
/// With the key, or both keys that exclude each other.
pub fn read(
    name: &str,
    mut table: Table,
    layers: &Layers,
    env: &BTreeMap<String, String>,
) -> Result<(Table, ActionConfig), ConfigProblem> {
    if !table.contains_key("on") && keeps_orders(&table) {
        let all = EventKind::ALL.map(|kind| toml::Value::from(kind.as_str()));
        table.insert("on".to_owned(), all.to_vec().into());
    }
    let common = COMMON.iter().filter_map(|key| table.remove_entry(*key)).collect();
    let own = table;
    let common: CommonKeys = errors::typed(common, &format!("actions.{name}"), layers, "", &[])?;
    let batch = common.batch.unwrap_or(common.r#type.batch());
    let concurrency = common.concurrency.unwrap_or(common.r#type.concurrency());
    check_sizes(name, batch, concurrency, common.r#type)?;
    let scope = ActionScope { name, common: &common, batch, concurrency, layers, env };
    let (shown, kind) = match common.r#type {
        ActionType::Log => scope.keys::<LogKeys>(own).map(|(shown, _)| (shown, ActionKind::Log))?,
        ActionType::Webhook => {
            let (shown, keys) = scope.keys(own)?;
            (shown, ActionKind::Webhook(webhook::check(keys, &scope)?))
        }
        ActionType::Http => {
            let (shown, keys) = scope.keys(own)?;
            (shown, ActionKind::Http(http::check(keys, &scope)?))
        }
        ActionType::Email => {
            let (shown, keys) = scope.keys(own)?;
            (shown, ActionKind::Email(email::check(keys, &scope)?))
        }
        ActionType::Stream => {
            let (shown, keys) = scope.keys(own)?;
            (shown, ActionKind::Stream(stream::check(keys, &scope)?))
        }
        ActionType::Database => {
            let (shown, keys) = scope.keys(own)?;
            (shown, ActionKind::Database(database::check(keys, &scope)?))
        }
    };
    let attempts = scope.attempts();
    let config = ActionConfig {
        name: action_name(name)?,
        on: common.on.clone(),
        batch,
        attempts,
        lease: common.lease,
        kind,
    };
    config.check()?;
    let mut all = as_table(&common)?;
    all.extend(shown);
    Ok((all, config))
}

/// True if an action keeps a table of orders, and so needs all events.
fn keeps_orders(table: &Table) -> bool {
    table.get("type").and_then(toml::Value::as_str) == Some("database")
        && !table.contains_key("statement")
}

/// The context for reading and checking the keys of one type.
struct ActionScope<'a> {
    name: &'a str,
    common: &'a CommonKeys,
    batch: usize,
    concurrency: usize,
    layers: &'a Layers,
    env: &'a BTreeMap<String, String>,
}

impl ActionScope<'_> {
    /// The keys of one type, as shown and as read.
    fn keys<K: DeserializeOwned + Serialize>(
        &self,
        own: Table,
    ) -> Result<(Table, K), ConfigProblem> {
        let section = format!("actions.{}", self.name);
        let of_type = format!(
            " for {section}.type = {}",
            as_table(self.common)?.get("type").unwrap_or(&"".into())
        );
        let keys = errors::typed(own, &section, self.layers, &of_type, &COMMON)?;
        Ok((as_table(&keys)?, keys))
    }

    /// Number of simultaneous attempts, each with a whole batch.
    fn attempts(&self) -> usize {
        if self.common.r#type.speaks_http() {
            self.concurrency.div_ceil(IN_FLIGHT)
        } else {
            self.concurrency
        }
    }

    /// The full name of a key.
    fn key(&self, key: &str) -> String {
        format!("actions.{}.{key}", self.name)
    }

    /// A problem of one of the action's keys.
    fn problem(&self, key: &str, message: impl Display) -> ConfigProblem {
        ConfigProblem::new(self.key(key), message)
    }

    /// A problem of two of the action's keys.
    fn problem_of_two(&self, first: &str, second: &str, message: impl Display) -> ConfigProblem {
        ConfigProblem::new(format_args!("{} and {}", self.key(first), self.key(second)), message)
    }

    /// The value of the environment variable that `key` names.
    fn variable(&self, key: &str, variable: &str) -> Result<&str, ConfigProblem> {
        let missing =
            || self.problem(key, format_args!("the environment variable {variable} is not set"));
        self.env.get(variable).map(String::as_str).ok_or_else(missing)
    }
}

fn as_table(keys: &impl Serialize) -> Result<Table, ConfigProblem> {
    Ok(Table::try_from(keys)?)
}

impl ActionConfig {
    fn check(&self) -> Result<(), ConfigProblem> {
        let name = &self.name;
        if self.on.is_empty() {
            return Err(ConfigProblem::new(
                format_args!("actions.{name}.on"),
                "is empty; name at least one event, or remove the action",
            ));
        }
        if !(Span::from_secs(1)..=Span::from_hours(1)).contains(&self.lease) {
            return Err(ConfigProblem::new(
                format_args!("actions.{name}.lease"),
                format_args!("is {}; expected 1s to 1h", self.lease),
            ));
        }
        Ok(())
    }
}

fn check_sizes(
    name: &str,
    batch: usize,
    concurrency: usize,
    of: ActionType,
) -> Result<(), ConfigProblem> {
    let most_at_once = if of.speaks_http() { 256 } else { 64 };
    for (key, value, most) in [("batch", batch, 1_000), ("concurrency", concurrency, most_at_once)]
    {
        if !(1..=most).contains(&value) {
            return Err(ConfigProblem::new(
                format_args!("actions.{name}.{key}"),
                format_args!("is {value}; expected 1 to {most}"),
            ));
        }
    }
    Ok(())
}

fn action_name(name: &str) -> Result<ActionName, ConfigProblem> {
    name.parse().map_err(|_| {
        ConfigProblem::new(
            format_args!("actions.{name}"),
            "is not an action name; expected 1 to 32 characters of a-z, 0-9, _ and -",
        )
    })
}

mod kinds {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<EventKind>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect()
    }

    pub fn serialize<S: Serializer>(value: &[EventKind], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(|kind| kind.as_str()))
    }
}
