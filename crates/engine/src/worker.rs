//! A worker: its parts, in the order in which they start and stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use autoreceive_domain::{Command, Order, OrderId, Policies, Span, Terms};
use autoreceive_store::now::StoreTime;
use autoreceive_store::{
    Cas, Expected, Metered, Page, Row, Space, Stats, Store, StoreError, TestClock, View,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::action::Subscription;
use crate::breaker::Breaker;
use crate::builder::EngineBuilder;
use crate::command_batcher::{CommandBatcher, PendingReply};
use crate::core::Core;
use crate::guarded_receipts::GuardedReceipts;
use crate::outbox::{ActionQueue, ActionQueues};
use crate::relay::{self, Relay};
use crate::reply::{Reply, SubmitError};
use crate::settings::MAX_BATCH;
use crate::shard_assignment::{self, ShardAssignment};
use crate::sweeper::Sweeper;
use crate::{due_index, retention, terms};

/// The most names in one call to the store.
const MAX_NAMES: usize = 1_000;

/// The engine of one worker. Cloning it is cheap; all clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
    commands: CommandBatcher,
    /// They end the background work, in this order: first no new commands and no due orders, then
    /// no new attempts.
    stop_deciding: CancellationToken,
    stop_attempting: CancellationToken,
    deciding: TaskTracker,
    attempting: TaskTracker,
}

impl Engine {
    /// The most orders in one commit.
    pub const MAX_BATCH: usize = MAX_BATCH;

    /// Starts the configuration of a worker on `store`.
    pub fn builder(store: Arc<dyn Store>) -> EngineBuilder {
        EngineBuilder::new(store)
    }

    fn start(builder: EngineBuilder) -> Engine {
        let EngineBuilder { store, policies, actions, mut settings, metrics } = builder;
        let policies: Policies = policies.into_iter().collect();
        if settings.guard.is_some() {
            settings.worker.push_str(shard_assignment::WITH_INTAKE);
        }
        let store: Arc<dyn Store> = Arc::new(Metered::new(store, metrics.clone()));
        let (queues, hand_offs): (Vec<ActionQueue>, Vec<_>) =
            actions.into_iter().map(action_queue).unzip();
        let relayed: Vec<_> = queues
            .iter()
            .map(|queue| {
                (
                    queue.subscription.clone(),
                    queue.stored.clone(),
                    queue.leases.clone(),
                    queue.breaker.clone(),
                )
            })
            .collect();
        let shards = store.about().shards;
        let core = Arc::new(Core {
            terms: terms::TermsCache::new(policies.iter()),
            policies,
            queues: ActionQueues::new(&settings.worker, queues),
            due_index: due_index::DueIndex::new(shards.get()),
            time: StoreTime::default(),
            assignment: ShardAssignment::alone(&settings.worker, shards.get()),
            store,
            shards,
            metrics,
            settings,
            actions_noted: AtomicBool::new(false),
            backfills: Default::default(),
        });
        let commands = CommandBatcher::start(&core);
        let engine = Engine {
            core,
            commands,
            stop_deciding: CancellationToken::new(),
            stop_attempting: CancellationToken::new(),
            deciding: TaskTracker::new(),
            attempting: TaskTracker::new(),
        };
        let relays = relayed.into_iter().map(|(of, stored, leases, breaker)| {
            Relay::new(engine.core.clone(), of, stored, leases, breaker)
        });
        engine.start_loops(relays.zip(hand_offs));
        engine
    }

    fn start_loops(&self, relays: impl Iterator<Item = (Relay, relay::HandOffQueue)>) {
        let guard = self.core.settings.guard.clone();
        let guarded = guard.map(|guard| Arc::new(GuardedReceipts::new(self.core.clone(), guard)));
        if let Some(guarded) = &guarded {
            self.deciding.spawn(guarded.clone().run(self.stop_deciding.clone()));
        }
        self.deciding
            .spawn(Sweeper::new(self.core.clone(), guarded).run(self.stop_deciding.clone()));
        self.deciding.spawn(retention::run(self.core.clone(), self.stop_deciding.clone()));
        for (relay, queue) in relays {
            self.attempting.spawn(relay.run(queue, self.stop_attempting.clone()));
        }
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// See [`SubmitError`]; repeating the command is always safe.
    pub async fn submit(&self, id: OrderId, command: Command) -> Result<Reply, SubmitError> {
        self.enqueue(id, command).await?.await
    }

    /// Queues a command, and waits up to 1 s for room. Commands of one order are carried out in the
    /// order in which they were queued. The returned future resolves to the reply.
    ///
    /// # Errors
    /// If the queue stays full or the engine is shutting down. Nothing was done in these cases.
    pub async fn enqueue(
        &self,
        id: OrderId,
        command: Command,
    ) -> Result<PendingReply, SubmitError> {
        if self.stop_deciding.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        self.commands.enqueue(&self.core, id, command).await
    }

    /// One order, with the terms under which it was placed.
    ///
    /// # Errors
    /// If the store does not answer or the record cannot be read.
    pub async fn show(
        &self,
        id: &OrderId,
    ) -> Result<Option<(Arc<Order>, Arc<Terms>)>, SubmitError> {
        let store_error = |error: StoreError| SubmitError::Store(error.to_string());
        let found = self.core.store.load(std::slice::from_ref(id)).await.pop();
        let Some(found) = found else { return Ok(None) };
        let order = found
            .map_err(store_error)?
            .value
            .map_err(|error| SubmitError::Unreadable(error.to_string()))?;
        let Some(order) = order else { return Ok(None) };
        self.core
            .terms
            .load(&*self.core.store, std::iter::once(&order))
            .await
            .map_err(store_error)?;
        let terms = self.core.terms.get(&order.revision);
        let terms = terms.ok_or_else(|| {
            SubmitError::Unreadable(format!(
                "the store does not contain its terms, {}",
                order.revision
            ))
        })?;
        Ok(Some((Arc::new(order), terms)))
    }

    /// A page of orders.
    ///
    /// # Errors
    /// If the store does not answer or the cursor was not issued by this view.
    pub async fn page(
        &self,
        view: View,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError> {
        self.core.store.list(view, cursor, limit).await
    }

    /// The store's figures.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.core.store.stats().await
    }

    /// Remembers names in the store.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn remember(&self, names: &[String]) -> Result<(), StoreError> {
        self.set_remembered(names, Some("1")).await
    }

    /// Which of `names` are remembered.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn remembered(&self, names: &[String]) -> Result<Vec<bool>, StoreError> {
        let mut known = Vec::with_capacity(names.len());
        for names in names.chunks(MAX_NAMES) {
            let (_, values) = self.core.store.get(Space::Remembered, names).await?;
            known.extend(values.into_iter().map(|value| value.is_some()));
        }
        Ok(known)
    }

    /// Forgets names.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn forget(&self, names: &[String]) -> Result<(), StoreError> {
        self.set_remembered(names, None).await
    }

    async fn set_remembered(
        &self,
        names: &[String],
        value: Option<&str>,
    ) -> Result<(), StoreError> {
        let change = |key| Cas { key, expected: Expected::Anything, value };
        for names in names.chunks(MAX_NAMES) {
            let changes: Vec<Cas<'_>> = names.iter().map(|name| change(name.as_str())).collect();
            self.core.store.compare_and_set(Space::Remembered, &changes).await?;
        }
        Ok(())
    }

    /// Whether this worker processes the order first.
    #[must_use]
    pub fn is_mine(&self, id: &OrderId) -> bool {
        self.core.assignment.is_mine(self.core.shard_of(id))
    }

    /// Sends a heartbeat. Returns whether this worker scans the shop's keys: one of the workers
    /// with an intake whose last heartbeat is at most `within` old.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn leads_intake(&self, within: Span) -> Result<bool, StoreError> {
        let assignment = &self.core.assignment;
        Ok(assignment.leads_intake(&self.core.store.heartbeat(assignment.me(), within).await?))
    }

    /// Whether the store's clock can be advanced.
    #[must_use]
    pub fn has_test_clock(&self) -> bool {
        self.core.store.about().test_clock
    }

    /// Advances the store's clock. This worker processes newly due orders at once, other workers at
    /// their next poll. Leases and backoff waits run out as well.
    ///
    /// # Errors
    /// If the store has no test clock, the clock would be too far ahead, or the store does not
    /// answer.
    pub async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        let clock = self.core.store.advance(by).await?;
        tracing::info!(by = %by, ahead = %clock.ahead, "the test clock was advanced");
        self.core.due_index.time_moved();
        self.core.queues.notify_all();
        Ok(clock)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.core.store.now().await.map(drop)
    }

    /// Stops in two steps, within `bound` in all: takes no more commands and finishes those in
    /// progress, then takes no more entries and finishes the attempts in progress. Anything
    /// unfinished is left to its lease.
    pub async fn stop(&self, bound: Duration) {
        let until = tokio::time::Instant::now() + bound;
        self.stop_deciding.cancel();
        self.deciding.close();
        let decided = tokio::time::timeout_at(until, async {
            tokio::join!(self.commands.drained(), self.deciding.wait())
        })
        .await;
        // A failure here is harmless: without heartbeats the worker counts as dead within seconds.
        let _ =
            tokio::time::timeout_at(until, self.core.store.leave(self.core.assignment.me())).await;
        self.stop_attempting.cancel();
        self.attempting.close();
        let attempted = tokio::time::timeout_at(until, self.attempting.wait()).await;
        if decided.is_err() || attempted.is_err() {
            tracing::warn!(
                "some work was not finished within {bound:?}; another worker continues it when \
                    its lease ends"
            );
        }
    }
}

/// How many waiting entries a relay may hold for each of its concurrent attempts.
const QUEUED_PER_ATTEMPT: usize = 8;

fn action_queue(subscription: Subscription) -> (ActionQueue, relay::HandOffQueue) {
    let (hand_off, queue) =
        tokio::sync::mpsc::channel((subscription.concurrency * QUEUED_PER_ATTEMPT).max(1));
    let breaker = Arc::new(Breaker::new(subscription.endpoint));
    (
        ActionQueue {
            subscription,
            hand_off,
            stored: Arc::default(),
            leases: Arc::default(),
            breaker,
        },
        queue,
    )
}

impl EngineBuilder {
    /// Starts the worker: the sweeper, one relay for each action, retention. It runs until
    /// [`Engine::stop`].
    ///
    /// # Panics
    /// If called outside of a Tokio runtime.
    #[must_use]
    pub fn start(self) -> Engine {
        Engine::start(self)
    }
}
