//! The engine of a worker: load → decide → commit, for callers and for the timer.
//!
//! | part | does |
//! |---|---|
//! | [`core`] | shared by all parts: decide, commit, hand over |
//! | [`command_batcher`] | gathers the commands of many callers into batches |
//! | [`sweeper`] | the timer: finds what is due and submits `Due` |
//! | [`guarded_receipts`] | adopted orders: asks the shop before it commits a receipt |
//! | [`relay`] | one for each action: hand-off or claim → attempt → settle |
//! | [`breaker`] | slows a relay down while its endpoint fails; stops it while it is disabled |
//! | [`retention`] | removes resting orders after their retention time |
//! | [`actions`] | changes of actions: enable, backfill, move, drop |
//! | [`dead_letters`] | events that failed for good: list, replay, discard |
//! | [`shard_assignment`] | which shards this worker processes first |
//! | [`due_index`], [`terms`], [`outbox`], [`failures`] | what the parts share |

pub mod action;
mod actions;
mod backfills;
mod breaker;
mod builder;
mod circuits;
mod command_batcher;
mod commit;
mod core;
mod dead_letters;
mod due_index;
mod failures;
mod guard;
mod guarded_receipts;
mod leases;
pub mod metrics;
mod outbox;
mod planned;
mod relay;
mod reply;
mod retention;
mod settings;
mod shard_assignment;
mod sweeper;
mod terms;
mod worker;

// The result types are part of the engine's API, so that its callers need no store.
pub use autoreceive_domain::ActionName;
pub use autoreceive_store::{ActionStats, History, Page, Row, Stats, StoreError, TestClock, View};

pub use action::{Action, Outcome, Subscription};
pub use actions::{Backfilled, Relocated};
pub use builder::EngineBuilder;
pub use command_batcher::PendingReply;
pub use dead_letters::{DeadLetter, DeadLetterSelection, Resolution, Resolved};
pub use guard::{Guard, ShopDecision};
pub use metrics::Metrics;
pub use reply::{Reply, ReplyOutcome, SubmitError};
pub use worker::Engine;
