//! One `[tokens.NAME]`.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ConfigProblem, values};
use crate::access::{Role, TokenHash, Tokens};

/// Limit of tokens: every request is compared with all of them.
const MAX_TOKENS: usize = 100;

/// A token, as written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenValue {
    #[serde(deserialize_with = "role")]
    role: Role,
    #[serde(deserialize_with = "hash")]
    sha256: TokenHash,
}

/// The tokens for the API.
pub(super) fn accepted(values: &BTreeMap<String, TokenValue>) -> Tokens {
    values.values().map(|value| (value.sha256.clone(), value.role)).collect()
}

/// All problems of the tokens.
pub(super) fn problems(values: &BTreeMap<String, TokenValue>) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    let count = values.len();
    if count > MAX_TOKENS {
        problems.push(ConfigProblem::new(
            "tokens",
            format_args!("{count} tokens are configured; at most {MAX_TOKENS} are allowed"),
        ));
    }
    for (i, (name, value)) in values.iter().enumerate() {
        if !is_token_name(name) {
            let message = "is not a token name; expected 1 to 32 characters of a-z, 0-9, _ and -";
            problems.push(ConfigProblem::new(format_args!("tokens.{name}"), message));
        }
        let mut earlier = values.iter().take(i);
        if let Some((twin, _)) = earlier.find(|(_, earlier)| earlier.sha256 == value.sha256) {
            problems.push(ConfigProblem::new(
                format_args!("tokens.{twin}.sha256 and tokens.{name}.sha256"),
                "are the same token; remove one of them",
            ));
        }
    }
    problems
}

/// True for 1 to 32 characters of a-z, 0-9, _ and -.
#[must_use]
pub fn is_token_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let word = values::hidden(deserializer)?;
    let known = Role::ALL.into_iter().find(|role| role.as_str() == word);
    known.ok_or_else(|| D::Error::custom("expected \"read\", \"write\" or \"operate\""))
}

fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TokenHash, D::Error> {
    values::hidden(deserializer)?.parse().map_err(D::Error::custom)
}
