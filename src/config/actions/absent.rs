//! Stands in for the types of actions that this build does not have: refuses them, and reads none
//! of their keys.
#![allow(dead_code, reason = "the full build uses nothing of it, all other builds a part")]

use super::{ActionScope, ActionType};
use crate::config::{ConfigProblem, MissingFeature};

/// The settings of a missing type; there is no value of it.
#[derive(Debug, Clone)]
pub enum Absent {}

/// The keys as written, unread.
pub type Keys = toml::Table;

/// Replaces the type in `database`.
pub type DatabaseConfig = Absent;
/// Replaces the type in `email`.
pub type EmailConfig = Absent;
/// Replaces the type in `http`.
pub type RequestConfig = Absent;
/// Replaces the type in `stream`.
pub type StreamConfig = Absent;
/// Replaces the type in `webhook`.
pub type WebhookConfig = Absent;

pub fn check(_: Keys, scope: &ActionScope) -> Result<Absent, ConfigProblem> {
    let feature = name(scope.common.r#type);
    Err(scope.problem("type", MissingFeature { part: format!("{feature} action"), feature }))
}

fn name(of: ActionType) -> &'static str {
    match of {
        ActionType::Log => "log",
        ActionType::Webhook => "webhook",
        ActionType::Http => "http",
        ActionType::Email => "email",
        ActionType::Stream => "stream",
        ActionType::Database => "database",
    }
}
