//! One way to connect to Redis.
//!
//! | module | holds |
//! |---|---|
//! | `address` | [`Address`]: host, port, user, password and database, parsed from text |
//! | `options` | [`Options`]: time-out, number of connections, trusted certificate authorities |
//! | `link` | [`Link`]: shared connections, opened lazily and reopened after a failure |
//! | `dedicated` | [`DedicatedConnection`]: one for a single caller, as needed for `WATCH` |
//! | `subscription` | [`PatternSubscription`]: published messages |
//! | `script` | [`Script`]: called by its hash, or by its source if the server does not have it |
//! | `failure` | [`Failure`]: whether the commands were carried out |
//! | `deadline` | [`Deadline`]: the time limit of a call, connecting included |
//! | `connect` | the only place that opens a connection |
//!
//! The `redis` crate has reconnecting clients as well. They hide whether a command was sent, and
//! some send a command again after an unknown outcome.
//!
//! Import the `redis` crate from here, so that all crates use the same version.

pub use redis;

pub use address::{Address, AddressError};
pub use deadline::Deadline;
pub use dedicated::DedicatedConnection;
pub use failure::{Failure, FailureCause, server_text};
pub use link::Link;
pub use options::{Options, OptionsError};
pub use script::Script;
pub use subscription::{Message, PatternSubscription};

mod address;
mod connect;
mod deadline;
mod dedicated;
mod failure;
mod link;
mod options;
mod script;
mod subscription;
