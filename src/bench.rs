//! Reproducible benchmarks: `autoreceive bench …`.
//!
//! | module | measures |
//! |---|---|
//! | [`herd`] | many orders due at one instant, received and attempted |
//! | [`steady`] | a steady stream of deadlines |
//! | [`idle`] | the cost while nothing is due |
//! | [`waiting`] | the same work with more and more waiting orders |
//! | [`memory`] | the size of a waiting order |
//! | [`api`] | commands over HTTP, single and in bulk |
//! | [`hot`] | the effect of one hot order on the others of its shard |
//! | [`limit`] | the minimum possible work on the same Redis, as 100 % |
//! | [`scan`] | the effect of the intake's scan on other clients |
//! | [`takeover`] | the errors of the copied pattern and of this program |
//! | [`pattern`], [`shop`] | the copied pattern with an expiring key; a shop that writes its keys |
//! | [`sweep`] | the speed of that pattern |
//! | [`bench_store`], [`worker`], [`noop`] | store, workers and action for benchmarks |
//! | [`cpu`], [`ping`] | processor time; latency for other clients |
//! | [`runs`], [`plot`] | several runs in one table; charts |

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
pub mod noop;
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

/// Percentiles of microseconds, in milliseconds. p999: one of a thousand values is above it.
fn percentiles_ms(micros: &Histogram<u64>) -> Value {
    let at = |q: f64| micros.value_at_quantile(q) as f64 / 1_000.0;
    json!({
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "p999": at(0.999),
        "max": micros.max() as f64 / 1_000.0,
        "count": micros.len(),
    })
}
