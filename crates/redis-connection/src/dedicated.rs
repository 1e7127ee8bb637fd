//! A connection for a single caller.

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

use crate::link::exchange;
use crate::{Deadline, Failure};

/// A connection that no other caller uses and that never reconnects, so the state of `WATCH` and
/// `MULTI` is kept. Drop it after a failure.
pub struct DedicatedConnection(MultiplexedConnection);

impl DedicatedConnection {
    pub(crate) fn new(connection: MultiplexedConnection) -> DedicatedConnection {
        DedicatedConnection(connection)
    }

    /// Sends all commands of `pipe` and returns one answer for each, error answers included.
    ///
    /// # Errors
    /// [`Failure::Unanswered`] if there is no answer by the deadline, or the connection is broken.
    pub async fn exchange(
        &mut self,
        deadline: Deadline,
        pipe: &Pipeline,
    ) -> Result<Vec<Value>, Failure> {
        exchange(&mut self.0, deadline, pipe).await
    }
}
