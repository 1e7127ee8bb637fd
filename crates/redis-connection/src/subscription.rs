//! Published messages.

use futures_util::StreamExt;
use redis::aio::PubSub;
use tokio::time::timeout_at;

use crate::{Deadline, Failure};

/// The messages of all channels that match a pattern, on a separate connection. It never reconnects
/// silently, because the caller must know that messages may be missing.
pub struct PatternSubscription(PubSub);

/// A published message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The channel's name.
    pub channel: Vec<u8>,
    /// The content.
    pub payload: Vec<u8>,
}

impl PatternSubscription {
    pub(crate) async fn begin(
        mut connection: PubSub,
        deadline: Deadline,
        pattern: &str,
    ) -> Result<PatternSubscription, Failure> {
        match timeout_at(deadline.at(), connection.psubscribe(pattern)).await {
            Ok(Ok(())) => Ok(PatternSubscription(connection)),
            Ok(Err(error)) => Err(Failure::of_connecting(error)),
            Err(_) => Err(Failure::no_answer_by(deadline)),
        }
    }

    /// The next message; `None` after the connection has ended. Cancelling loses no message.
    pub async fn next(&mut self) -> Option<Message> {
        let message = self.0.on_message().next().await?;
        // A conversion to bytes never fails.
        let channel = message.get_channel().unwrap_or_default();
        Some(Message { channel, payload: message.get_payload_bytes().to_vec() })
    }
}
