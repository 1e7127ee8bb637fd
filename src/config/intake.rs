//! `[intake]`: the Redis keys of a shop whose orders are taken over.

use autoreceive_domain::{Policy, Span, StartsAt};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::check::range;
use super::values::{self, MaskedUrl, StoreAddress};
use super::{ConfigProblem, MergedFile, MissingFeature};
use crate::shop_keys::shapes::Shape;
use crate::shop_keys::words::{StatusWords, WORD_BYTES};
use crate::shop_keys::{CountFrom, IntakeSettings};

/// The intake, checked.
#[derive(Debug, Clone)]
pub struct IntakeConfig {
    /// Whether the service takes orders over. `autoreceive adopt` does so in any case.
    pub enabled: bool,
    /// The shop's Redis. `None` if it is not set and the store is not Redis, which is an error when
    /// it is needed.
    pub url: Option<MaskedUrl>,
    /// Timeout of a request to the shop's Redis.
    pub timeout: Span,
    /// The keys with the status of an order.
    pub statuses: Shape,
    /// The keys whose expiry triggers the shop's own code.
    pub triggers: Shape,
    /// The words in the status keys.
    pub words: StatusWords,
    /// IntakeSettings of scans, notifications and the policy.
    pub settings: IntakeSettings,
}

/// `[intake]`, as written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IntakeKeys {
    enabled: bool,
    #[serde(default, deserialize_with = "some_url", skip_serializing_if = "Option::is_none")]
    url: Option<MaskedUrl>,
    #[serde(with = "values::span")]
    timeout: Span,
    #[serde(with = "values::span")]
    scan_every: Span,
    notifications: bool,
    set_notifications: bool,
    #[serde(deserialize_with = "count_from")]
    count_from: String,
    pub policy: String,
    status_prefix: String,
    status_suffix: String,
    trigger_prefix: String,
    trigger_suffix: String,
    paid: String,
    received: String,
    cancelled: Vec<String>,
    refunded: Vec<String>,
}

fn some_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MaskedUrl>, D::Error> {
    values::redis_url(deserializer).map(Some)
}

fn count_from<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let word = String::deserialize(deserializer)?;
    let known = ["payment", "trigger"].contains(&word.as_str());
    if known {
        return Ok(word);
    }
    Err(D::Error::custom(format!("expected \"payment\" or \"trigger\"; found {word:?}")))
}

/// All problems of `[intake]`.
pub fn problems(file: &MergedFile) -> Vec<ConfigProblem> {
    let keys = &file.intake;
    let mut problems: Vec<ConfigProblem> = [
        range("intake.timeout", keys.timeout, Span::from_ms(100), Span::from_secs(60)),
        range("intake.scan_every", keys.scan_every, Span::from_ms(100), Span::from_hours(1)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if keys.enabled && !cfg!(feature = "intake") {
        let missing = MissingFeature { part: "intake".to_owned(), feature: "intake" };
        problems.push(ConfigProblem::new("intake.enabled", missing));
    }
    problems.extend(wrong_keys(keys));
    problems.extend(wrong_words(keys));
    problems.extend(wrong_policy(file));
    if keys.enabled && url(file).is_none() {
        problems.push(ConfigProblem::new(
            "intake.url",
            "is missing, and the store is not Redis; set the address of the shop's Redis, \
             redis://user:password@host:port/db",
        ));
    }
    if keys.set_notifications && !keys.notifications {
        problems.push(ConfigProblem::new(
            "intake.set_notifications",
            "has no effect while intake.notifications is false",
        ));
    }
    problems
}

fn wrong_keys(keys: &IntakeKeys) -> Vec<ConfigProblem> {
    let (statuses, triggers) = shapes(keys);
    let mut problems = Vec::new();
    for (key, text, least) in [
        ("status_prefix", &keys.status_prefix, 1),
        ("trigger_prefix", &keys.trigger_prefix, 1),
        ("status_suffix", &keys.status_suffix, 0),
        ("trigger_suffix", &keys.trigger_suffix, 0),
    ] {
        if !(least..=64).contains(&text.len()) || text.chars().any(char::is_control) {
            problems.push(ConfigProblem::new(
                format_args!("intake.{key}"),
                format_args!("expected {least} to 64 bytes without control characters"),
            ));
        }
    }
    if statuses.overlaps(&triggers) {
        problems.push(ConfigProblem::new(
            "intake.status_prefix and intake.trigger_prefix (with their suffixes)",
            "one key could be both a status and a trigger; make them differ",
        ));
    }
    for (key, prefix) in
        [("status_prefix", &keys.status_prefix), ("trigger_prefix", &keys.trigger_prefix)]
    {
        if prefix.starts_with("autoreceive:") || "autoreceive:".starts_with(prefix.as_str()) {
            problems.push(ConfigProblem::new(
                format_args!("intake.{key}"),
                format_args!(
                    "{prefix:?} conflicts with \"autoreceive:\", the prefix of the intake's own \
                     keys"
                ),
            ));
        }
    }
    problems
}

fn wrong_words(keys: &IntakeKeys) -> Vec<ConfigProblem> {
    let named = [
        ("paid", std::slice::from_ref(&keys.paid)),
        ("received", std::slice::from_ref(&keys.received)),
    ];
    let all = named
        .into_iter()
        .chain([("cancelled", &keys.cancelled[..]), ("refunded", &keys.refunded[..])]);
    let mut problems = Vec::new();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (key, words) in all {
        for word in words {
            // The last byte that is read shows whether the word is longer.
            if word.is_empty() || word.len() >= WORD_BYTES {
                problems.push(ConfigProblem::new(
                    format_args!("intake.{key}"),
                    format_args!("expected words of 1 to {} bytes", WORD_BYTES - 1),
                ));
            }
            if let Some((other, _)) = seen.iter().find(|(_, known)| *known == word.as_str()) {
                problems.push(ConfigProblem::new(
                    format_args!("intake.{other} and intake.{key}"),
                    format_args!("both contain {word:?}; a word can have one meaning only"),
                ));
            }
            seen.push((key, word.as_str()));
        }
    }
    problems
}

fn wrong_policy(file: &MergedFile) -> Option<ConfigProblem> {
    let name = &file.intake.policy;
    let Some(terms) = file.policies.get(name) else { return Some(unknown_policy(file)) };
    let start = terms.0.starts_at;
    (file.intake.enabled && start != StartsAt::Paid).then(|| {
        ConfigProblem::new(
            format_args!("intake.policy and policies.{name}.starts_at"),
            format_args!(
                "must be \"paid\", because the shop's keys do not show shipments, but it is {:?}",
                start.as_str()
            ),
        )
    })
}

/// The problem that `intake.policy` does not exist.
pub fn unknown_policy(file: &MergedFile) -> ConfigProblem {
    let name = &file.intake.policy;
    let known: Vec<&str> = file.policies.keys().map(String::as_str).collect();
    ConfigProblem::new(
        "intake.policy",
        format_args!(
            "[policies.{name}] does not exist; add it, or use one of {}",
            known.join(", ")
        ),
    )
}

fn shapes(keys: &IntakeKeys) -> (Shape, Shape) {
    let statuses = Shape { prefix: keys.status_prefix.clone(), suffix: keys.status_suffix.clone() };
    (statuses, Shape { prefix: keys.trigger_prefix.clone(), suffix: keys.trigger_suffix.clone() })
}

fn url(file: &MergedFile) -> Option<MaskedUrl> {
    let of_store = match &file.store.url {
        StoreAddress::Redis(url) => Some(url.clone()),
        StoreAddress::Sqlite(_) => None,
    };
    file.intake.url.clone().or(of_store)
}

/// The intake of a file without problems.
pub fn checked(file: &MergedFile, policy: &Policy) -> IntakeConfig {
    let keys = file.intake.clone();
    let (statuses, triggers) = shapes(&keys);
    let count_from =
        if keys.count_from == "trigger" { CountFrom::Trigger } else { CountFrom::Payment };
    let IntakeKeys {
        enabled,
        timeout,
        scan_every,
        notifications,
        set_notifications,
        paid,
        received,
        cancelled,
        refunded,
        ..
    } = keys;
    let settings = IntakeSettings {
        scan_every: scan_every.to_std(),
        notifications,
        set_notifications,
        count_from,
        policy: policy.clone(),
    };
    let words = StatusWords { paid, received, cancelled, refunded };
    IntakeConfig { enabled, url: url(file), timeout, statuses, triggers, words, settings }
}
