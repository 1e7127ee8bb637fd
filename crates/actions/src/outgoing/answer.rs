//! Maps an endpoint's answer, or its absence, to an outcome.

use std::error::Error;
use std::io;
use std::time::Duration;

use autoreceive_domain::Span;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::{Outcome, tls};

/// The longest `Retry-After` that is kept.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);
/// The most characters of an unknown error's text that are kept.
const WHY_CHARS: usize = 160;

/// The outcome of a status: 2xx is done, 410 is final, everything else is retried.
pub fn outcome(status: StatusCode, headers: &HeaderMap) -> Outcome {
    let why = format!("status {}", status.as_u16());
    match status {
        status if status.is_success() => Outcome::Done,
        StatusCode::GONE => Outcome::Dead { why: format!("{why}: the endpoint is gone") },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Outcome::Retry { why, after: retry_after(headers) }
        }
        status if status.is_redirection() => {
            Outcome::retry(format!("{why}: a redirect, which is not followed"))
        }
        _ => Outcome::retry(why),
    }
}

/// Seconds, or a date. A date is compared with the answer's own `Date`, so that a wrong clock on
/// either side does no harm.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            Duration::try_from(date(headers, RETRY_AFTER)?.duration_since(date(headers, DATE)?))
                .ok()?
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(name)?.to_str().ok()?.trim()).ok()
}

/// Why there was no answer. The URL is left out: it may hold a key.
pub fn failure(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        let timeout = Span::from_ms(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
        return if error.is_connect() {
            "connecting timed out".to_owned()
        } else {
            format!("timed out after {timeout}")
        };
    }
    if let Some(reason) = tls::reason(error) {
        return reason;
    }
    let mut deepest: &(dyn Error + 'static) = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match deepest.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            "connection reset".to_owned()
        }
        _ if deepest.source().is_none() && deepest.is::<reqwest::Error>() => {
            "the request failed".to_owned()
        }
        _ => deepest.to_string().chars().take(WHY_CHARS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pairs: &[(HeaderName, &str)]) -> Option<Duration> {
        let headers =
            pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        match outcome(StatusCode::SERVICE_UNAVAILABLE, &headers) {
            Outcome::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_endpoints_clock() {
        let date = (DATE, "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(wait(&[(RETRY_AFTER, "120")]), Some(Duration::from_secs(120)));
        assert_eq!(
            wait(&[date.clone(), (RETRY_AFTER, "Wed, 21 Oct 2015 07:30:30 GMT")]),
            Some(Duration::from_secs(150))
        );
        assert_eq!(wait(&[date.clone(), (RETRY_AFTER, "Wed, 21 Oct 2015 07:00:00 GMT")]), None);
        assert_eq!(wait(&[(RETRY_AFTER, "Wed, 21 Oct 2015 07:30:30 GMT")]), None);
    }

    #[test]
    fn an_invalid_retry_after_is_ignored_and_a_long_one_is_cut_to_a_day() {
        assert_eq!(wait(&[(RETRY_AFTER, "18446744073709551615")]), Some(LONGEST_WAIT));
        for nonsense in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(wait(&[(RETRY_AFTER, nonsense)]), None, "{nonsense:?}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn only_a_2xx_is_done_and_only_410_is_final() {
        for code in 200..600 {
            let Ok(status) = StatusCode::from_u16(code) else { continue };
            match outcome(status, &HeaderMap::new()) {
                Outcome::Done => assert!((200..300).contains(&code)),
                Outcome::Dead { .. } => assert_eq!(code, 410),
                Outcome::Retry { why, .. } => {
                    assert!(why.starts_with(&format!("status {code}")), "{why}")
                }
            }
        }
    }
}
