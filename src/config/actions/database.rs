//! The keys of `type = "database"`.

use autoreceive_domain::words::Currency;
use autoreceive_domain::{EventKind, Span};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ActionScope, limits};
use crate::action::database::{Dialect, Earning, Points, Rate, Rule, Statement};
use crate::config::ConfigProblem;
use crate::config::values::{self, MaskedUrl};

/// The events that credit points and take them back.
const FOR_POINTS: [EventKind; 2] = [EventKind::Received, EventKind::Refunded];

/// The settings of a database action, checked.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Address of the database.
    pub url: MaskedUrl,
    /// Timeout of a transaction.
    pub timeout: Span,
    /// Prefix of every table name.
    pub prefix: String,
    /// The shop's own statements; empty if the action keeps a table of orders.
    pub statements: Vec<Statement>,
    /// The rules of points, if any.
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

/// One of `points.rules`, as written. Keys that it does not set are taken from `points`.
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

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseKeys {
    #[serde(deserialize_with = "database_url")]
    url: MaskedUrl,
    #[serde(default, with = "values::span_or_none", skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(default = "usual_prefix")]
    prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<PointsValue>,
}

fn usual_prefix() -> String {
    "autoreceive_".to_owned()
}

pub fn check(keys: DatabaseKeys, scope: &ActionScope) -> Result<DatabaseConfig, ConfigProblem> {
    let timeout = limits::timeout(keys.timeout, scope)?;
    let DatabaseKeys { url, prefix, statement, points, .. } = keys;
    check_prefix(&prefix, scope)?;
    let statements =
        statement.map(|text| statements(&text, &url, scope)).transpose()?.unwrap_or_default();
    let points = points.map(|value| value.resolve(scope)).transpose()?;
    Ok(DatabaseConfig { url, timeout, prefix, statements, points })
}

fn statements(
    text: &str,
    url: &MaskedUrl,
    scope: &ActionScope,
) -> Result<Vec<Statement>, ConfigProblem> {
    // The scheme was checked when the address was read.
    let dialect = Dialect::of(url.expose().as_str()).unwrap_or(Dialect::Postgres);
    Statement::parse_all(text, dialect).map_err(|wrong| scope.problem("statement", wrong))
}

/// Allows only prefixes that need no quotes in any database.
fn check_prefix(prefix: &str, scope: &ActionScope) -> Result<(), ConfigProblem> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if (1..=32).contains(&prefix.len())
        && prefix.bytes().all(allowed)
        && !prefix.starts_with(|c: char| c.is_ascii_digit())
    {
        return Ok(());
    }
    Err(scope.problem(
        "prefix",
        format_args!(
            "expected 1 to 32 characters of a-z, 0-9 and _, not starting with a digit; found \
             {prefix:?}"
        ),
    ))
}

impl PointsValue {
    fn resolve(&self, scope: &ActionScope) -> Result<Points, ConfigProblem> {
        if let Some(kind) = FOR_POINTS.iter().find(|kind| !scope.common.on.contains(kind)) {
            let kind = kind.as_str();
            return Err(scope.problem(
                "on",
                format_args!("{kind:?} is missing, but {} needs it", scope.key("points")),
            ));
        }
        let key = scope.key("points");
        let others = Earning {
            rate: rate(&key, &self.rate)?,
            minimum_amount: self.minimum_amount,
            cap: self.cap,
        };
        let rules = self
            .rules
            .iter()
            .enumerate()
            .map(|(at, rule)| rule.resolve(&format!("{key}.rules[{at}]"), &others));
        Ok(Points { rules: rules.collect::<Result<_, _>>()?, others })
    }
}

impl RuleValue {
    fn resolve(&self, key: &str, others: &Earning) -> Result<Rule, ConfigProblem> {
        if self.policy.is_none() && self.currency.is_none() {
            return Err(ConfigProblem::new(
                key,
                "has neither a policy nor a currency; set terms for all orders in points itself",
            ));
        }
        if let Some(Err(wrong)) =
            self.currency.as_ref().map(|currency| currency.parse::<Currency>())
        {
            return Err(ConfigProblem::new(format_args!("{key}.currency"), wrong));
        }
        let rate = self.rate.as_ref().map_or(Ok(others.rate), |text| rate(key, text))?;
        let minimum_amount = self.minimum_amount.unwrap_or(others.minimum_amount);
        let earning = Earning { rate, minimum_amount, cap: self.cap.or(others.cap) };
        Ok(Rule { policy: self.policy.clone(), currency: self.currency.clone(), earning })
    }
}

fn rate(key: &str, text: &str) -> Result<Rate, ConfigProblem> {
    text.parse().map_err(|wrong| {
        ConfigProblem::new(format_args!("{key}.rate"), format_args!("{text:?} {wrong}"))
    })
}

fn database_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MaskedUrl, D::Error> {
    let url = MaskedUrl::parse(&values::hidden(deserializer)?)
        .filter(|url| Dialect::of(url.expose().as_str()).is_some());
    let named = url.filter(|url| url.expose().path().len() > 1);
    named.ok_or_else(|| {
        D::Error::custom(
            "expected postgres://user:password@host/database, or the same with mysql://",
        )
    })
}
