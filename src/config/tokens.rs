//! One `[tokens.NAME]`.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::values;
use crate::access::{Role, TokenHash, Tokens};

/// The most tokens: every request is compared with all of them.
const MOST: usize = 100;

/// A token, as written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenValue {
    #[serde(deserialize_with = "role")]
    role: Role,
    #[serde(deserialize_with = "hash")]
    sha256: TokenHash,
}

/// The tokens that are accepted.
pub(super) fn accepted(values: &BTreeMap<String, TokenValue>) -> Tokens {
    values.values().map(|value| (value.sha256.clone(), value.role)).collect()
}

/// What is wrong with them.
pub(super) fn problems(values: &BTreeMap<String, TokenValue>) -> Vec<String> {
    let mut problems = Vec::new();
    if values.len() > MOST {
        problems.push(format!("tokens: are {}; at most {MOST} are possible", values.len()));
    }
    let names: Vec<&String> = values.keys().collect();
    for (i, (name, value)) in values.iter().enumerate() {
        if !is_token_name(name) {
            problems.push(format!(
                "tokens.{name}: is not a token name: 1 to 32 of a-z, 0-9, _ and - are expected"
            ));
        }
        let twin = values
            .values()
            .take(i)
            .position(|earlier| earlier.sha256 == value.sha256)
            .and_then(|at| names.get(at));
        problems.extend(twin.map(|twin| {
            format!("tokens.{twin}.sha256 and tokens.{name}.sha256 are the same token; keep one")
        }));
    }
    problems
}

/// Whether a token can be called so.
#[must_use]
pub fn is_token_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(allowed)
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let word = values::hidden(deserializer)?;
    let known = Role::ALL.into_iter().find(|role| role.as_str() == word);
    known.ok_or_else(|| D::Error::custom("is none of \"read\", \"write\", \"operate\""))
}

fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TokenHash, D::Error> {
    values::hidden(deserializer)?.parse().map_err(D::Error::custom)
}
