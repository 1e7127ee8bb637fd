//! The configuration. The default file explains every key. The layers over it are merged, read into
//! typed values, and checked for combinations that would do harm.
//!
//! | module | does |
//! |---|---|
//! | [`layers`] | defaults, file, environment, flags → one table with the source of each value |
//! | [`variables`] | which environment variables are keys, and which only look like one |
//! | [`values`] | texts of the file as types, secrets masked |
//! | [`errors`] | the problems of a configuration |
//! | [`actions`], [`tokens`] | one `[actions.NAME]`, one `[tokens.NAME]` |
//! | [`intake`] | `[intake]` |
//! | [`check`] | values that are well formed but would do harm |

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
pub use errors::{ConfigError, ConfigProblem, MissingFeature};
pub use intake::IntakeConfig;
pub use layers::Sources;
pub use tokens::is_token_name;
pub use values::{MaskedUrl, StoreAddress, StoreAddressError};

mod actions;
mod check;
mod errors;
mod intake;
mod layers;
mod tokens;
mod values;
mod variables;

/// The annotated file with every default.
pub const DEFAULT_FILE: &str = include_str!("../config.default.toml");

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The store of orders.
    pub store: StoreConfig,
    /// The listener of the API.
    pub http: HttpConfig,
    /// The search for due orders.
    pub sweeper: SweeperConfig,
    /// The policies by name; `default` is always among them.
    pub policies: BTreeMap<String, Policy>,
    /// The actions on events; never empty.
    pub actions: Vec<ActionConfig>,
    /// Tokens of the API. Without any, every client on this machine may use it.
    pub tokens: Tokens,
    /// The intake of orders from a shop's Redis.
    pub intake: IntakeConfig,
    /// The log.
    pub log: LogConfig,
    /// The file, variables and flags that override the defaults.
    pub sources: Vec<String>,
    /// Settings that are allowed but probably not intended.
    pub warnings: Vec<String>,
    shown: String,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Address of the store.
    pub url: StoreAddress,
    /// Timeout of a request.
    #[serde(with = "values::span")]
    pub timeout: Span,
    /// Redis: open connections.
    pub connections: usize,
    /// Redis: prefix of every key.
    pub prefix: String,
    /// Redis: number of shards.
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
    /// Address of the API.
    #[serde(deserialize_with = "values::listen")]
    pub listen: SocketAddr,
    /// PEM file with the certificate chain. With it the API speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
}

/// `[sweeper]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SweeperConfig {
    /// Longest sleep between two searches.
    #[serde(with = "values::span")]
    pub check_every: Span,
    /// Due orders taken at once from one shard.
    pub batch: usize,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Format of the lines.
    pub format: LogFormat,
    /// Least important level that is written.
    pub level: LogLevel,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text.
    Plain,
    /// One JSON object per line.
    Json,
}

/// The least important level that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures.
    Error,
    /// Also possible failures.
    Warn,
    /// Also the normal events.
    Info,
    /// Also their details.
    Debug,
    /// Everything.
    Trace,
}

/// The merged layers, as written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct MergedFile {
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
    /// Reads and checks the configuration from `sources`.
    ///
    /// # Errors
    /// All problems, each with the key, its source and what is expected; never with a secret.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        let layers = layers::read(sources)?;
        let mut file: MergedFile = errors::typed(layers.merged(), "", &layers, "", &[])?;
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
        let shown = toml::to_string(&file).map_err(ConfigProblem::from)?;
        let sources = layers.names();
        let warnings = [layers.warnings, check::warnings(&file)].concat();
        let policies: BTreeMap<String, Policy> = policies.into_iter().collect();
        let policy = policies.get(&file.intake.policy);
        let policy = policy.ok_or_else(|| intake::unknown_policy(&file))?;
        let intake = intake::checked(&file, policy);
        let MergedFile { store, http, sweeper, tokens, log, .. } = file;
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

fn policy(name: &str, terms: &Terms) -> Result<(String, Policy), ConfigProblem> {
    let policy = Policy::new(name, terms.clone())
        .map_err(|wrong| ConfigProblem::new(format_args!("policies.{name}"), wrong))?;
    Ok((name.to_owned(), policy))
}

/// The good results; the problems of the others are added to `problems`.
fn collect<T>(
    results: impl Iterator<Item = Result<T, ConfigProblem>>,
    problems: &mut Vec<ConfigProblem>,
) -> Vec<T> {
    results.filter_map(|result| result.map_err(|problem| problems.push(problem)).ok()).collect()
}
