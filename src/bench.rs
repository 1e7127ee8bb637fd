//! Measurements that anyone can make again: `autoreceive bench …`.
//!
//! | module | measures |
//! |---|---|
//! | [`herd`] | many orders due at one instant, received and attempted |
//! | [`steady`] | a steady stream of deadlines |
//! | [`waiting`] | the same work among ever more that waits |
//! | [`memory`] | what a waiting order takes |
//! | [`api`] | commands over HTTP, single and in bulk |
//! | [`scan`] | what the intake's scan costs other clients |
//! | [`takeover`] | what goes wrong with the copied pattern, and with us |
//! | [`pattern`], [`shop`] | the algorithm with a key that expires, as shops copy it; a shop that writes its keys |
//! | [`ground`], [`worker`], [`nothing`], [`cpu`] | the store, the workers and the action they are measured with, and what was used |

pub mod api;
pub mod cpu;
pub mod ground;
pub mod herd;
pub mod memory;
pub mod nothing;
pub mod pattern;
pub mod scan;
pub mod shop;
pub mod steady;
pub mod takeover;
pub mod waiting;
pub mod worker;

/// An empty histogram of values up to an hour in microseconds, or 41 days in milliseconds, with three significant digits.
fn histogram() -> anyhow::Result<hdrhistogram::Histogram<u64>> {
    Ok(hdrhistogram::Histogram::new_with_bounds(1, 3_600_000_000, 3)?)
}
