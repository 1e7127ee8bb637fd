//! The keys of every type that reaches out.

use std::path::PathBuf;

use autoreceive_domain::Span;
use reqwest::Certificate;

use super::Scope;

/// How long a receiver may take where nothing else is configured.
const TIMEOUT: Span = Span::TEN_SECONDS;
/// The longest an attempt may wait for its turns; far below the 10 minutes after which the engine
/// gives it up.
const LONGEST_QUEUE_SECONDS: usize = 300;

/// How long a receiver may take: less than the lease, so that no other worker starts the same while
/// this one waits.
pub fn timeout(timeout: Option<Span>, scope: &Scope) -> Result<Span, String> {
    let (timeout, lease) = (timeout.unwrap_or(TIMEOUT), scope.common.lease);
    if timeout == Span::ZERO {
        return Err(format!("{}: must be longer than nothing", scope.key("timeout")));
    }
    if lease <= timeout {
        return Err(format!(
            "{} ({lease}): must be longer than {} ({timeout})",
            scope.key("lease"),
            scope.key("timeout")
        ));
    }
    Ok(timeout)
}

/// The most attempts in a second: as many as keep the engine's own bound on an attempt.
pub fn rate(rate: Option<u32>, scope: &Scope) -> Result<(), String> {
    let Some(rate) = rate else { return Ok(()) };
    let key = scope.key("rate");
    if !(1..=10_000).contains(&rate) {
        return Err(format!("{key}: is {rate}; expected 1 to 10000 attempts per second"));
    }
    let at_once = scope.batch.saturating_mul(scope.attempts());
    if at_once / rate as usize > LONGEST_QUEUE_SECONDS {
        let (batch, concurrency) = (scope.key("batch"), scope.key("concurrency"));
        return Err(format!(
            "{key} ({rate}): {batch} times {concurrency} would wait for more than \
                {LONGEST_QUEUE_SECONDS} s; lower one of them"
        ));
    }
    Ok(())
}

/// Reads the certificates of a file.
pub fn authorities(path: &PathBuf, scope: &Scope) -> Result<Vec<u8>, String> {
    let key = scope.key("ca_file");
    let pem = std::fs::read(path)
        .map_err(|error| format!("{key}: {} cannot be read: {error}", path.display()))?;
    let some =
        Certificate::from_pem_bundle(&pem).is_ok_and(|certificates| !certificates.is_empty());
    if some {
        Ok(pem)
    } else {
        Err(format!("{key}: {} holds no certificate in PEM form", path.display()))
    }
}
