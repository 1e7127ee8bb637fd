//! The interface of actions. Each action has its own outbox, so that a slow one delays no other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::{ActionName, Event, EventKind};

/// Handles events, each at least once.
#[async_trait]
pub trait Action: Send + Sync + 'static {
    /// Attempts a batch of at most [`Subscription::batch`] events, and returns one outcome for
    /// each, in the same order. A missing outcome counts as [`Outcome::Retry`]. A repeat has the
    /// same [`Event::id`]. Events of one order can arrive out of order; the higher version is the
    /// newer one.
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome>;
}

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It failed, and is attempted again.
    Retry {
        /// Why, in a few words.
        why: String,
        /// The shortest wait before the next attempt, if the endpoint asked for one.
        after: Option<Duration>,
    },
    /// It failed for good; the event becomes a dead letter.
    Dead {
        /// Why, in a few words.
        why: String,
    },
}

impl Outcome {
    /// A failure that is attempted again after the usual backoff.
    #[must_use]
    pub fn retry(why: impl Into<String>) -> Outcome {
        Outcome::Retry { why: why.into(), after: None }
    }
}

/// An action with its name and settings.
#[derive(Clone)]
pub struct Subscription {
    /// The name, 1 to 32 of `a-z 0-9 _ -`. The store keeps the outbox under it.
    pub name: ActionName,
    /// The types of events that the action handles.
    pub on: Vec<EventKind>,
    /// The most events in one attempt.
    pub batch: usize,
    /// The most attempts at the same time.
    pub concurrency: usize,
    /// After this time another worker may claim an entry. Must be longer than any attempt. Renewed
    /// while the worker is alive.
    pub lease: Duration,
    /// The circuit breaker's settings, if the action calls an endpoint that can be down.
    pub endpoint: Option<Endpoint>,
    /// The action itself.
    pub action: Arc<dyn Action>,
}

/// The circuit breaker of an endpoint. While all attempts fail, one event is attempted at a time;
/// later the endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Disables the endpoint after failures for this long. `None`: never.
    pub disable_after: Option<Duration>,
}

impl Subscription {
    /// `action` under `name`, with all receipts in batches of up to 200, and 4 attempts at a time.
    #[must_use]
    pub fn new(name: ActionName, action: impl Action) -> Subscription {
        Subscription {
            name,
            on: vec![EventKind::Received],
            batch: 200,
            concurrency: 4,
            lease: Duration::from_secs(30),
            endpoint: None,
            action: Arc::new(action),
        }
    }

    /// Handles these types of events instead.
    #[must_use]
    pub fn on(mut self, kinds: &[EventKind]) -> Subscription {
        self.on = kinds.to_vec();
        self
    }
}
