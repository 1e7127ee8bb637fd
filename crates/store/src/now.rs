//! An estimate of the store's time, for sleeping, for the next attempt of an action, and for
//! finding shards that may have due orders. Decisions about orders never use it. They use the time
//! that came with the data.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use autoreceive_domain::{Span, Time};

/// The last known store time, advanced by the local monotonic clock.
#[derive(Default)]
pub struct StoreTime {
    heard: Mutex<Option<(Time, Instant)>>,
}

impl StoreTime {
    /// Records a time that the store just returned.
    pub fn heard(&self, now: Time) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
    }

    /// The estimated store time. It is never ahead of the real store time. The Unix epoch if no
    /// time is known yet.
    #[must_use]
    pub fn estimate(&self) -> Time {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map_or(Time::from_ms(0), |(time, at)| time.after(span(at.elapsed())))
    }
}

/// A duration in whole milliseconds.
#[must_use]
pub fn span(duration: Duration) -> Span {
    Span::from_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}
