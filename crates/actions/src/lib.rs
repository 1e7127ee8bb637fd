//! The kinds of actions: one module and one Cargo feature for each.
//!
//! | module | does |
//! |---|---|
//! | `log` | writes a log line |
//! | `webhook` | posts a signed message |
//! | `http` | sends a request built from templates |
//! | `email` | sends an email over SMTP |
//! | `stream` | adds an entry to a Redis Stream |
//! | `database` | keeps tables in PostgreSQL, MySQL or MariaDB up to date |
//! | `outgoing`, `template`, `pace`, `tls` | parts that several actions share |

// A build with fewer features leaves some shared code unused. The full build is checked.
#![cfg_attr(not(feature = "default"), allow(dead_code))]

#[cfg(feature = "database")]
pub mod database;
#[cfg(feature = "email")]
pub mod email;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "outgoing")]
pub mod outgoing;
#[cfg(any(feature = "outgoing", feature = "email"))]
mod pace;
#[cfg(feature = "stream")]
pub mod stream;
#[cfg(feature = "template")]
pub mod template;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use autoreceive_engine::action::{Action, Endpoint, Outcome, Subscription};

/// The most events of one attempt that an HTTP action sends at the same time. The endpoint's
/// `concurrency` can lower it.
pub const IN_FLIGHT: usize = 16;
