//! Opening the file: one process at a time, and only a file of autoreceive.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::clock::{self, StoreClock};
use autoreceive_store::{Identity, OpenError};

/// Marks the file as autoreceive's: "ARcv" in its header.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"ARcv");

/// The file's layout, stored as `user_version`. Earlier layouts were never released, so there is no
/// migration.
const LAYOUT: i64 = 10;
const SCHEMA: &str = include_str!("schema.sql");

/// Prepared statements that a connection caches; there are about 40.
const STATEMENTS: usize = 64;

/// Attempts to lock the file and the wait after each: half a second in all.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Locks the file as long as the returned value lives.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = lock_path(path);
    let shown = lock_path.display();
    let file = File::create(&lock_path).map_err(|error| {
        cannot(
            path,
            &format!(
                "{shown} cannot be created: {error}. Its directory must exist, and \
                    this user must be allowed to write to it"
            ),
        )
    })?;
    match within_a_moment(|| file.try_lock()) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(cannot(
            path,
            &format!(
                "another process uses it and holds {shown}. Stop that process, or configure \
                    another file; several workers need Redis"
            ),
        )),
        Err(TryLockError::Error(error)) => {
            Err(cannot(path, &format!("{shown} cannot be locked: {error}. Use a local disk")))
        }
    }
}

/// Retries while another process has the lock. The previous process may be about to exit, and a
/// child process that is being started holds its parent's files for a moment.
fn within_a_moment(lock: impl Fn() -> Result<(), TryLockError>) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            locked => return locked,
        }
    }
    lock()
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The writing connection, the file's clock and its identity. Creates the file if it does not
/// exist, and changes it only if it is autoreceive's and its clock has the requested kind.
pub(super) fn writer(
    path: &Path,
    timeout: Duration,
    test_clock: bool,
) -> Result<(Connection, StoreClock, Identity), OpenError> {
    let failed = |error: rusqlite::Error| explain(path, &error);
    let mut connection = Connection::open(path).map_err(failed)?;
    // Half of the caller's time limit, so that the caller gets the error of another program's lock
    // before its own time-out.
    connection.busy_timeout(timeout / 2).map_err(failed)?;
    let is_new = check(path, &connection)?;
    let for_tests = clock::is_for_tests(&connection).map_err(failed)?;
    if !is_new && for_tests != test_clock {
        return Err(cannot(path, OpenError::other_clock(for_tests)));
    }
    // fsync before the answer. On macOS only F_FULLFSYNC reaches the disk; elsewhere `fullfsync`
    // has no effect.
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = \
            ON; PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    if is_new {
        create(&mut connection, test_clock).map_err(failed)?;
    }
    let clock = StoreClock::of(&connection).map_err(failed)?;
    let identity = identity(&connection).map_err(failed)?;
    Ok((connection, clock, identity))
}

/// A reading connection. The file must have been opened by [`writer`] before.
pub(super) fn reader(path: &Path, timeout: Duration) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| explain(path, &error);
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(failed)?;
    connection.busy_timeout(timeout).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// A database in memory.
pub(super) fn memory() -> rusqlite::Result<(Connection, Identity)> {
    let mut connection = Connection::open_in_memory()?;
    prepare(&connection)?;
    create(&mut connection, false)?;
    let identity = identity(&connection)?;
    Ok((connection, identity))
}

/// The file's identity: random, and created with the file.
pub(super) fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    let sql = "SELECT value FROM meta WHERE name = 'identity'";
    connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok(Identity::from(row.get_ref(0)?.as_str()?)))
}

/// Checks the file without changing it. Returns whether it is new.
fn check(path: &Path, connection: &Connection) -> Result<bool, OpenError> {
    let number = |sql| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(|error| explain(path, &error))
    };
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let ours = number("PRAGMA application_id")? == i64::from(APPLICATION_ID);
    let layout = number("PRAGMA user_version")?;
    if connection.is_readonly("main").unwrap_or(false) {
        return Err(cannot(
            path,
            "it is read-only. Allow this user to write to it and to its directory",
        ));
    }
    if !ours && (tables > 0 || layout != 0) {
        return Err(cannot(
            path,
            "it is another program's SQLite database. It was not changed; configure another file",
        ));
    }
    match layout {
        LAYOUT => Ok(false),
        0 => Ok(true),
        1..LAYOUT => Err(cannot(
            path,
            &format!(
                "an unreleased version of autoreceive wrote it (layout {layout}; this version \
                    reads {LAYOUT}). It was not changed; use that version, or begin with a new file"
            ),
        )),
        _ => Err(cannot(
            path,
            &format!(
                "a newer version of autoreceive wrote it (layout {layout}; this version reads \
                    {LAYOUT}). It was not changed; use that version"
            ),
        )),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Creates all tables in one transaction.
fn create(connection: &mut Connection, test_clock: bool) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    if test_clock {
        transaction.execute_batch(clock::TABLE)?;
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT};"
    ))?;
    transaction.commit()
}

fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            cannot(path, "it is not an SQLite database. It was not changed; configure another file")
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            cannot(path, &format!("it is damaged ({error}). Restore it from a backup"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            cannot(path, "another process is writing to it. Stop that process")
        }
        _ => cannot(
            path,
            &format!(
                "{error}. Its directory must exist, and this user must be allowed to write to both"
            ),
        ),
    }
}

fn cannot(path: &Path, why: &str) -> OpenError {
    OpenError::Unfit(format!("cannot use {}: {why}", path.display()))
}
