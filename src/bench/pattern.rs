//! The pattern that shops copy to receive orders automatically, as written: a trigger key that
//! lives for 24 hours, a status key, and a scheduled job that lists the triggers. It is here for
//! comparison: its speed, and its errors (docs/from-ttl-keys.md).
//!
//! One thing differs: the original job takes the id from index 3 of the key split at `:`. The keys
//! have three parts, so that job always ends with an index error on the first key. Here it uses
//! index 2.

use redis::aio::ConnectionLike;
use redis::{RedisResult, cmd};

/// The prefix of an order's status key.
pub const STATUS: &str = "trade:status:";
/// The prefix of an order's trigger key.
pub const TRIGGER: &str = "trade:auto-receive:";

/// Initiates an order: writes its status, and a trigger that lives for `window_ms` (24 hours in a
/// shop).
///
/// # Errors
/// If Redis does not answer.
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

/// The shop or the job writes the order's status: `PAID` when the payment is confirmed.
///
/// # Errors
/// If Redis does not answer.
pub async fn set_status(
    connection: &mut impl ConnectionLike,
    id: &str,
    status: &str,
) -> RedisResult<()> {
    cmd("SET").arg(format!("{STATUS}{id}")).arg(status).query_async(connection).await
}

/// One run of the job: handles every existing trigger, one order at a time. `on_received` runs the
/// post-receive actions. Returns the number of received orders.
///
/// # Errors
/// If Redis does not answer. The next run handles the other triggers.
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
