//! Receives e-commerce orders on time: an order that is paid and silent for the agreed time becomes
//! RECEIVED exactly once, and the shop is notified.
//!
//! | module | does |
//! |---|---|
//! | [`autoreceive_domain`] (as [`domain`]) | holds every rule; pure functions |
//! | [`store`] | defines the store traits; the crates for SQLite and Redis implement them |
//! | [`engine`] | load → decide → commit; the sweeper; the relay |
//! | [`autoreceive_actions`] (as [`action`]) | runs actions for events; one module for each kind |
//! | `intake`, [`shop_keys`] | take over the orders of a shop that keeps them in Redis keys |
//! | [`autoreceive_wire`] (as [`wire`]) | the types of the API |
//! | [`http`], [`cli`] | the HTTP API and the command line |
//! | [`access`] | roles and tokens |
//! | [`config`], [`telemetry`] | configuration; metrics and log |
//! | [`app`] | starts everything; the only module that names concrete stores and actions |
//!
//! `store` imports the domain, `engine` the domain and the store, `action` the engine. `http` and
//! `cli` import the engine, never a concrete store. Only a store reads the time.
//!
//! Stores, actions, the intake, the page at `/docs` and the benchmarks are Cargo features, all on
//! by default.

// A build with fewer features leaves some shared code unused. The full build is checked.
#![cfg_attr(not(feature = "default"), allow(dead_code))]

#[cfg(not(any(feature = "sqlite", feature = "redis")))]
compile_error!(
    "autoreceive needs a store: build it with --features sqlite, --features redis, or both"
);

pub use autoreceive_actions as action;
pub use autoreceive_domain as domain;
pub use autoreceive_engine as engine;
pub use autoreceive_store as store;
#[cfg(feature = "redis")]
pub use autoreceive_store_redis as store_redis;
#[cfg(feature = "sqlite")]
pub use autoreceive_store_sqlite as store_sqlite;
pub use autoreceive_wire as wire;

pub mod access;
pub mod app;
#[cfg(feature = "bench")]
pub mod bench;
pub mod cli;
pub mod config;
pub mod http;
#[cfg(feature = "intake")]
pub mod intake;
pub mod shop_keys;
pub mod telemetry;
