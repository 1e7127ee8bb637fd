//! The `log` action: a line for every event.

use async_trait::async_trait;
use autoreceive_domain::Event;

use super::{Action, Outcome};

/// Writes one log line for each event. It never fails.
#[derive(Debug, Clone, Copy)]
pub struct Log;

#[async_trait]
impl Action for Log {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        events.iter().map(write).collect()
    }
}

fn write(event: &Event) -> Outcome {
    let order = &event.0;
    tracing::info!(order = %order.id, version = order.version, cause = %event.cause(), "{}", event.kind());
    Outcome::Done
}
