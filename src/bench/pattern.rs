//! The algorithm that shops copy to receive orders automatically, as it is written: a trigger key
//! that lives for 24 hours beside a status key, and a scheduled job that lists the triggers. It is
//! here to be measured beside ours, for its speed and for what it does wrong
//! (docs/from-ttl-keys.md).
//!
//! One thing is not as written: the job takes the id from index 3 of the key split at `:`. The keys
//! have three parts, so the job ends with an index error on the first key, always. With index 2 it
//! runs at all.

use redis::aio::ConnectionLike;
use redis::{RedisResult, cmd};

/// What the status key of an order begins with.
pub const STATUS: &str = "trade:status:";
/// What the trigger key of an order begins with.
pub const TRIGGER: &str = "trade:auto-receive:";

/// The order is initiated: its status, and a trigger that lives for `window_ms` (24 hours in a
/// shop).
///
/// # Errors
/// Where Redis does not answer.
pub async fn initiate(
    connection: &mut impl ConnectionLike,
    id: &str,
    window_ms: u64,
) -> RedisResult<()> {
    set_status(connection, id, "PENDING_PAYMENT").await?;
    cmd("PSETEX")
        .arg(format!("{TRIGGER}{id}"))
        .arg(window_ms)
        .arg("trigger")
        .query_async(connection)
        .await
}

/// The shop, or the job, writes where the order is now: `PAID` when the payment is confirmed.
///
/// # Errors
/// Where Redis does not answer.
pub async fn set_status(
    connection: &mut impl ConnectionLike,
    id: &str,
    status: &str,
) -> RedisResult<()> {
    cmd("SET").arg(format!("{STATUS}{id}")).arg(status).query_async(connection).await
}

/// One run of the job: every trigger that still exists, one order at a time. `on_received` is the
/// post-receive actions. Returns how many orders it received.
///
/// # Errors
/// Where Redis does not answer; the rest of the triggers is left to the next run.
pub async fn sweep<F: Future<Output = ()>>(
    connection: &mut impl ConnectionLike,
    mut on_received: impl FnMut(String) -> F,
) -> RedisResult<usize> {
    let triggers: Vec<String> =
        cmd("KEYS").arg(format!("{TRIGGER}*")).query_async(connection).await?;
    let mut received = 0;
    for trigger in triggers {
        let id = trigger.split(':').nth(2).unwrap_or_default();
        let status: Option<String> =
            cmd("GET").arg(format!("{STATUS}{id}")).query_async(connection).await?;
        if status.as_deref() == Some("PAID") {
            set_status(connection, id, "RECEIVED").await?;
            on_received(id.to_owned()).await;
            received += 1;
        }
        let () = cmd("DEL").arg(&trigger).query_async(connection).await?;
    }
    Ok(received)
}
