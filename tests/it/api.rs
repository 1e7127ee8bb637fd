//! The HTTP API on a real socket, with an engine on SQLite in memory behind it.

mod access;
mod bad_input;
mod bulk;
mod client;
mod connections;
mod document;
mod orders;
mod tls;
