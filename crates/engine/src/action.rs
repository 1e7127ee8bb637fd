//! What is done about an event. Each action has its own outbox, so that a slow one delays no other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::{ActionName, Event, EventKind};

/// Something that is done about events, at least once for each.
#[async_trait]
pub trait Action: Send + Sync + 'static {
    /// Attempts a batch of events, at most [`Subscription::batch`] of them, and says for each, in
    /// the same order, how it went. A repeat carries the same [`Event::id`]; events of one order
    /// can come out of order, and then the version tells which is the newer one. An outcome that is
    /// missing counts as [`Outcome::Retry`].
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome>;
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Done; it is not attempted again.
    Done,
    /// It failed for now.
    Retry {
        /// Why, in a few words.
        why: String,
        /// The shortest wait before the next attempt, where the receiver asked for one.
        after: Option<Duration>,
    },
    /// It failed for good and becomes a dead letter.
    Dead {
        /// Why, in a few words.
        why: String,
    },
}

impl Outcome {
    /// It failed for now; the schedule says when it is attempted again.
    #[must_use]
    pub fn retry(why: impl Into<String>) -> Outcome {
        Outcome::Retry { why: why.into(), after: None }
    }
}

/// An action under its name, with what it is given.
#[derive(Clone)]
pub struct Subscription {
    /// The name: 1 to 32 of `a-z 0-9 _ -`; its outbox is kept under it.
    pub name: ActionName,
    /// The kinds of events it is given.
    pub on: Vec<EventKind>,
    /// The most events in one attempt.
    pub batch: usize,
    /// How many attempts are made at the same time.
    pub concurrency: usize,
    /// How long a worker keeps an entry before another may take it; longer than any attempt takes,
    /// and renewed while it works.
    pub lease: Duration,
    /// Where there is a receiver that can be away for long: what is done about that.
    pub endpoint: Option<Endpoint>,
    /// What is done.
    pub action: Arc<dyn Action>,
}

/// How a receiver that only fails is treated: it is attempted with one event at a time, and
/// disabled in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// After how long of only failures it is disabled; without it, never.
    pub disable_after: Option<Duration>,
}

impl Subscription {
    /// `action` under `name`, given every received order in batches of up to 200, four at a time.
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

    /// The same, given events of these kinds.
    #[must_use]
    pub fn on(mut self, kinds: &[EventKind]) -> Subscription {
        self.on = kinds.to_vec();
        self
    }
}
