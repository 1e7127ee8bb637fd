//! The idle timeout of streams of lines: for the next line, and for the next read of answers.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// The timeout while streams are free.
const USUAL: Duration = Duration::from_secs(30);
/// The timeout while all streams are taken.
const SHORT: Duration = Duration::from_secs(1);

/// Returns when a stream was idle for too long. `streams` has a permit for each free stream.
pub async fn idle_timeout(streams: &Semaphore) {
    let begun = Instant::now();
    loop {
        sleep(SHORT).await;
        if streams.available_permits() == 0 || begun.elapsed() >= USUAL {
            return;
        }
    }
}
