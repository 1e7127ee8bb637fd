//! What time it probably is at the store: for sleeping, for the next attempt of an action, and for
//! asking what may be due. No decision about an order is made with it: those take the time that
//! came with the data.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use autoreceive_domain::{Span, Time};

/// The store's time as last heard, going on by this machine's steady clock.
#[derive(Default)]
pub struct StoreTime {
    heard: Mutex<Option<(Time, Instant)>>,
}

impl StoreTime {
    /// Takes in a time that the store just gave.
    pub fn heard(&self, now: Time) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
    }

    /// The time it is there by now, never later than it really is; the epoch, where nothing was
    /// heard yet.
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
