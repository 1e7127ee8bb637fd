//! The intake against real servers: orders that a shop keeps in Redis keys, taken over while the
//! shop writes on.

mod adopting;
mod bench;
mod interleavings;
mod kit;
mod load;
mod taking_over;
