//! What stands in the place of an action that this build lacks: its keys are not looked at, and it is
//! refused.
#![allow(dead_code, reason = "the full build uses none of it, every other one a part")]

use super::{ActionType, Scope};
use crate::config::lacking;

/// The configuration of an action that is not there: there is none.
#[derive(Debug, Clone)]
pub enum Absent {}

/// Whatever was written.
pub type Keys = toml::Table;

// Under the names that the actions' own modules have.
pub type DatabaseConfig = Absent;
pub type EmailConfig = Absent;
pub type RequestConfig = Absent;
pub type StreamConfig = Absent;
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
