//! Every rule of an order's life, as pure functions over plain data. Nothing here reads a clock, a
//! file or a socket. The caller passes the time in, gets the outcome back, and stores it.
//!
//! | module | holds |
//! |---|---|
//! | [`time`] | instants and lengths, in milliseconds |
//! | [`action_name`] | the name of an action and its outbox |
//! | [`shard`] | the parts of a store; each order lies in one |
//! | [`words`] | order ids and other validated texts |
//! | [`policy`] | the terms of an order: its deadlines and limits |
//! | [`clock`] | the clock of an order |
//! | [`order`] | the order: its status, times and holds |
//! | [`command`] | the commands, including the timer's `Due` |
//! | [`decide`] | order + command + now + terms → change, unchanged or rejection |
//! | [`event`] | the event of each change |
//! | [`record`] | the order as short text, and back |
//! | [`backoff`] | when a failed attempt is made again |
//! | [`circuit`] | whether an endpoint fails, and when it is disabled |
//!
//! ```text
//!  place ─► PENDING_PAYMENT ── pay ──► PAID ── ship ──► SHIPPED ── deliver ──► DELIVERED
//!                │   │                  │ │ └───── deliver ───────────────────►│
//!                │   └ due: payment     │ └ due: ship_within ─► CANCELLED      │
//!             cancel   timeout        cancel                                   │
//!                ▼                      ▼        from PAID, SHIPPED or DELIVERED:
//!            CANCELLED ◄────────────────┘        receive, or due on a receive clock
//!                                                        │
//!                                                        ▼
//!            REFUNDED ◄── refund, from PAID on ───── RECEIVED ── due: settle_after ──► COMPLETED
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
