//! What was handled, and how late.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Milliseconds since 1970, by the clock that the servers on this machine have, too.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Lags in milliseconds.
pub struct Lags(Mutex<Histogram<u64>>);

impl Lags {
    pub fn new() -> anyhow::Result<Lags> {
        Ok(Lags(Mutex::new(Histogram::new_with_bounds(1, 3_600_000, 3)?)))
    }

    /// Handled now what was due then.
    pub fn note(&self, due_ms: impl IntoIterator<Item = u64>) {
        let now = now_ms();
        let mut lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        due_ms.into_iter().for_each(|due| lags.saturating_record(now.saturating_sub(due)));
    }

    pub fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn figures(&self) -> Value {
        let lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |q: f64| lags.value_at_quantile(q);
        json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": lags.max(), "count": lags.len()})
    }
}

/// Sleeps until `due_ms`, which must not have passed: then some were due before all were there.
pub async fn wait_until(due_ms: u64) -> anyhow::Result<()> {
    let wait = due_ms.saturating_sub(now_ms());
    anyhow::ensure!(wait > 0, "the orders were taken too slowly");
    tokio::time::sleep(Duration::from_millis(wait)).await;
    Ok(())
}

/// Processor seconds of a process, and, where asked for, of its children.
pub fn cpu_seconds(pid: u32, children: bool) -> f64 {
    let of = |stat: &str| -> Option<(u32, f64)> {
        // After the name in brackets: the state, the parent; then fields 14 and 15 are ticks of a
        // hundredth of a second (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
        Some((fields.get(1)?.parse().ok()?, (ticks(11)? + ticks(12)?) / 100.0))
    };
    let stat =
        |pid: &str| of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default());
    let own = stat(&pid.to_string()).map_or(0.0, |(_, seconds)| seconds);
    if !children {
        return own;
    }
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_children = processes
        .filter_map(|entry| stat(entry.file_name().to_str()?))
        .filter(|(parent, _)| *parent == pid);
    own + of_children.map(|(_, seconds)| seconds).sum::<f64>()
}
