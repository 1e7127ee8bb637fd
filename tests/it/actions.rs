//! The actions, against real endpoints and servers.

use std::sync::Arc;

use autoreceive::action::Outcome;
use autoreceive::domain::{Event, OrderId, record};

mod contract;
mod email;
mod http;
mod log;
mod misbehaving;
mod stream;
mod throughput;
mod tls;
mod together;
mod webhook;

/// The receipt of an order.
fn event(id: &str, version: u64) -> Event {
    let id: OrderId = id.parse().unwrap();
    Event(Arc::new(record::decode(&id, &format!("{version}|R|tm4q0000|r.k3x9q1|q1")).unwrap()))
}

/// Why it is attempted again.
fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Retry { why, .. } => why,
        other => panic!("{other:?} is no retry"),
    }
}
