//! `[intake]`: the keys of a shop whose orders are taken over.

use autoreceive_domain::{Policy, Span, StartsAt};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::check::range;
use super::values::{self, MaskedUrl, StoreAddress};
use super::{File, lacking};
use crate::shop_keys::shapes::Shape;
use crate::shop_keys::words::{WORD_BYTES, Words};
use crate::shop_keys::{CountFrom, Settings};

/// The intake, checked.
#[derive(Debug, Clone)]
pub struct IntakeConfig {
    /// Whether the service takes orders over; `autoreceive adopt` does where it does not, too.
    pub enabled: bool,
    /// The shop's Redis; none where none is set and the store is no Redis, which is an error once
    /// it is needed.
    pub url: Option<MaskedUrl>,
    /// The longest wait for its answer.
    pub timeout: Span,
    /// The keys that hold the status of an order.
    pub statuses: Shape,
    /// The keys whose end the shop's own code waits for.
    pub triggers: Shape,
    /// The words in the status keys.
    pub words: Words,
    /// How orders are taken over.
    pub settings: Settings,
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
    known
        .then_some(word.clone())
        .ok_or_else(|| D::Error::custom(format!("{word:?} is none of \"payment\", \"trigger\"")))
}

/// Everything that is wrong with it, one line each.
pub fn problems(file: &File) -> Vec<String> {
    let keys = &file.intake;
    let mut problems: Vec<String> = [
        range("intake.timeout", keys.timeout, Span::from_ms(100), Span::from_secs(60)),
        range("intake.scan_every", keys.scan_every, Span::from_ms(100), Span::from_hours(1)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if keys.enabled && !cfg!(feature = "intake") {
        problems.push(format!("intake.enabled: {}", lacking("intake", "intake")));
    }
    problems.extend(wrong_keys(keys));
    problems.extend(wrong_words(keys));
    problems.extend(wrong_policy(file));
    if keys.enabled && url(file).is_none() {
        problems.push(
            "intake.url: is missing, and the store is no Redis: give the address of the shop's, \
                redis://user:password@host:port/db"
                .to_owned(),
        );
    }
    if keys.set_notifications && !keys.notifications {
        problems.push(
            "intake.set_notifications: has no effect while intake.notifications is false"
                .to_owned(),
        );
    }
    problems
}

fn wrong_keys(keys: &IntakeKeys) -> Vec<String> {
    let (statuses, triggers) = shapes(keys);
    let mut problems = Vec::new();
    for (key, text, least) in [
        ("status_prefix", &keys.status_prefix, 1),
        ("trigger_prefix", &keys.trigger_prefix, 1),
        ("status_suffix", &keys.status_suffix, 0),
        ("trigger_suffix", &keys.trigger_suffix, 0),
    ] {
        if !(least..=64).contains(&text.len()) || text.chars().any(char::is_control) {
            problems.push(format!(
                "intake.{key}: expected {least} to 64 bytes without control characters"
            ));
        }
    }
    if statuses.overlaps(&triggers) {
        problems.push(
            "intake.status_prefix and intake.trigger_prefix (with their suffixes): one key could be both a status and a trigger; make them differ"
                .to_owned(),
        );
    }
    for (key, prefix) in
        [("status_prefix", &keys.status_prefix), ("trigger_prefix", &keys.trigger_prefix)]
    {
        if prefix.starts_with("autoreceive:") || "autoreceive:".starts_with(prefix.as_str()) {
            problems.push(format!(
                "intake.{key}: {prefix:?} is where the marks of the intake are kept"
            ));
        }
    }
    problems
}

fn wrong_words(keys: &IntakeKeys) -> Vec<String> {
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
            // A word is told from one that goes on after it by a byte more that is read.
            if word.is_empty() || word.len() >= WORD_BYTES {
                problems.push(format!("intake.{key}: expected 1 to {} bytes", WORD_BYTES - 1));
            }
            if let Some((other, _)) = seen.iter().find(|(_, known)| *known == word.as_str()) {
                problems.push(format!("intake.{other} and intake.{key}: both are {word:?}"));
            }
            seen.push((key, word.as_str()));
        }
    }
    problems
}

fn wrong_policy(file: &File) -> Option<String> {
    let name = &file.intake.policy;
    let Some(terms) = file.policies.get(name) else {
        return Some(format!("intake.policy: there is no [policies.{name}]"));
    };
    let start = terms.0.starts_at;
    (file.intake.enabled && start != StartsAt::Paid).then(|| {
        format!(
            "intake.policy and policies.{name}.starts_at: the shop's keys know no shipment, so it \
                must be \"paid\", but it is {:?}",
            start.as_str()
        )
    })
}

fn shapes(keys: &IntakeKeys) -> (Shape, Shape) {
    let statuses = Shape { prefix: keys.status_prefix.clone(), suffix: keys.status_suffix.clone() };
    (statuses, Shape { prefix: keys.trigger_prefix.clone(), suffix: keys.trigger_suffix.clone() })
}

fn url(file: &File) -> Option<MaskedUrl> {
    let of_store = match &file.store.url {
        StoreAddress::Redis(url) => Some(url.clone()),
        StoreAddress::Sqlite(_) => None,
    };
    file.intake.url.clone().or(of_store)
}

/// What was written, by then checked.
pub fn checked(file: &File, policy: &Policy) -> IntakeConfig {
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
    let settings = Settings {
        scan_every: scan_every.to_std(),
        notifications,
        set_notifications,
        count_from,
        policy: policy.clone(),
    };
    let words = Words { paid, received, cancelled, refunded };
    IntakeConfig { enabled, url: url(file), timeout, statuses, triggers, words, settings }
}
