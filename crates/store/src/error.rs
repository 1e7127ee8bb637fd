//! Why a store did not answer, or was not opened.

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It is away, slow, or refuses for now. Reading again is safe.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A cursor that no page of this view gave out.
    #[error("{0:?} is not a cursor of this list")]
    WrongCursor(String),
    /// The time cannot be put forward, or not so far.
    #[error("{0}")]
    Clock(&'static str),
}

impl StoreError {
    /// The time of a store that serves a shop is the real one.
    pub const NO_TEST_CLOCK: StoreError =
        StoreError::Clock("this store was not created with a test clock");
    /// More than [`Span::LONGEST`](autoreceive_domain::Span::LONGEST) in all.
    pub const TOO_FAR: StoreError =
        StoreError::Clock("would put the clock forward by more than 3653d in all");

    /// A cursor that leads nowhere; no more of it is repeated than helps.
    #[must_use]
    pub fn wrong_cursor(cursor: &str) -> StoreError {
        StoreError::WrongCursor(cursor.chars().take(80).collect())
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It does not answer, or not yet. That can pass by itself.
    #[error("{0}")]
    Away(String),
    /// It, or what is configured, has to be changed first.
    #[error("{0}")]
    Unfit(String),
}

impl OpenError {
    /// Says why a store whose clock is of the one kind is not opened as one of the other.
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
