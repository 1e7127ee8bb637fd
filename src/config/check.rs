//! Values and combinations that are well formed but would do harm. An error of a combination names
//! both keys.

use std::fmt::Display;

use autoreceive_domain::{Span, StartsAt, Terms, backoff};

use super::{ConfigProblem, HttpConfig, MergedFile, StoreConfig, SweeperConfig, intake, tokens};

/// Minimum time that a finished order outlives the last attempt of its events. The backoff may
/// exceed its horizon by a tenth, which is 7 h; a day is the next round number.
const MARGIN_MS: i64 = 24 * 3_600 * 1_000;

/// Limit of reminders per order.
const MAX_REMINDERS: usize = 10;

/// All problems of the file.
pub fn problems(file: &MergedFile) -> Vec<ConfigProblem> {
    let mut problems = store(&file.store);
    problems.extend(http(&file.http, file.tokens.is_empty()));
    problems.extend(tokens::problems(&file.tokens));
    problems.extend(sweeper(&file.sweeper));
    problems.extend(intake::problems(file));
    for (name, terms) in &file.policies {
        problems.extend(policy(&PolicyKeys { name, terms: &terms.0 }));
    }
    problems
}

/// Settings that are allowed but probably not intended, one line each.
pub fn warnings(file: &MergedFile) -> Vec<String> {
    let waits_forever =
        |terms: &Terms| terms.starts_at == StartsAt::Delivered && terms.fallback_after.is_none();
    let policies = file.policies.iter().filter(|(_, terms)| waits_forever(&terms.0));
    let warning = |name| {
        format!(
            "policies.{name}.fallback_after: is not set, so an order waits forever if its delivery \
             is never reported; set it, or report every delivery"
        )
    };
    policies.map(|(name, _)| warning(name)).collect()
}

fn store(store: &StoreConfig) -> Vec<ConfigProblem> {
    let timeout = range("store.timeout", store.timeout, Span::from_ms(100), Span::from_secs(60));
    timeout.into_iter().chain(redis_problems(store)).collect()
}

/// Without the Redis store its settings have no effect.
#[cfg(not(feature = "redis"))]
fn redis_problems(_: &StoreConfig) -> Vec<ConfigProblem> {
    Vec::new()
}

/// The Redis store itself checks its settings, apart from the timeout, which all stores have.
#[cfg(feature = "redis")]
fn redis_problems(store: &StoreConfig) -> Vec<ConfigProblem> {
    let problems = store.redis_settings(String::new(), false).problems();
    let problems = problems.iter().filter_map(|problem| problem.split_once(": "));
    problems
        .filter(|(key, _)| *key != "timeout")
        .map(|(key, message)| ConfigProblem::new(format_args!("store.{key}"), message))
        .collect()
}

fn http(http: &HttpConfig, has_no_tokens: bool) -> Vec<ConfigProblem> {
    let listen = http.listen;
    let mut problems = Vec::new();
    if has_no_tokens && !listen.ip().is_loopback() {
        problems.push(ConfigProblem::new(
            "http.listen",
            format_args!(
                "{listen} is not a loopback address, and there are no tokens, so any client that \
                 can reach it could change orders. Create a token with `autoreceive token new \
                 --role write` and add the [tokens.NAME] that it prints to the configuration, or \
                 listen on 127.0.0.1"
            ),
        ));
    }
    if http.tls_cert.is_some() != http.tls_key.is_some() {
        problems.push(ConfigProblem::new(
            "http.tls_cert and http.tls_key",
            "only one of them is set; TLS needs both",
        ));
    }
    problems
}

fn sweeper(sweeper: &SweeperConfig) -> Vec<ConfigProblem> {
    let found = [
        range("sweeper.check_every", sweeper.check_every, Span::from_ms(10), Span::from_secs(60)),
        range("sweeper.batch", sweeper.batch, 1, 500),
    ];
    found.into_iter().flatten().collect()
}

pub fn range<T: PartialOrd + Display>(
    key: &str,
    value: T,
    least: T,
    most: T,
) -> Option<ConfigProblem> {
    let is_outside = value < least || value > most;
    is_outside
        .then(|| ConfigProblem::new(key, format_args!("is {value}; expected {least} to {most}")))
}

/// The keys of one `[policies.NAME]`.
struct PolicyKeys<'a> {
    name: &'a str,
    terms: &'a Terms,
}

impl PolicyKeys<'_> {
    fn key(&self, key: &str) -> String {
        format!("policies.{}.{key}", self.name)
    }

    fn problem(&self, key: &str, message: impl Display) -> ConfigProblem {
        ConfigProblem::new(self.key(key), message)
    }
}

fn policy(policy: &PolicyKeys) -> Vec<ConfigProblem> {
    let terms = policy.terms;
    let mut problems = zero_lengths(policy);
    problems.extend(keys_without_effect(policy));
    problems.extend(reminders(policy));
    if terms.max_extensions > 0 && terms.extend_by == Span::ZERO {
        problems.push(policy.problem(
            "extend_by",
            format_args!("is 0s, but {} allows extensions", policy.key("max_extensions")),
        ));
    }
    let least = Span::from_ms(backoff::HORIZON.ms() + MARGIN_MS);
    if terms.retain_for < least {
        problems.push(policy.problem(
            &format!("retain_for ({})", terms.retain_for),
            format_args!(
                "must be at least {least}, so that orders outlive the attempts of their \
                 events"
            ),
        ));
    }
    problems
}

fn zero_lengths(policy: &PolicyKeys) -> Vec<ConfigProblem> {
    let terms = policy.terms;
    let lengths = [
        ("pay_within", terms.pay_within),
        ("receive_after", Some(terms.receive_after)),
        ("fallback_after", terms.fallback_after),
        ("ship_within", terms.ship_within),
        ("settle_after", terms.settle_after),
    ];
    let zero = lengths.into_iter().filter(|(_, span)| *span == Some(Span::ZERO));
    let message = "must be greater than 0; use \"1ms\" for \"immediately\"";
    zero.map(|(key, _)| policy.problem(key, message)).collect()
}

fn keys_without_effect(policy: &PolicyKeys) -> Vec<ConfigProblem> {
    let terms = policy.terms;
    let starts_at = policy.key("starts_at");
    let start = terms.starts_at.as_str();
    let mut problems = Vec::new();
    if terms.fallback_after.is_some() && terms.starts_at != StartsAt::Delivered {
        problems.push(policy.problem(
            "fallback_after",
            format_args!("needs {starts_at} = \"delivered\", but it is {start:?}"),
        ));
    }
    if terms.ship_within.is_some() && terms.starts_at == StartsAt::Paid {
        problems.push(policy.problem(
            "ship_within",
            format_args!("needs {starts_at} = \"shipped\" or \"delivered\", but it is {start:?}"),
        ));
    }
    if terms.max_extensions == 0 && terms.extend_by != Terms::default().extend_by {
        problems.push(policy.problem(
            "extend_by",
            format_args!("has no effect while {} is 0", policy.key("max_extensions")),
        ));
    }
    problems
}

fn reminders(policy: &PolicyKeys) -> Vec<ConfigProblem> {
    let terms = policy.terms;
    let mut problems = Vec::new();
    let count = terms.remind_before.len();
    if count > MAX_REMINDERS {
        problems.push(policy.problem(
            "remind_before",
            format_args!("has {count} values; at most {MAX_REMINDERS} are allowed"),
        ));
    }
    let waits =
        [("receive_after", Some(terms.receive_after)), ("fallback_after", terms.fallback_after)];
    for before in &terms.remind_before {
        if *before == Span::ZERO {
            problems.push(policy.problem(
                "remind_before",
                "0s is the deadline itself; every value must be greater than 0",
            ));
        }
        for (key, wait) in waits {
            if let Some(wait) = wait.filter(|wait| before >= wait) {
                problems.push(policy.problem(
                    &format!("remind_before ({before})"),
                    format_args!("must be shorter than {} ({wait})", policy.key(key)),
                ));
            }
        }
    }
    problems
}
