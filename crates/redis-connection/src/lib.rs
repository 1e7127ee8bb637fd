//! One way to connect to Redis.
//!
//! | module | holds |
//! |---|---|
//! | `address` | [`Address`]: where the server is, parsed from text |
//! | `options` | [`Options`]: time-out, number of connections, trusted certificate authorities |
//! | `link` | [`Link`]: shared connections, opened lazily and reopened after a failure |
//! | `dedicated` | [`DedicatedConnection`]: one for a single caller, as `WATCH` needs it |
//! | `subscription` | [`Subscription`]: published messages |
//! | `script` | [`Script`]: called by its hash, and by its source if the server lacks it |
//! | `failure` | [`Failure`]: whether the commands were carried out |
//! | `deadline` | [`Deadline`]: the end of a call, connecting included |
//! | `connect` | the only place that opens a connection |
//!
//! Why not the `redis` crate's own reconnecting clients: they hide whether a command was sent, and
//! some send a command again whose outcome is unknown.
//!
//! Users take the `redis` crate from here, so that all of them name one version.

pub use redis;

pub use address::{Address, AddressError};
pub use deadline::Deadline;
pub use dedicated::DedicatedConnection;
pub use failure::{Cause, Failure, server_text};
pub use link::Link;
pub use options::{Options, OptionsError};
pub use script::Script;
pub use subscription::{Message, Subscription};

mod address;
mod connect;
mod deadline;
mod dedicated;
mod failure;
mod link;
mod options;
mod script;
mod subscription;
