//! Tests of connections with a real redis-server.

mod failing;
mod secured;
mod server;
mod working;
