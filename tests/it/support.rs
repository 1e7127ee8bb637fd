//! What several tests share.

pub mod listener;
pub mod process;
pub mod receiver;
pub mod redis_server;
pub mod service;
pub mod smtp_server;
pub mod tls;
