//! Connections for watched reads, each used by one caller at a time. Their number is bounded. They
//! return to the pool when the caller drops them, even if it was cancelled.

use std::sync::Arc;
use std::time::Duration;

use autoreceive_redis_connection::redis::{Pipeline, Value};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use autoreceive_redis_connection::{Deadline, DedicatedConnection, Failure, Link};

/// The most connections, in use or idle. If all are in use, reads are not watched.
const MAX_CONNECTIONS: usize = 16;
/// How long an idle connection is trusted. It may be closed without notice.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// The connection pool of one store.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<PoolState>>);

#[derive(Default)]
struct PoolState {
    /// The last one was used most recently.
    idle: Vec<IdleConnection>,
    in_use: usize,
}

struct IdleConnection {
    connection: DedicatedConnection,
    era: u64,
    used: Instant,
    is_open: bool,
}

/// A connection for one caller; returns to the pool when dropped.
pub(super) struct PinnedConnection {
    pool: Pool,
    /// `None` before the first exchange, during an exchange, and after a failure. A cancelled
    /// exchange leaves the connection in an unknown state, so it is closed.
    connection: Option<DedicatedConnection>,
    /// The link's era when the connection was made; it counts outages of the server.
    era: u64,
    /// Whether a transaction is open, which must be discarded before the next use.
    is_open: bool,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.0.lock()
    }

    /// Closes connections that were idle for too long or belong to an earlier era.
    pub(super) fn tidy(&self, era: u64) {
        self.state().idle.retain(|idle| idle.era == era && idle.used.elapsed() < MAX_IDLE);
    }

    /// A connection, which may not be open yet. `None` if too many are in use.
    pub(super) fn take(&self, era: u64) -> Option<PinnedConnection> {
        self.tidy(era);
        let mut state = self.state();
        if state.in_use >= MAX_CONNECTIONS {
            return None;
        }
        state.in_use += 1;
        let (connection, is_open) = match state.idle.pop() {
            Some(idle) => (Some(idle.connection), idle.is_open),
            None => (None, false),
        };
        Some(PinnedConnection { pool: self.clone(), connection, era, is_open })
    }

    /// Whether `pinned` belongs to this pool.
    pub(super) fn owns(&self, pinned: &PinnedConnection) -> bool {
        Arc::ptr_eq(&self.0, &pinned.pool.0)
    }
}

impl PinnedConnection {
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Sets whether a transaction is open.
    pub(super) fn set_open(&mut self, is_open: bool) {
        self.is_open = is_open;
    }

    /// Closes the connection, because its state is unknown.
    pub(super) fn close(&mut self) {
        self.connection = None;
        self.is_open = false;
    }

    /// Sends all commands of `pipe`, and connects first if necessary.
    pub(super) async fn exchange(
        &mut self,
        link: &Link,
        deadline: Deadline,
        pipe: &Pipeline,
    ) -> Result<Vec<Value>, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => link.connect_by(deadline).await?,
        };
        let answers = connection.exchange(deadline, pipe).await?;
        self.connection = Some(connection);
        Ok(answers)
    }
}

impl Drop for PinnedConnection {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.in_use -= 1;
        if state.idle.len() + state.in_use < MAX_CONNECTIONS
            && let Some(connection) = self.connection.take()
        {
            state.idle.push(IdleConnection {
                connection,
                era: self.era,
                used: Instant::now(),
                is_open: self.is_open,
            });
        }
    }
}
