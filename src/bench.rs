//! Measurements that anyone can make again: `autoreceive bench …`.
//!
//! | module | measures |
//! |---|---|
//! | [`herd`] | many orders due at one instant, received and attempted |
//! | [`steady`] | a steady stream of deadlines |
//! | [`idle`] | what it costs while nothing is due |
//! | [`waiting`] | the same work among ever more that waits |
//! | [`memory`] | what a waiting order takes |
//! | [`api`] | commands over HTTP, single and in bulk |
//! | [`hot`] | what one hot order costs the others of its shard |
//! | [`limit`] | the least conceivable work on the same Redis, as the line of 100 % |
//! | [`scan`] | what the intake's scan costs other clients |
//! | [`takeover`] | what goes wrong with the copied pattern, and with us |
//! | [`pattern`], [`shop`] | the algorithm with a key that expires, as shops copy it; a shop that writes its keys |
//! | [`sweep`] | the speed of that algorithm |
//! | [`bench_store`], [`worker`], [`nothing`] | the store, the workers and the action they are measured with |
//! | [`cpu`], [`ping`] | what was used, and what others felt of it |
//! | [`runs`], [`plot`] | many runs in one table; the figures as pictures |

use hdrhistogram::Histogram;
use serde_json::{Value, json};

pub mod api;
pub mod bench_store;
pub mod cpu;
pub mod herd;
pub mod hot;
pub mod idle;
pub mod limit;
pub mod memory;
pub mod nothing;
pub mod pattern;
pub mod ping;
pub mod plot;
pub mod runs;
pub mod scan;
pub mod shop;
pub mod steady;
pub mod sweep;
pub mod takeover;
pub mod waiting;
pub mod worker;

/// An empty histogram of microseconds, up to an hour, with three significant digits.
fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 3_600_000_000, 3)?)
}

/// Percentiles of microseconds, in milliseconds: of a hundred values one is above p99, of a
/// thousand one above p999.
fn percentiles_ms(micros: &Histogram<u64>) -> Value {
    let at = |q: f64| micros.value_at_quantile(q) as f64 / 1_000.0;
    json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": micros.max() as f64 / 1_000.0, "count": micros.len()})
}
