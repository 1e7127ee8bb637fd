//! How a shop that keeps its orders in Redis keys writes them, and how they are to be taken over.
//! The configuration reads this in every build; the intake, a feature, works with it.
//!
//! | module | does |
//! |---|---|
//! | [`shapes`] | how the keys are built |
//! | [`words`] | what stands in them |

use std::time::Duration;

use autoreceive_domain::Policy;

pub mod shapes;
pub mod words;

/// From which moment an adopted order's silence counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountFrom {
    /// From when it was first seen paid.
    Payment,
    /// To the end of its trigger, as the shop's own code counted.
    Trigger,
}

/// How orders are taken over.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long after the shop wrote it something is seen, where a scan takes no more than a
    /// quarter of that.
    pub scan_every: Duration,
    /// Whether the server's notifications are listened to.
    pub notifications: bool,
    /// Whether the server may be told to send them.
    pub set_notifications: bool,
    /// What the deadline counts from.
    pub count_from: CountFrom,
    /// The policy of adopted orders.
    pub policy: Policy,
}
