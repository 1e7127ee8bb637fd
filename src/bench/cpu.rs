//! Processor time, in seconds.

use anyhow::Context;

/// What this process has used so far, from `/proc`; nothing where there is none.
#[must_use]
pub fn own_seconds() -> f64 {
    // Fields 14 and 15 after the name in brackets: user and system time in ticks of a hundredth of a second (proc(5)).
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// What a Redis server has used so far.
///
/// # Errors
/// Where it does not answer.
pub async fn redis_seconds(url: &str) -> anyhow::Result<f64> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await.context("asking Redis for its CPU time")?;
    let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut connection).await?;
    let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap_or(0.0);
    Ok(value("used_cpu_sys:") + value("used_cpu_user:"))
}
