//! What is done about events, a module for each kind of action, and each a Cargo feature.
//!
//! | module | does |
//! |---|---|
//! | `log` | writes a line |
//! | `webhook` | posts a signed message |
//! | `http` | makes a request of templates |
//! | `email` | sends a message over SMTP |
//! | `stream` | adds an entry to a Redis Stream |
//! | `database` | keeps tables in PostgreSQL, MySQL or MariaDB up to date |
//! | `outgoing`, `template`, `pace`, `tls` | what several of them share |

// With fewer features some of what several parts share has no user. The full build is checked.
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

/// How many events of one attempt an action that speaks HTTP sends at the same time, where the
/// endpoint's limit does not say less.
pub const IN_FLIGHT: usize = 16;
