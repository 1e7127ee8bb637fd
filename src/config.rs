//! What is configured. The default file explains every key; layers over it are merged, read into
//! typed values, and checked for combinations that would do harm.
//!
//! | module | does |
//! |---|---|
//! | [`layers`] | defaults, file, environment, flags → one table that knows where each value came from |
//! | [`variables`] | which variables of the environment are keys, and which only look like one |
//! | [`values`] | texts of the file as types, secrets masked |
//! | [`actions`], [`tokens`] | one `[actions.NAME]`, one `[tokens.NAME]` |
//! | [`intake`] | `[intake]` |
//! | [`check`] | what is well formed but would do harm |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use autoreceive_domain::{Policy, Span, Terms};
#[cfg(feature = "redis")]
use autoreceive_store_redis::RedisSettings;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::access::Tokens;

pub use actions::{
    ActionConfig, ActionKind, DatabaseConfig, EmailConfig, RequestConfig, StreamConfig,
    WebhookConfig,
};
pub use intake::IntakeConfig;
pub use layers::Sources;
pub use tokens::is_token_name;
pub use values::{MaskedUrl, StoreAddress};

mod actions;
mod check;
mod errors;
mod intake;
mod layers;
mod tokens;
mod values;
mod variables;

/// The annotated file that every other layer is laid over.
pub const DEFAULT_FILE: &str = include_str!("../config.default.toml");

/// Everything that is configured, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where orders are kept.
    pub store: StoreConfig,
    /// Where the API listens.
    pub http: HttpConfig,
    /// How due orders are looked for.
    pub sweeper: SweeperConfig,
    /// The terms by name; there is always one called `default`.
    pub policies: BTreeMap<String, Policy>,
    /// What is done about events; never empty.
    pub actions: Vec<ActionConfig>,
    /// Who may use the API; without any, everybody on this machine.
    pub tokens: Tokens,
    /// Which orders of another Redis are taken over.
    pub intake: IntakeConfig,
    /// What is logged.
    pub log: LogConfig,
    /// Which files, variables and flags were laid over the defaults.
    pub sources: Vec<String>,
    /// What is permitted, but probably not what was meant.
    pub warnings: Vec<String>,
    shown: String,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Which store.
    pub url: StoreAddress,
    /// The longest wait for an answer.
    #[serde(with = "values::span")]
    pub timeout: Span,
    /// Redis: connections kept open.
    pub connections: usize,
    /// Redis: what every key begins with.
    pub prefix: String,
    /// Redis: the parts that orders are spread over.
    pub shards: u16,
}

#[cfg(feature = "redis")]
impl StoreConfig {
    /// The settings of the Redis store at `url`, with a test clock or without.
    #[must_use]
    pub fn redis_settings(&self, url: String, test_clock: bool) -> RedisSettings {
        let StoreConfig { url: _, timeout, connections, prefix, shards } = self;
        RedisSettings {
            url,
            prefix: prefix.clone(),
            shards: *shards,
            timeout: *timeout,
            connections: *connections,
            test_clock,
        }
    }
}

/// `[http]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where the API listens.
    #[serde(deserialize_with = "values::listen")]
    pub listen: SocketAddr,
    /// The certificate chain, PEM. With it the API speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
}

/// `[sweeper]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SweeperConfig {
    /// The longest sleep between two looks.
    #[serde(with = "values::span")]
    pub check_every: Span,
    /// Due orders taken at once from one shard.
    pub batch: usize,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// For people or for programs.
    pub format: LogFormat,
    /// What is too unimportant to be written.
    pub level: LogLevel,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text.
    Plain,
    /// One JSON object a line.
    Json,
}

/// The least important lines that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may become a failure.
    Warn,
    /// And what happens.
    Info,
    /// And how.
    Debug,
    /// And every detail.
    Trace,
}

/// Why a configuration is not used: one line for each problem.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// The merged file, as written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    store: StoreConfig,
    http: HttpConfig,
    sweeper: SweeperConfig,
    policies: BTreeMap<String, values::TermsValue>,
    #[serde(default)]
    actions: BTreeMap<String, Table>,
    #[serde(default)]
    tokens: BTreeMap<String, tokens::TokenValue>,
    intake: intake::IntakeKeys,
    log: LogConfig,
}

impl Config {
    /// Reads and checks the configuration that `sources` make up.
    ///
    /// # Errors
    /// Names the key, where it was set, and what was expected; never a secret.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        let layers = layers::read(sources)?;
        let mut file: File = errors::typed(layers.merged(), "", &layers, "", &[])
            .map_err(|problem| ConfigError(vec![problem]))?;
        if file.actions.is_empty() {
            file.actions.extend([actions::log()]);
        }
        let mut problems = check::problems(&file);
        let policies = collect(
            file.policies.iter().map(|(name, terms)| policy(name, &terms.0)),
            &mut problems,
        );
        let action = |(name, table): (&String, &mut Table)| {
            let (shown, config) =
                actions::read(name, std::mem::take(table), &layers, &sources.env)?;
            *table = shown;
            Ok(config)
        };
        let actions = collect(file.actions.iter_mut().map(action), &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        let shown = toml::to_string(&file).map_err(|error| ConfigError(vec![error.to_string()]))?;
        let sources = layers.names();
        let warnings = [layers.warnings, check::warnings(&file)].concat();
        let policies: BTreeMap<String, Policy> = policies.into_iter().collect();
        let missing = || {
            ConfigError(vec![format!(
                "intake.policy: there is no [policies.{}]",
                file.intake.policy
            )])
        };
        let intake = intake::checked(&file, policies.get(&file.intake.policy).ok_or_else(missing)?);
        let File { store, http, sweeper, tokens, log, .. } = file;
        let tokens = tokens::accepted(&tokens);
        Ok(Config {
            store,
            http,
            sweeper,
            policies,
            actions,
            tokens,
            intake,
            log,
            sources,
            warnings,
            shown,
        })
    }

    /// The values in force as TOML, secrets and passwords masked.
    #[must_use]
    pub fn show(&self) -> &str {
        &self.shown
    }
}

/// Why something configured cannot be used: it was left out when this program was built.
fn lacking(part: &str, feature: &str) -> String {
    format!(
        "this build of autoreceive has no {part}; build it with --features {feature}, or use the \
            full build"
    )
}

fn policy(name: &str, terms: &Terms) -> Result<(String, Policy), String> {
    let policy =
        Policy::new(name, terms.clone()).map_err(|wrong| format!("policies.{name}: {wrong}"))?;
    Ok((name.to_owned(), policy))
}

fn collect<T>(
    results: impl Iterator<Item = Result<T, String>>,
    problems: &mut Vec<String>,
) -> Vec<T> {
    results.filter_map(|result| result.map_err(|problem| problems.push(problem)).ok()).collect()
}
