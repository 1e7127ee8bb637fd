//! Authorization: tokens, their roles, and a limit on guesses.
//!
//! The token is checked before any other part of a request, so that a client without one learns
//! nothing about any order.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use tokio::time::Instant;

use super::guard::asks_this_machine;
use super::problem::Problem;
use crate::access::{Role, Tokens};

/// Requests without a valid token that one address may send per window; further ones get a 429.
/// Valid tokens are still accepted: behind a proxy all clients share one address, and a stranger
/// must not lock out the shop.
const FAILURES: u32 = 20;
/// Length of a window.
pub const WINDOW_SECONDS: u64 = 10;
/// Addresses with a counter of their own; all others share one.
const ADDRESSES: usize = 4_096;

/// The client's address of a request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Checks tokens. Clones share their state.
#[derive(Clone)]
pub struct Gate {
    tokens: Arc<Tokens>,
    failures: Arc<Mutex<TokenFailures>>,
}

impl Gate {
    /// Accepts `tokens`. Without any, accepts all requests whose host is this machine.
    pub fn new(tokens: Tokens) -> Gate {
        Gate { tokens: Arc::new(tokens), failures: Arc::default() }
    }

    /// The reason to refuse a request; `None` if it has the role `needed`.
    pub fn refusal(&self, request: &Request, needed: Role) -> Option<Problem> {
        if self.tokens.is_empty() {
            return (!asks_this_machine(request)).then(Problem::foreign_host);
        }
        match bearer(request.headers()).and_then(|token| self.tokens.role_of(token)) {
            Some(role) if role >= needed => None,
            Some(role) => Some(Problem::role_too_small(needed, role)),
            None => Some(self.no_valid_token(request)),
        }
    }

    fn no_valid_token(&self, request: &Request) -> Problem {
        let peer = request
            .extensions()
            .get::<Peer>()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| network(peer.0));
        let failures =
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).note(peer, Instant::now());
        if failures == FAILURES {
            tracing::warn!(%peer, "too many requests without a valid token; this address gets 429 \
                for a few seconds");
        }
        if failures > FAILURES { Problem::too_many_failures() } else { Problem::unauthorized() }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// One machine can use every address of its IPv6 /64 network, so the network is counted.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// TokenFailures in the current window.
#[derive(Default)]
struct TokenFailures {
    since: Option<Instant>,
    by_address: HashMap<IpAddr, u32>,
}

impl TokenFailures {
    /// Counts a failure and returns the count of its address. Addresses beyond the first
    /// [`ADDRESSES`] share one counter.
    fn note(&mut self, address: IpAddr, now: Instant) -> u32 {
        let over = self
            .since
            .is_none_or(|since| now.duration_since(since) >= Duration::from_secs(WINDOW_SECONDS));
        if over {
            self.since = Some(now);
            self.by_address.clear();
        }
        let alone = self.by_address.len() < ADDRESSES || self.by_address.contains_key(&address);
        let count = self
            .by_address
            .entry(if alone { address } else { Ipv6Addr::UNSPECIFIED.into() })
            .or_default();
        *count = count.saturating_add(1);
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_per_address_and_reset_with_each_window() {
        let mut failures = TokenFailures::default();
        let start = Instant::now();
        let [a, b] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)].map(IpAddr::from);
        let at = |seconds| start + Duration::from_secs(seconds);
        let counts = [
            failures.note(a, at(0)),
            failures.note(a, at(9)),
            failures.note(b, at(9)),
            failures.note(a, at(10)),
        ];
        assert_eq!(counts, [1, 2, 1, 1]);
    }

    #[test]
    fn failures_of_many_addresses_use_bounded_memory() {
        let mut failures = TokenFailures::default();
        let now = Instant::now();
        for i in 0..2 * ADDRESSES as u32 {
            failures.note(Ipv4Addr::from_bits(i).into(), now);
        }
        assert_eq!(failures.by_address.len(), ADDRESSES + 1);
        assert_eq!(failures.note(Ipv4Addr::from_bits(7).into(), now), 2);
        assert_eq!(failures.note(Ipv4Addr::from_bits(9_999_999).into(), now), ADDRESSES as u32 + 1);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_a_mapped_ipv4_address_as_itself() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(
            (network("2001:db8::1:2:3:4"), network("::ffff:10.0.0.1")),
            ("2001:db8::".to_owned(), "10.0.0.1".to_owned())
        );
    }
}
