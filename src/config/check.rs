//! What is well formed but would do harm. Both keys of a bad combination are named.

use std::fmt::Display;

use autoreceive_domain::{Span, StartsAt, Terms, backoff};

use super::{File, HttpConfig, StoreConfig, SweeperConfig, intake, tokens};

/// How long a finished order outlives the last attempt of its events at least. The waits between
/// attempts may stretch by a tenth of the horizon, 7 h; a day is a round number above it.
const MARGIN_MS: i64 = 24 * 3_600 * 1_000;

/// The most reminders of one order.
const MOST_REMINDERS: usize = 10;

/// Everything that is wrong, one line each.
pub fn problems(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(store(&file.store));
    problems.extend(http(&file.http, file.tokens.is_empty()));
    problems.extend(tokens::problems(&file.tokens));
    problems.extend(sweeper(&file.sweeper));
    problems.extend(intake::problems(file));
    for (name, terms) in &file.policies {
        problems.extend(
            policy(&terms.0)
                .into_iter()
                .map(|problem| problem.replace("KEY", &format!("policies.{name}"))),
        );
    }
    problems
}

/// What is permitted, but probably not meant, one line each.
pub fn warnings(file: &File) -> Vec<String> {
    let waits_for_ever =
        |terms: &Terms| terms.starts_at == StartsAt::Delivered && terms.fallback_after.is_none();
    let policies = file.policies.iter().filter(|(_, terms)| waits_for_ever(&terms.0));
    let said = |name| {
        format!(
            "policies.{name}.fallback_after: is not set, so an order whose delivery is never \
                reported waits for ever; set it, or report every delivery"
        )
    };
    policies.map(|(name, _)| said(name)).collect()
}

fn store(store: &StoreConfig) -> Vec<String> {
    let timeout = range("store.timeout", store.timeout, Span::from_ms(100), Span::from_secs(60));
    timeout.into_iter().chain(redis_problems(store)).collect()
}

/// Without a Redis store its settings have no effect.
#[cfg(not(feature = "redis"))]
fn redis_problems(_: &StoreConfig) -> impl Iterator<Item = String> {
    std::iter::empty()
}

/// The Redis store itself says which settings it takes.
#[cfg(feature = "redis")]
fn redis_problems(store: &StoreConfig) -> impl Iterator<Item = String> {
    let problems = store.redis_settings(String::new(), false).problems();
    problems
        .into_iter()
        .filter(|problem| !problem.starts_with("timeout:"))
        .map(|problem| format!("store.{problem}"))
}

fn http(http: &HttpConfig, open_to_all: bool) -> Vec<String> {
    let listen = http.listen;
    let mut problems = Vec::new();
    if open_to_all && !listen.ip().is_loopback() {
        problems.push(format!(
            "http.listen: {listen} is not a loopback address, but there are no tokens: whoever reaches it could change orders. Make a token \
             with `autoreceive token new --role write` and put the [tokens.NAME] that it prints \
             into the configuration, or listen on 127.0.0.1"
        ));
    }
    if http.tls_cert.is_some() != http.tls_key.is_some() {
        problems.push(
            "http.tls_cert and http.tls_key: only one of them is set; TLS needs both".to_owned(),
        );
    }
    problems
}

fn sweeper(sweeper: &SweeperConfig) -> Vec<String> {
    let found = [
        range("sweeper.check_every", sweeper.check_every, Span::from_ms(10), Span::from_secs(60)),
        range("sweeper.batch", sweeper.batch, 1, 500),
    ];
    found.into_iter().flatten().collect()
}

pub fn range<T: PartialOrd + Display>(key: &str, value: T, least: T, most: T) -> Option<String> {
    let outside = value < least || value > most;
    outside.then(|| format!("{key}: is {value}; expected {least} to {most}"))
}

/// `KEY` stands for the policy.
fn policy(terms: &Terms) -> Vec<String> {
    let mut problems = zero_lengths(terms);
    problems.extend(terms_without_effect(terms));
    problems.extend(reminders(terms));
    if terms.max_extensions > 0 && terms.extend_by == Span::ZERO {
        problems
            .push("KEY.extend_by: is 0s, while KEY.max_extensions allows extensions".to_owned());
    }
    let least = Span::from_ms(backoff::HORIZON.ms() + MARGIN_MS);
    if terms.retain_for < least {
        let retain_for = terms.retain_for;
        problems.push(format!(
            "KEY.retain_for ({retain_for}): must be at least {least}, so that \
                orders outlive the attempts of their events"
        ));
    }
    problems
}

fn zero_lengths(terms: &Terms) -> Vec<String> {
    let lengths = [
        ("pay_within", terms.pay_within),
        ("receive_after", Some(terms.receive_after)),
        ("fallback_after", terms.fallback_after),
        ("ship_within", terms.ship_within),
        ("settle_after", terms.settle_after),
    ];
    let zero = lengths.into_iter().filter(|(_, span)| *span == Some(Span::ZERO));
    zero.map(|(key, _)| {
        format!("KEY.{key}: must be longer than nothing; \"1ms\" is as good as at once")
    })
    .collect()
}

fn terms_without_effect(terms: &Terms) -> Vec<String> {
    let start = terms.starts_at.as_str();
    let mut problems = Vec::new();
    if terms.fallback_after.is_some() && terms.starts_at != StartsAt::Delivered {
        problems.push(format!(
            "KEY.fallback_after: needs KEY.starts_at = \"delivered\", but it is {start:?}"
        ));
    }
    if terms.ship_within.is_some() && terms.starts_at == StartsAt::Paid {
        problems.push(format!(
            "KEY.ship_within: needs KEY.starts_at = \"shipped\" or \
            \"delivered\", but it is {start:?}"
        ));
    }
    if terms.max_extensions == 0 && terms.extend_by != Terms::default().extend_by {
        problems.push("KEY.extend_by: has no effect while KEY.max_extensions is 0".to_owned());
    }
    problems
}

fn reminders(terms: &Terms) -> Vec<String> {
    let mut problems = Vec::new();
    if terms.remind_before.len() > MOST_REMINDERS {
        problems.push(format!(
            "KEY.remind_before: has {} values; at most {MOST_REMINDERS} are allowed",
            terms.remind_before.len()
        ));
    }
    let waits =
        [("receive_after", Some(terms.receive_after)), ("fallback_after", terms.fallback_after)];
    for before in &terms.remind_before {
        if *before == Span::ZERO {
            problems.push(
                "KEY.remind_before: 0s before the deadline is the deadline itself".to_owned(),
            );
        }
        for (key, wait) in waits
            .iter()
            .filter_map(|(key, wait)| wait.filter(|wait| before >= wait).map(|wait| (key, wait)))
        {
            problems.push(format!(
                "KEY.remind_before ({before}): must be shorter than KEY.{key} ({wait})"
            ));
        }
    }
    problems
}
