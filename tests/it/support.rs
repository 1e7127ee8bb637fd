//! What several tests share.

pub mod process;
pub mod receiver;
pub mod redis_server;
pub mod service;
pub mod tls;
