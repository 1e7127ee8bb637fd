//! Measurements that anyone can make again: `autoreceive bench …`.
//!
//! | module | measures |
//! |---|---|
//! | [`herd`] | many orders due at one instant, received and attempted |
//! | [`ground`] | a store of its own to measure on, filled with paid orders |
//! | [`cpu`] | processor time of this process and of Redis |

pub mod cpu;
pub mod ground;
pub mod herd;
