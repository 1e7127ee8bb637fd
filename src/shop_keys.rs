//! The Redis keys of a shop, and the settings of the intake. Every build has this module, because
//! the configuration needs it; the intake itself is a feature.
//!
//! | module | does |
//! |---|---|
//! | [`shapes`] | builds and parses keys |
//! | [`words`] | interprets the status in a key |

use std::time::Duration;

use autoreceive_domain::Policy;

pub mod shapes;
pub mod words;

/// How the deadline of an adopted order is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountFrom {
    /// The policy's length, from the moment at which the order was first seen as paid.
    Payment,
    /// The end of the order's trigger.
    Trigger,
}

/// The settings of the intake.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// The longest time until a change is seen, if a scan takes at most a quarter of it.
    pub scan_every: Duration,
    /// Whether to listen for keyspace notifications.
    pub notifications: bool,
    /// Whether to switch them on with CONFIG SET.
    pub set_notifications: bool,
    /// How deadlines are computed.
    pub count_from: CountFrom,
    /// The policy of adopted orders.
    pub policy: Policy,
}
