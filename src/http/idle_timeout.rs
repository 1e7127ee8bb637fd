//! How long a stream of lines may dawdle, on either side of it.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// How long a line may take to arrive, and answers to be taken.
const WITHIN: Duration = Duration::from_secs(30);
/// The same where others wait for a place among the streams.
const HURRIED: Duration = Duration::from_secs(1);

/// Returns when a stream that has one of `places` has dawdled for too long.
pub async fn dawdled(places: &Semaphore) {
    let begun = Instant::now();
    loop {
        sleep(HURRIED).await;
        if places.available_permits() == 0 || begun.elapsed() >= WITHIN {
            return;
        }
    }
}
