//! Connections, against a real redis-server.

mod failing;
mod secured;
mod server;
mod working;
