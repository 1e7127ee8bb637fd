//! The engine of a worker: load → decide → commit, for whoever asks, and for the timer.
//!
//! | part | does |
//! |---|---|
//! | [`core`] | what all share: decide, commit, hand over |
//! | [`command_batcher`] | commands of many callers, gathered into batches |
//! | [`sweeper`] | the timer: finds what is due and submits `Due` |
//! | [`guarded_receipts`] | adopted orders: asks for the shop's word before it commits a receipt |
//! | [`relay`] | one for each action: hand-off or claim → attempt → settle |
//! | [`breaker`] | slows a relay down while its receiver only fails, and stops it while it is disabled |
//! | [`retention`] | removes orders that rested long enough |
//! | [`actions`] | actions over time: enabled, backfilled, moved, dropped |
//! | [`dead_letters`] | what failed for good: found, replayed, discarded |
//! | [`shard_assignment`], [`due_index`], [`terms`], [`outbox`], [`metered`], [`failures`] | who looks after what, when, under which terms |

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

// What the engine answers with is part of its API: who calls it needs no store.
pub use autoreceive_domain::ActionName;
pub use autoreceive_store::{ActionStats, History, Page, Row, Stats, StoreError, TestClock, View};

pub use action::{Action, Outcome, Subscription};
pub use actions::{Backfilled, Relocated};
pub use builder::EngineBuilder;
pub use command_batcher::Pending;
pub use dead_letters::{DeadLetter, LetterFilter, Resolution, Resolved};
pub use guard::{Guard, ShopDecision};
pub use metrics::Metrics;
pub use reply::{Reply, ReplyOutcome, SubmitError};
pub use worker::Engine;
