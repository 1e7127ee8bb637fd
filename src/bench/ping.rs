//! Another client of the same Redis that only sends PING: the latency for other clients.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::bench_store::connect;
use super::{histogram, percentiles_ms};

/// Sends PING every two milliseconds until it is stopped.
pub struct Pings {
    stop: CancellationToken,
    task: Option<JoinHandle<anyhow::Result<Histogram<u64>>>>,
}

impl Pings {
    /// Starts. Without a URL it does nothing.
    #[must_use]
    pub fn start(url: Option<String>) -> Pings {
        let stop = CancellationToken::new();
        let task = url.map(|url| tokio::spawn(ping(url, stop.clone())));
        Pings { stop, task }
    }

    /// Stops, and returns the latencies; `None` without a server.
    ///
    /// # Errors
    /// If the server did not answer.
    pub async fn stop(self) -> anyhow::Result<Option<Value>> {
        self.stop.cancel();
        let Some(task) = self.task else { return Ok(None) };
        Ok(Some(percentiles_ms(&task.await??)))
    }
}

async fn ping(url: String, stop: CancellationToken) -> anyhow::Result<Histogram<u64>> {
    let mut connection = connect(&url).await?;
    let mut micros = histogram()?;
    while !stop.is_cancelled() {
        let start = Instant::now();
        let () = redis::cmd("PING").query_async(&mut connection).await?;
        micros.saturating_record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(micros)
}
