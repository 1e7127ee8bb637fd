//! Closes e-commerce orders on time: placed, paid, silent for the agreed time, RECEIVED once, and
//! the shop told.
//!
//! | module | does |
//! |---|---|
//! | [`autoreceive_domain`] (as [`domain`]) | decides: every rule, pure |
//! | [`store`] | keeps: the seam, and behind it Redis and SQLite |
//! | [`autoreceive_actions`] (as [`action`]) | acts on events, a module for each kind of action |
//! | [`access`] | who may do what: roles and tokens |
//! | [`engine`] | moves: load → decide → commit; the sweeper; the relay |
//! | `intake` | takes over the orders of a shop that keeps them in Redis keys, which [`shop_keys`] describes |
//! | [`autoreceive_wire`] (as [`wire`]) | the words and JSON that people and programs meet |
//! | [`http`], [`cli`] | two doors to the engine |
//! | [`config`], [`telemetry`] | what is configured, what is measured |
//! | [`app`] | puts all of it together; the only one that names concrete stores and actions |
//!
//! `store` knows the domain, `engine` the domain and the store, `action` the engine. `http` and
//! `cli` know the engine, never a concrete store. Only a store reads the time.
//!
//! Stores, actions, the intake, the page at `/docs` and the measurements are Cargo features, all on
//! by default.

// With fewer features some of what several parts share has no user. The full build is checked.
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
