//! How a worker is put together.

use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::Policy;
use autoreceive_store::Store;

use crate::action::Subscription;
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::settings::{MAX_BATCH, Settings};

/// Puts a worker together. Everything but the store has a default.
#[must_use = "the worker begins with `start`"]
pub struct EngineBuilder {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) actions: Vec<Subscription>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
}

impl EngineBuilder {
    /// A worker on `store` with a random name, batches of up to
    /// [`Engine::MAX_BATCH`](crate::Engine::MAX_BATCH) orders and a look at the store every second;
    /// without policies and actions.
    pub(crate) fn new(store: Arc<dyn Store>) -> EngineBuilder {
        let settings = Settings {
            worker: format!("{:08x}", rand::random::<u32>()),
            batch: MAX_BATCH,
            check_every: Duration::from_secs(1),
            guard: None,
        };
        let (policies, actions) = (Vec::new(), Vec::new());
        EngineBuilder { store, policies, actions, settings, metrics: Arc::default() }
    }

    /// Adds a policy. Orders that name none are placed under the one called `default`.
    pub fn policy(mut self, policy: Policy) -> EngineBuilder {
        self.policies.push(policy);
        self
    }

    /// Adds policies.
    pub fn policies(self, policies: impl IntoIterator<Item = Policy>) -> EngineBuilder {
        policies.into_iter().fold(self, EngineBuilder::policy)
    }

    /// Adds an action.
    pub fn action(mut self, action: Subscription) -> EngineBuilder {
        self.actions.push(action);
        self
    }

    /// Adds actions.
    pub fn actions(mut self, actions: impl IntoIterator<Item = Subscription>) -> EngineBuilder {
        self.actions.extend(actions);
        self
    }

    /// Names this worker; the name must be unique among the living.
    pub fn worker(mut self, name: impl Into<String>) -> EngineBuilder {
        self.settings.worker = name.into();
        self
    }

    /// Bounds how many orders the timer decides in one batch, 1 to
    /// [`Engine::MAX_BATCH`](crate::Engine::MAX_BATCH).
    pub fn batch(mut self, orders: usize) -> EngineBuilder {
        self.settings.batch = orders.clamp(1, MAX_BATCH);
        self
    }

    /// Sets the longest sleep: after it the store is asked what is due, whatever is known here.
    pub fn check_every(mut self, pause: Duration) -> EngineBuilder {
        self.settings.check_every = pause;
        self
    }

    /// Asks `guard` about adopted orders before they are received. Without a guard they are left
    /// to a worker that has one.
    pub fn guard(mut self, guard: Arc<dyn Guard>) -> EngineBuilder {
        self.settings.guard = Some(guard);
        self
    }

    /// Counts in `metrics`, which somebody else shows.
    pub fn metrics(mut self, metrics: Arc<Metrics>) -> EngineBuilder {
        self.metrics = metrics;
        self
    }
}
