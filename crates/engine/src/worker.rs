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
use crate::command_batcher::{CommandBatcher, Pending};
use crate::core::Core;
use crate::guarded_receipts::GuardedReceipts;
use crate::outbox::{ActionQueue, Outbox};
use crate::relay::{self, Relay};
use crate::reply::{Reply, SubmitError};
use crate::settings::MAX_BATCH;
use crate::shard_assignment::{self, ShardAssignment};
use crate::sweeper::Sweeper;
use crate::{due_index, retention, terms};

/// The most names that one call asks about or keeps.
const NAMES: usize = 1_000;

/// The engine of one worker. Cloning it is cheap; all clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
    commands: CommandBatcher,
    /// What ends the background work, in this order: no new commands and nothing due; then no new
    /// attempts.
    stop_deciding: CancellationToken,
    stop_attempting: CancellationToken,
    deciding: TaskTracker,
    attempting: TaskTracker,
}

impl Engine {
    /// The most orders in one commit.
    pub const MAX_BATCH: usize = MAX_BATCH;

    /// Begins to put a worker on `store` together.
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
        let (queues, receivers): (Vec<ActionQueue>, Vec<_>) =
            actions.into_iter().map(action_queue).unzip();
        let relayed: Vec<_> = queues
            .iter()
            .map(|o| (o.subscription.clone(), o.stored.clone(), o.held.clone(), o.breaker.clone()))
            .collect();
        let shards = store.about().shards;
        let core = Arc::new(Core {
            book: terms::TermsBook::new(policies.iter()),
            policies,
            outbox: Outbox::new(&settings.worker, queues),
            due_index: due_index::DueIndex::new(shards.get()),
            time: StoreTime::default(),
            assignment: ShardAssignment::alone(&settings.worker, shards.get()),
            store,
            shards,
            metrics,
            settings,
            noted: AtomicBool::new(false),
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
        let relays = relayed.into_iter().map(|(of, stored, held, breaker)| {
            Relay::new(engine.core.clone(), of, stored, held, breaker)
        });
        engine.start_loops(relays.zip(receivers));
        engine
    }

    fn start_loops(&self, relays: impl Iterator<Item = (Relay, relay::Queue)>) {
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

    /// Queues a command, waiting a moment for room. Commands of one order are carried out in the
    /// order in which they were queued; the answer comes with the value returned.
    ///
    /// # Errors
    /// Where the queue stays full or the engine is shutting down; nothing was done then.
    pub async fn enqueue(&self, id: OrderId, command: Command) -> Result<Pending, SubmitError> {
        if self.stop_deciding.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        self.commands.enqueue(&self.core, id, command).await
    }

    /// One order with the terms it was placed under.
    ///
    /// # Errors
    /// Where the store does not answer or the record cannot be read.
    pub async fn show(
        &self,
        id: &OrderId,
    ) -> Result<Option<(Arc<Order>, Arc<Terms>)>, SubmitError> {
        let away = |error: StoreError| SubmitError::Store(error.to_string());
        let found = self.core.store.load(std::slice::from_ref(id)).await.pop();
        let Some(found) = found else { return Ok(None) };
        let order = found
            .map_err(away)?
            .value
            .map_err(|error| SubmitError::Unreadable(error.to_string()))?;
        let Some(order) = order else { return Ok(None) };
        self.core.book.learn(&*self.core.store, std::iter::once(&order)).await.map_err(away)?;
        let terms = self.core.book.get(&order.revision);
        let terms = terms.ok_or_else(|| {
            SubmitError::Unreadable(format!("the terms {} are not in the store", order.revision))
        })?;
        Ok(Some((Arc::new(order), terms)))
    }

    /// A page of orders.
    ///
    /// # Errors
    /// Where the store does not answer or the cursor is not one of this view.
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
    /// Where the store does not answer.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.core.store.stats().await
    }

    /// Keeps names in mind, in the store.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn remember(&self, names: &[String]) -> Result<(), StoreError> {
        self.set_remembered(names, Some("1")).await
    }

    /// Which of `names` are kept in mind.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn remembered(&self, names: &[String]) -> Result<Vec<bool>, StoreError> {
        let mut known = Vec::with_capacity(names.len());
        for names in names.chunks(NAMES) {
            let (_, values) = self.core.store.get(Space::Remembered, names).await?;
            known.extend(values.into_iter().map(|value| value.is_some()));
        }
        Ok(known)
    }

    /// Keeps names in mind no longer.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn forget(&self, names: &[String]) -> Result<(), StoreError> {
        self.set_remembered(names, None).await
    }

    async fn set_remembered(
        &self,
        names: &[String],
        value: Option<&str>,
    ) -> Result<(), StoreError> {
        let change = |key| Cas { key, expected: Expected::Anything, value };
        for names in names.chunks(NAMES) {
            let changes: Vec<Cas<'_>> = names.iter().map(|name| change(name.as_str())).collect();
            self.core.store.compare_and_set(Space::Remembered, &changes).await?;
        }
        Ok(())
    }

    /// Whether this worker looks after the order first.
    #[must_use]
    pub fn is_mine(&self, id: &OrderId) -> bool {
        self.core.assignment.is_mine(self.core.shard_of(id))
    }

    /// Gives a sign of life, and tells whether it is this worker that scans: the first of those
    /// with an intake that gave one within `within`.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn leads_intake(&self, within: Span) -> Result<bool, StoreError> {
        let team = &self.core.assignment;
        Ok(team.leads_intake(&self.core.store.heartbeat(team.me(), within).await?))
    }

    /// Whether the store's time can be put forward.
    #[must_use]
    pub fn has_test_clock(&self) -> bool {
        self.core.store.about().test_clock
    }

    /// Puts the store's time forward. What has come due by it is looked at here at once, and by
    /// other workers at their next look; leases and waits for another attempt run out by it, too.
    ///
    /// # Errors
    /// Where the store has no test clock, it would be too far ahead, or the store does not answer.
    pub async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        let clock = self.core.store.advance(by).await?;
        tracing::info!(by = %by, ahead = %clock.ahead, "the test clock was put forward");
        self.core.due_index.time_moved();
        self.core.outbox.notify_all();
        Ok(clock)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.core.store.now().await.map(drop)
    }

    /// Stops: takes no more commands, finishes those it has and what is being decided; then takes
    /// no more entries and finishes the attempts in hand, all within `bound`. What is not finished
    /// by then is left to its lease.
    pub async fn stop(&self, bound: Duration) {
        let until = tokio::time::Instant::now() + bound;
        self.stop_deciding.cancel();
        self.deciding.close();
        let decided = tokio::time::timeout_at(until, async {
            tokio::join!(self.commands.drained(), self.deciding.wait())
        })
        .await;
        // Late is better than never, but not worth waiting for: a worker that says nothing is
        // missed soon, too.
        let _ =
            tokio::time::timeout_at(until, self.core.store.leave(self.core.assignment.me())).await;
        self.stop_attempting.cancel();
        self.attempting.close();
        let attempted = tokio::time::timeout_at(until, self.attempting.wait()).await;
        if decided.is_err() || attempted.is_err() {
            tracing::warn!(
                "not everything in hand was finished within {bound:?}; it goes on elsewhere when \
                    its lease ends"
            );
        }
    }
}

/// How many entries a relay may hold that it has not begun to work on, for each attempt that it
/// makes at a time.
const QUEUED_PER_ATTEMPT: usize = 8;

fn action_queue(subscription: Subscription) -> (ActionQueue, relay::Queue) {
    let (hand_off, queue) =
        tokio::sync::mpsc::channel((subscription.concurrency * QUEUED_PER_ATTEMPT).max(1));
    let breaker = Arc::new(Breaker::new(subscription.endpoint));
    (
        ActionQueue {
            subscription,
            hand_off,
            stored: Arc::default(),
            held: Arc::default(),
            breaker,
        },
        queue,
    )
}

impl EngineBuilder {
    /// Starts the worker: the sweeper, one relay for each action, retention. It goes on until
    /// [`Engine::stop`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(self) -> Engine {
        Engine::start(self)
    }
}
