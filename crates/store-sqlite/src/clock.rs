//! The store's clock: the machine's clock, plus the offset in the file on a store with a test
//! clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use autoreceive_domain::{Span, Time};
use rusqlite::{Connection, OptionalExtension};

/// A file has this table from its creation on, or never. So the table tells whether the store has a
/// test clock.
pub(super) const TABLE: &str = "CREATE TABLE test_clock (ahead_ms INTEGER NOT NULL) STRICT; \
    INSERT INTO test_clock VALUES (0);";

/// A store's clock. All clones show the same time.
#[derive(Clone)]
pub(super) struct StoreClock {
    /// The offset in milliseconds; `None` without a test clock. No other process uses the file, so
    /// it is read only once.
    ahead_ms: Option<Arc<AtomicI64>>,
}

impl StoreClock {
    /// A clock with the real time.
    pub fn real() -> StoreClock {
        StoreClock { ahead_ms: None }
    }

    /// The clock of a file.
    pub fn of(connection: &Connection) -> rusqlite::Result<StoreClock> {
        if !is_for_tests(connection)? {
            return Ok(StoreClock::real());
        }
        let ahead: i64 =
            connection.query_row("SELECT ahead_ms FROM test_clock", [], |row| row.get(0))?;
        Ok(StoreClock { ahead_ms: Some(Arc::new(AtomicI64::new(ahead))) })
    }

    pub fn is_for_tests(&self) -> bool {
        self.ahead_ms.is_some()
    }

    pub fn now(&self) -> Time {
        let ahead = self.ahead_ms.as_ref().map_or(0, |ahead| ahead.load(Ordering::Acquire));
        machine().after(Span::from_ms(ahead))
    }

    /// Applies an offset that is already in the file.
    pub fn raise(&self, ahead: Span) {
        if let Some(known) = &self.ahead_ms {
            known.fetch_max(ahead.ms(), Ordering::AcqRel);
        }
    }
}

/// Whether the file was created with a test clock.
pub(super) fn is_for_tests(connection: &Connection) -> rusqlite::Result<bool> {
    let table = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'test_clock'", [], |_| Ok(()))
        .optional()?;
    Ok(table.is_some())
}

/// Increases the offset in the file and returns it; `None` if it would be too large.
pub(super) fn advance(connection: &Connection, by: Span) -> rusqlite::Result<Option<Span>> {
    let sql = "UPDATE test_clock SET ahead_ms = ahead_ms + ?1 WHERE ahead_ms + ?1 <= ?2 RETURNING \
        ahead_ms";
    connection
        .prepare_cached(sql)?
        .query_row([by.ms(), Span::LONGEST.ms()], |row| row.get(0).map(Span::from_ms))
        .optional()
}

/// The real time of this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "only a store reads the clock, and this store reads it only here"
)]
pub(super) fn machine() -> Time {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
