//! Processor time, in seconds.

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

use super::bench_store::connect;

/// Processor seconds of all threads of this process.
#[must_use]
pub fn own_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Processor seconds of a Redis server.
///
/// # Errors
/// If it does not answer.
pub async fn redis_seconds(url: &str) -> anyhow::Result<f64> {
    let mut connection = connect(url).await.context("reading the CPU time of Redis")?;
    let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut connection).await?;
    let value = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok(value("used_cpu_sys:") + value("used_cpu_user:"))
}
