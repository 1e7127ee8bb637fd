//! Every rule of an order's life, as pure functions over plain data. Nothing here reads a clock, a
//! file or a socket: the time is passed in, the outcome is returned, and a store elsewhere makes it
//! durable.
//!
//! | module | holds |
//! |---|---|
//! | [`time`] | instants and lengths, in milliseconds |
//! | [`action_name`] | the name of an action and its outbox |
//! | [`shard`] | the parts that orders are spread over |
//! | [`words`] | order ids and other parsed texts |
//! | [`policy`] | the terms that an order is placed under |
//! | [`clock`] | the one clock an order carries |
//! | [`order`] | the order itself: its status, times and holds |
//! | [`command`] | what can be asked of an order, the timer's `Due` among it |
//! | [`decide`] | order + command + now + terms → change, unchanged or rejection |
//! | [`event`] | what one change tells the world |
//! | [`record`] | the order as short text, and back |
//! | [`backoff`] | when a failed attempt is made again |
//! | [`circuit`] | how a receiver is doing, and when it is disabled |
//!
//! ```text
//!  place ─► PENDING_PAYMENT ── pay ──► PAID ── ship ──► SHIPPED ── deliver ──► DELIVERED
//!                │   │                  │ │ └───── deliver ───────────────────►│
//!                │   └ due: payment     │ └ due: ship_within ─► CANCELLED      │
//!             cancel   timeout        cancel                                   │
//!                ▼                      ▼        receive, or due on a receive clock, from any of the three
//!            CANCELLED ◄────────────────┘                     │
//!                                                             ▼
//!            REFUNDED ◄── refund, from PAID onwards ───── RECEIVED ── due: settle_after ──► COMPLETED
//! ```

pub mod action_name;
pub mod backoff;
pub mod circuit;
pub mod clock;
pub mod command;
pub mod decide;
pub mod event;
pub mod order;
pub mod policy;
pub mod record;
pub mod shard;
pub mod time;
pub mod words;

pub use action_name::ActionName;
pub use circuit::Circuit;
pub use clock::{Clock, ClockKind};
pub use command::{Command, Observation, Place};
pub use decide::{Decision, Rejection, decide};
pub use event::{Cause, Event, EventKind};
pub use order::{Hold, Order, Status, Times};
pub use policy::{Policies, Policy, PolicyName, Revision, StartsAt, Terms, UnknownPolicy};
pub use shard::{Shard, ShardCount};
pub use time::{Span, Time};
pub use words::{OrderId, Text};
