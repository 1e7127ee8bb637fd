//! Environment variables: which are keys, and warnings about those that only look like one.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::layers::Layers;
use super::{ConfigError, ConfigProblem};

const PREFIX: &str = "AUTORECEIVE_";

/// Variables that the program reads besides the configuration.
const KNOWN: [&str; 3] = ["TOKEN", "URL", "WEBHOOK_SECRET"];
/// Prefixes of variables for tests and benchmarks, and of those that Kubernetes sets for a service
/// with this name (`AUTORECEIVE_PORT_8780_TCP`).
const OTHERS: [&str; 5] = ["TEST_", "BENCH_", "PORT_", "SERVICE_HOST", "SERVICE_PORT"];

/// The sections, each with the key that is probably meant by a variable with only its name.
const SECTIONS: [(&str, &str); 8] = [
    ("STORE", "URL"),
    ("HTTP", "LISTEN"),
    ("SWEEPER", "BATCH"),
    ("POLICIES", "DEFAULT__RECEIVE_AFTER"),
    ("ACTIONS", "NAME__TYPE"),
    ("TOKENS", "NAME__ROLE"),
    ("INTAKE", "ENABLED"),
    ("LOG", "LEVEL"),
];

/// The key that a variable sets: `store__url` for `AUTORECEIVE_STORE__URL`.
pub fn key(variable: &str) -> Option<String> {
    variable.strip_prefix(PREFIX).filter(|rest| rest.contains("__")).map(str::to_ascii_lowercase)
}

/// Checks the `AUTORECEIVE_` variables that set no key, and returns warnings.
///
/// # Errors
/// If one is almost a key: its author believes that it is in force.
pub fn strays(env: &BTreeMap<String, String>, layers: &Layers) -> Result<Vec<String>, ConfigError> {
    let table = layers.merged();
    let names = env.keys().filter(|name| key(name).is_none() && !is_named(&table, name));
    let strays = names
        .filter_map(|name| Some((name, name.strip_prefix(PREFIX).filter(|rest| !is_known(rest))?)));
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    for (name, rest) in strays {
        match meant(rest, &table) {
            Some(meant) => problems.push(ConfigProblem::Variable {
                name: name.clone(),
                meant: format!("{PREFIX}{meant}"),
            }),
            None => warnings.push(format!(
                "the environment variable {name} is not used: it is not a key; for example, \
                 {PREFIX}STORE__URL sets store.url"
            )),
        }
    }
    if problems.is_empty() { Ok(warnings) } else { Err(ConfigError(problems)) }
}

fn is_known(rest: &str) -> bool {
    KNOWN.contains(&rest) || rest == "PORT" || OTHERS.iter().any(|start| rest.starts_with(start))
}

/// True if a value of the configuration names the variable, as `secret_env` does.
fn is_named(table: &Table, variable: &str) -> bool {
    fn holds(value: &Value, variable: &str) -> bool {
        match value {
            Value::String(text) => text == variable,
            Value::Array(values) => values.iter().any(|value| holds(value, variable)),
            Value::Table(table) => is_named(table, variable),
            _ => false,
        }
    }
    table.values().any(|value| holds(value, variable))
}

/// The key that is probably meant: the variable has only its section, one underscore too few, or no
/// section.
fn meant(rest: &str, table: &Table) -> Option<String> {
    for (section, first) in SECTIONS {
        match rest.strip_prefix(section) {
            Some("") => return Some(format!("{section}__{first}")),
            Some(key) if key.starts_with('_') => return Some(format!("{section}_{key}")),
            _ => {}
        }
    }
    let key = rest.to_ascii_lowercase();
    let has = |path: &str| {
        path.split("__")
            .try_fold(table, |table, part| table.get(part)?.as_table())
            .is_some_and(|t| t.contains_key(&key))
    };
    let section = ["store", "http", "sweeper", "policies__default", "intake", "log"]
        .into_iter()
        .find(|path| has(path))?;
    Some(format!("{}__{rest}", section.to_ascii_uppercase()))
}
