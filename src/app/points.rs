//! Builds the `database` action and checks its points.

use anyhow::Context;

use crate::action::database::{Database, DatabaseSettings, ReconcileReport};
use crate::config::{ActionKind, Config, DatabaseConfig};

/// The database with one connection for each concurrent attempt.
pub(super) fn open(config: &DatabaseConfig, connections: usize) -> anyhow::Result<Database> {
    let settings = DatabaseSettings {
        url: config.url.expose().to_string(),
        connections: u32::try_from(connections)?,
        timeout: config.timeout.to_std(),
        prefix: config.prefix.clone(),
    };
    Ok(Database::new(&settings, config.statements.clone(), config.points.clone())?)
}

/// Compares events, ledger and balances in the database of the action `name`.
///
/// # Errors
/// If there is no such action, or its database is unavailable.
pub async fn reconcile(config: &Config, name: &str) -> anyhow::Result<ReconcileReport> {
    let action = config.actions.iter().find(|action| action.name.as_str() == name);
    let action = action.with_context(|| {
        format!("there is no action {name:?}; expected one of {}", super::action_names(config))
    })?;
    match &action.kind {
        ActionKind::Database(database) if database.points.is_some() => {
            Ok(open(database, 1)?.reconcile().await?)
        }
        _ => anyhow::bail!("the action {name:?} keeps no points: actions.{name}.points is not set"),
    }
}
