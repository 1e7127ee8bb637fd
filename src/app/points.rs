//! The `database` action, and whether the points that it keeps are right.

use anyhow::Context;

use crate::action::database::{Database, Report, Settings};
use crate::config::{ActionKind, Config, DatabaseConfig};

/// One connection for each attempt that is made at the same time.
pub(super) fn open(config: &DatabaseConfig, connections: usize) -> anyhow::Result<Database> {
    let settings = Settings {
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
/// Where there is no such action, or its database is away.
pub async fn reconcile(config: &Config, name: &str) -> anyhow::Result<Report> {
    let action = config.actions.iter().find(|action| action.name.as_str() == name);
    let action = action.with_context(|| {
        format!("there is no action {name:?}; configured are {}", super::action_names(config))
    })?;
    match &action.kind {
        ActionKind::Database(database) if database.points.is_some() => {
            Ok(open(database, 1)?.reconcile().await?)
        }
        _ => anyhow::bail!("the action {name:?} keeps no points; it has no actions.{name}.points"),
    }
}
