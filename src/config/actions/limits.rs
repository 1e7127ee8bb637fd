//! The keys of every type that uses the network.

use std::path::PathBuf;

use autoreceive_domain::Span;
use reqwest::Certificate;

use super::ActionScope;
use crate::config::ConfigProblem;

/// The default timeout.
const TIMEOUT: Span = Span::TEN_SECONDS;
/// Longest wait of an attempt for its turn, far below the engine's limit of 10 minutes.
const LONGEST_QUEUE_SECONDS: usize = 300;

/// Checks the timeout. It is shorter than the lease, so that no other worker starts the same
/// attempt while this one waits.
pub fn timeout(timeout: Option<Span>, scope: &ActionScope) -> Result<Span, ConfigProblem> {
    let timeout = timeout.unwrap_or(TIMEOUT);
    let lease = scope.common.lease;
    if timeout == Span::ZERO {
        return Err(scope.problem("timeout", "must be greater than 0"));
    }
    if lease <= timeout {
        return Err(scope.problem(
            &format!("lease ({lease})"),
            format_args!("must be longer than {} ({timeout})", scope.key("timeout")),
        ));
    }
    Ok(timeout)
}

/// Checks the rate. It must be high enough for the engine's limit of an attempt.
pub fn rate(rate: Option<u32>, scope: &ActionScope) -> Result<(), ConfigProblem> {
    let Some(rate) = rate else { return Ok(()) };
    if !(1..=10_000).contains(&rate) {
        let message = format!("is {rate}; expected 1 to 10000 attempts per second");
        return Err(scope.problem("rate", message));
    }
    let at_once = scope.batch.saturating_mul(scope.attempts());
    if at_once / rate as usize > LONGEST_QUEUE_SECONDS {
        let batch = scope.key("batch");
        let concurrency = scope.key("concurrency");
        return Err(scope.problem(
            &format!("rate ({rate})"),
            format_args!(
                "with this rate, {batch} times {concurrency} events would wait more than \
                 {LONGEST_QUEUE_SECONDS} s; raise the rate, or lower one of them"
            ),
        ));
    }
    Ok(())
}

/// Reads the certificates of a file.
pub fn authorities(path: &PathBuf, scope: &ActionScope) -> Result<Vec<u8>, ConfigProblem> {
    let pem = std::fs::read(path).map_err(|error| {
        scope.problem("ca_file", format_args!("{} cannot be read: {error}", path.display()))
    })?;
    let has_certificates =
        Certificate::from_pem_bundle(&pem).is_ok_and(|certificates| !certificates.is_empty());
    if has_certificates {
        Ok(pem)
    } else {
        let message = format!("{} has no certificate; expected PEM", path.display());
        Err(scope.problem("ca_file", message))
    }
}
