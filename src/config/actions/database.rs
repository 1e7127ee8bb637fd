//! The keys of `type = "database"`.

use autoreceive_domain::words::Currency;
use autoreceive_domain::{EventKind, Span};
use serde::{Deserialize, Serialize};

use super::ActionValue;
use crate::action::database::{Dialect, Earning, Points, Rule, Statement};
use crate::config::values::MaskedUrl;

const PREFIX: &str = "autoreceive_";
/// What has to be known for points to be credited and taken back.
const FOR_POINTS: [EventKind; 2] = [EventKind::Received, EventKind::Refunded];

/// A database, checked.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Where it is.
    pub url: MaskedUrl,
    /// The longest wait for a transaction.
    pub timeout: Span,
    /// What the name of every table begins with.
    pub prefix: String,
    /// The shop's own statements; none where a table of orders is kept.
    pub statements: Vec<Statement>,
    /// What points are credited, if any.
    pub points: Option<Points>,
}

/// `points`, as written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PointsValue {
    rate: String,
    #[serde(default)]
    minimum_amount: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleValue>,
}

/// One of `points.rules`, as written. What it does not set is as in `points`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RuleValue {
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_amount: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<u64>,
}

impl ActionValue {
    pub(super) fn database(&self, name: &str) -> Result<DatabaseConfig, String> {
        let wrong = format!("actions.{name}.url: expected postgres://user:password@host/database or mysql://user:password@host/database");
        let url = self.url.clone().ok_or_else(|| format!("actions.{name}.url: is missing; a database needs it"))?;
        let dialect = Dialect::of(url.expose()).filter(|_| url.expose().path().len() > 1).ok_or(wrong)?;
        let parse = |text: &String| Statement::parse_all(text, dialect).map_err(|wrong| format!("actions.{name}.statement: {wrong}"));
        let points = self.points.as_ref().map(|points| self.points(name, points)).transpose()?;
        let statements = self.statement.as_ref().map(parse).transpose()?.unwrap_or_default();
        Ok(DatabaseConfig { url, timeout: self.timeout(name)?, prefix: self.prefix(name)?, statements, points })
    }

    fn prefix(&self, name: &str) -> Result<String, String> {
        let prefix = self.prefix.as_deref().unwrap_or(PREFIX);
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let good = prefix.len() <= 32 && prefix.bytes().all(allowed) && !prefix.starts_with(|c: char| c.is_ascii_digit());
        if good && !prefix.is_empty() {
            return Ok(prefix.to_owned());
        }
        Err(format!("actions.{name}.prefix: {prefix:?} is not 1 to 32 of a-z, 0-9 and _, beginning with no digit"))
    }

    fn points(&self, name: &str, value: &PointsValue) -> Result<Points, String> {
        let on = self.on();
        if let Some(kind) = FOR_POINTS.iter().find(|kind| !on.contains(kind)) {
            return Err(format!("actions.{name}.on: lacks {:?}, which actions.{name}.points needs", kind.as_str()));
        }
        let key = format!("actions.{name}.points");
        let others = Earning { rate: rate(&key, &value.rate)?, minimum_amount: value.minimum_amount, cap: value.cap };
        let rules = value.rules.iter().enumerate().map(|(at, rule)| rule.resolve(&format!("{key}.rules[{at}]"), &others));
        Ok(Points { rules: rules.collect::<Result<_, _>>()?, others })
    }
}

impl RuleValue {
    fn resolve(&self, key: &str, others: &Earning) -> Result<Rule, String> {
        if self.policy.is_none() && self.currency.is_none() {
            return Err(format!("{key}: names neither a policy nor a currency; what fits every order is set in points itself"));
        }
        if let Some(Err(wrong)) = self.currency.as_ref().map(|currency| currency.parse::<Currency>()) {
            return Err(format!("{key}.currency: {wrong}"));
        }
        let rate = self.rate.as_ref().map_or(Ok(others.rate), |text| rate(key, text))?;
        let minimum_amount = self.minimum_amount.unwrap_or(others.minimum_amount);
        let earning = Earning { rate, minimum_amount, cap: self.cap.or(others.cap) };
        Ok(Rule { policy: self.policy.clone(), currency: self.currency.clone(), earning })
    }
}

fn rate(key: &str, text: &str) -> Result<crate::action::database::Rate, String> {
    text.parse().map_err(|wrong| format!("{key}.rate: {text:?} {wrong}"))
}
