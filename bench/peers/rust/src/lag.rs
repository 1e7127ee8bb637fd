//! The lag of handled orders.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Milliseconds since 1970. The servers on this machine have the same clock.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Lags in milliseconds.
pub struct Lags(Mutex<Histogram<u64>>);

impl Lags {
    pub fn new() -> anyhow::Result<Lags> {
        Ok(Lags(Mutex::new(Histogram::new_with_bounds(1, 3_600_000, 3)?)))
    }

    /// Records orders that were handled now and due at `due_ms`.
    pub fn note(&self, due_ms: impl IntoIterator<Item = u64>) {
        let now = now_ms();
        let mut lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for due in due_ms {
            lags.saturating_record(now.saturating_sub(due));
        }
    }

    pub fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn figures(&self) -> Value {
        let lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |q: f64| lags.value_at_quantile(q);
        json!({
            "p50": at(0.5),
            "p90": at(0.9),
            "p99": at(0.99),
            "p999": at(0.999),
            "max": lags.max(),
            "count": lags.len(),
        })
    }
}

/// Sleeps until `due_ms`. Fails if it has passed: some orders were due before all were stored.
pub async fn wait_until(due_ms: u64) -> anyhow::Result<()> {
    let wait = due_ms.saturating_sub(now_ms());
    anyhow::ensure!(wait > 0, "storing the orders took too long: some were due before the start");
    tokio::time::sleep(Duration::from_millis(wait)).await;
    Ok(())
}

/// Processor seconds of a process and, optionally, of its children.
pub fn cpu_seconds(pid: u32, children: bool) -> f64 {
    let of = |stat: &str| -> Option<(u32, f64)> {
        // After the name in brackets: the state and the parent. Fields 14 and 15 are ticks of
        // 1/100 s (proc(5)).
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
