//! The `log` action: one log line for each event.

use async_trait::async_trait;
use autoreceive_domain::{ActionName, Event};

use super::{Action, Outcome};

/// Writes one log line for each event, with the action's name: the timer logs most events, too.
/// It never fails.
#[derive(Debug, Clone)]
pub struct LogAction(pub ActionName);

#[async_trait]
impl Action for LogAction {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        events.iter().map(|event| write(&self.0, event)).collect()
    }
}

fn write(action: &ActionName, event: &Event) -> Outcome {
    let order = &event.0;
    tracing::info!(
        %action,
        order = %order.id,
        version = order.version,
        cause = %event.cause(),
        "{}",
        event.kind()
    );
    Outcome::Done
}
