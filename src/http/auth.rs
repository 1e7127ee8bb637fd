//! Who is let in: tokens, what their roles permit, and a bound on guessing.
//!
//! A token is looked at before anything else of a request, so that whoever has none learns nothing
//! about any order.

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

/// How many requests of one address may come without a valid token in each window; those that
/// follow are told to wait. A valid token is accepted all the same: behind a proxy everybody has
/// one address, and a stranger must not lock out the shop.
const FAILURES: u32 = 20;
/// How long failures are counted together, in seconds.
pub const WINDOW_SECONDS: u64 = 10;
/// The most addresses that are counted one by one.
const ADDRESSES: usize = 4_096;

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Lets requests in. Cloning it is cheap; all clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    tokens: Arc<Tokens>,
    failures: Arc<Mutex<Failures>>,
}

impl Gate {
    /// A gate that accepts `tokens`; where there are none, everybody who asks this machine for
    /// itself.
    pub fn new(tokens: Tokens) -> Gate {
        Gate { tokens: Arc::new(tokens), failures: Arc::default() }
    }

    /// Why a request is not let in; `None` where its token has the role `needed`, or none is
    /// needed.
    pub fn refusal(&self, request: &Request, needed: Role) -> Option<Problem> {
        if self.tokens.is_empty() {
            return (!asks_this_machine(request)).then(Problem::foreign_host);
        }
        match bearer(request.headers()).and_then(|token| self.tokens.role_of(token)) {
            Some(role) if role >= needed => None,
            Some(role) => Some(Problem::role_too_small(needed, role)),
            None => Some(self.stranger(request)),
        }
    }

    fn stranger(&self, request: &Request) -> Problem {
        let peer = request
            .extensions()
            .get::<Peer>()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| network(peer.0));
        let failures =
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).note(peer, Instant::now());
        if failures == FAILURES {
            tracing::warn!(%peer, "many requests come without a valid token; more of them are \
                refused for a few seconds");
        }
        if failures > FAILURES { Problem::too_many_failures() } else { Problem::unauthorized() }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// One machine can use all addresses of an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Failures of the window at hand.
#[derive(Default)]
struct Failures {
    since: Option<Instant>,
    by_address: HashMap<IpAddr, u32>,
}

impl Failures {
    /// Counts a failure of `address` and returns how many it has. Those that find no room are
    /// counted together.
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
    fn failures_are_counted_for_each_address_and_forgotten_with_their_window() {
        let (mut failures, start) = (Failures::default(), Instant::now());
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
    fn strangers_from_everywhere_are_counted_in_bounded_memory() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for i in 0..2 * ADDRESSES as u32 {
            failures.note(Ipv4Addr::from_bits(i).into(), now);
        }
        assert_eq!(failures.by_address.len(), ADDRESSES + 1);
        assert_eq!(failures.note(Ipv4Addr::from_bits(7).into(), now), 2);
        assert_eq!(failures.note(Ipv4Addr::from_bits(9_999_999).into(), now), ADDRESSES as u32 + 1);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_a_mapped_one_as_its_own() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(
            (network("2001:db8::1:2:3:4"), network("::ffff:10.0.0.1")),
            ("2001:db8::".to_owned(), "10.0.0.1".to_owned())
        );
    }
}
