//! Errors of a store: of a call, and of opening it.

/// Why a call to a store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is unavailable or slow, or refuses temporarily. Repeating a read is safe.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The cursor was not issued by this list.
    #[error("{0:?} is not a cursor of this list")]
    WrongCursor(String),
    /// The clock cannot be advanced, or not that far.
    #[error("{0}")]
    Clock(&'static str),
}

impl StoreError {
    /// The store has no test clock.
    pub const NO_TEST_CLOCK: StoreError =
        StoreError::Clock("this store was not created with a test clock");
    /// The total would exceed [`Span::LONGEST`](autoreceive_domain::Span::LONGEST).
    pub const TOO_FAR: StoreError =
        StoreError::Clock("would put the clock forward by more than 3653d in all");

    /// An invalid cursor. The message quotes at most 80 characters of it.
    #[must_use]
    pub fn wrong_cursor(cursor: &str) -> StoreError {
        StoreError::WrongCursor(cursor.chars().take(80).collect())
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store does not answer, or not yet. Trying again can help.
    #[error("{0}")]
    Away(String),
    /// The store or the configuration must be changed first.
    #[error("{0}")]
    Unfit(String),
}

impl OpenError {
    /// The message for a store with a test clock that is opened without one, or the reverse.
    #[must_use]
    pub fn other_clock(created_for_tests: bool) -> &'static str {
        if created_for_tests {
            "it was created with --test-clock, so its time can be put forward and it must not \
             serve a shop. Start it with --test-clock, or use another store"
        } else {
            "it was created without --test-clock, and keeps the real time for good. For tests, use \
             a store that does not exist yet (on Redis, another store.prefix is one)"
        }
    }
}
