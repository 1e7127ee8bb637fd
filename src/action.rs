//! What is done about events, a module for each kind of action.

pub mod database;
pub mod email;
pub mod http;
pub mod log;
pub mod outgoing;
pub mod stream;
pub mod template;
mod tls;
pub mod webhook;

pub use autoreceive_engine::action::{Action, Endpoint, Outcome, Subscription};
