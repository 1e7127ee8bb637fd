//! Helpers for several tests.

mod daemon;
pub mod endpoint;
pub mod listener;
pub mod mariadb;
pub mod postgres;
pub mod process;
#[path = "../../crates/store-redis/tests/support/redis_server.rs"]
pub mod redis_server;
pub mod service;
pub mod smtp_server;
pub mod tls;
