//! Connections that one caller has alone while they watch what it read. They are few, and go back
//! by themselves when the caller drops them, wherever it was cut off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use autoreceive_redis_connection::redis::{Pipeline, Value};
use tokio::time::Instant;

use autoreceive_redis_connection::{Deadline, DedicatedConnection, Failure, Link};

/// The most connections, in use or not. With that many in use nothing more is watched.
const MOST: usize = 16;
/// For how long an idle connection is trusted: it can be cut off without a word.
const IDLE: Duration = Duration::from_secs(10);

/// The connections of one store.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// The one that was used last is the last.
    idle: Vec<Idle>,
    in_use: usize,
}

struct Idle {
    connection: DedicatedConnection,
    era: u64,
    used: Instant,
    is_open: bool,
}

/// A connection for the caller alone; dropped, it goes back.
pub(super) struct Pinned {
    pool: Pool,
    /// None before the first exchange, during one, and after a failure: an exchange that was cut
    /// off leaves a connection in an unknown state, so it is closed.
    connection: Option<DedicatedConnection>,
    /// How often the server was gone before it was made.
    era: u64,
    /// Whether a transaction is open on it, which has to be discarded before it is used again.
    is_open: bool,
}

impl Pool {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections that nobody used for a while, or that are of a server that is gone.
    pub(super) fn tidy(&self, era: u64) {
        self.inner().idle.retain(|idle| idle.era == era && idle.used.elapsed() < IDLE);
    }

    /// A connection, perhaps yet to be made. None where too many are in use.
    pub(super) fn take(&self, era: u64) -> Option<Pinned> {
        self.tidy(era);
        let mut inner = self.inner();
        if inner.in_use >= MOST {
            return None;
        }
        inner.in_use += 1;
        let (connection, is_open) = match inner.idle.pop() {
            Some(idle) => (Some(idle.connection), idle.is_open),
            None => (None, false),
        };
        Some(Pinned { pool: self.clone(), connection, era, is_open })
    }

    /// Whether `pinned` is of this pool.
    pub(super) fn owns(&self, pinned: &Pinned) -> bool {
        Arc::ptr_eq(&self.0, &pinned.pool.0)
    }
}

impl Pinned {
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Says whether a transaction is open now.
    pub(super) fn set_open(&mut self, is_open: bool) {
        self.is_open = is_open;
    }

    /// Closes the connection: its state is not known.
    pub(super) fn close(&mut self) {
        self.connection = None;
        self.is_open = false;
    }

    /// Sends all commands of `pipe`, on a new connection where there is none.
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

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut inner = self.pool.inner();
        inner.in_use -= 1;
        if let Some(connection) = self.connection.take() {
            let (era, used, is_open) = (self.era, Instant::now(), self.is_open);
            if inner.idle.len() + inner.in_use < MOST {
                inner.idle.push(Idle { connection, era, used, is_open });
            }
        }
    }
}
