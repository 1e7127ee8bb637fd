//! Configuration and start of a worker.

use std::sync::Arc;
use std::time::Duration;

use autoreceive_domain::Policy;
use autoreceive_store::Store;

use crate::action::Subscription;
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::settings::{EngineSettings, MAX_BATCH};

/// Configures a worker. Everything except the store has a default.
#[must_use = "the worker starts with `start`"]
pub struct EngineBuilder {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) actions: Vec<Subscription>,
    pub(crate) settings: EngineSettings,
    pub(crate) metrics: Arc<Metrics>,
}

impl EngineBuilder {
    /// A worker on `store` with a random name, batches of up to
    /// [`Engine::MAX_BATCH`](crate::Engine::MAX_BATCH) orders and a poll every second; without
    /// policies and actions.
    pub(crate) fn new(store: Arc<dyn Store>) -> EngineBuilder {
        let settings = EngineSettings {
            worker: format!("{:08x}", rand::random::<u32>()),
            batch: MAX_BATCH,
            check_every: Duration::from_secs(1),
            guard: None,
        };
        EngineBuilder {
            store,
            policies: Vec::new(),
            actions: Vec::new(),
            settings,
            metrics: Arc::default(),
        }
    }

    /// Adds a policy. Orders without a policy name use the policy `default`.
    pub fn policy(mut self, policy: Policy) -> EngineBuilder {
        self.policies.push(policy);
        self
    }

    /// Adds policies.
    pub fn policies(mut self, policies: impl IntoIterator<Item = Policy>) -> EngineBuilder {
        self.policies.extend(policies);
        self
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

    /// Names this worker. The name must be unique among the living workers.
    pub fn worker(mut self, name: impl Into<String>) -> EngineBuilder {
        self.settings.worker = name.into();
        self
    }

    /// The most orders in one batch of the timer, 1 to
    /// [`Engine::MAX_BATCH`](crate::Engine::MAX_BATCH).
    pub fn batch(mut self, orders: usize) -> EngineBuilder {
        self.settings.batch = orders.clamp(1, MAX_BATCH);
        self
    }

    /// The longest sleep between two polls of the store.
    pub fn check_every(mut self, pause: Duration) -> EngineBuilder {
        self.settings.check_every = pause;
        self
    }

    /// Asks `guard` about adopted orders before they are received. A worker without a guard leaves
    /// them to a worker that has one.
    pub fn guard(mut self, guard: Arc<dyn Guard>) -> EngineBuilder {
        self.settings.guard = Some(guard);
        self
    }

    /// Counts in `metrics`, so that the caller can render them.
    pub fn metrics(mut self, metrics: Arc<Metrics>) -> EngineBuilder {
        self.metrics = metrics;
        self
    }
}
