//! What stands in the place of an action that this build lacks: its keys are not looked at, and
//! it is refused.
#![allow(dead_code, reason = "the full build uses none of it, every other one a part")]

use super::{ActionType, Scope};
use crate::config::lacking;

/// The configuration of an action that is not there: there is none.
#[derive(Debug, Clone)]
pub enum Absent {}

/// Whatever was written.
pub type Keys = toml::Table;

/// The name that the `database` action's own module gives it.
pub type DatabaseConfig = Absent;
/// The name that the `email` action's own module gives it.
pub type EmailConfig = Absent;
/// The name that the `http` action's own module gives it.
pub type RequestConfig = Absent;
/// The name that the `stream` action's own module gives it.
pub type StreamConfig = Absent;
/// The name that the `webhook` action's own module gives it.
pub type WebhookConfig = Absent;

pub fn check(_: Keys, scope: &Scope) -> Result<Absent, String> {
    let name = name(scope.common.r#type);
    Err(format!("{}: {}", scope.key("type"), lacking(&format!("{name} action"), name)))
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
