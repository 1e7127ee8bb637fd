//! Group commit: gathers the commands of many callers into batches, so that they share one round
//! trip and one fsync.
//!
//! Orders are distributed over lanes by their shard, and each lane has one batch in flight. So
//! commands of one order are carried out in the order in which they were queued, while the lanes
//! work in parallel.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use autoreceive_domain::{Command, Order, OrderId};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use autoreceive_store::{At, Slot, StoreError};

use crate::core::Core;
use crate::metrics::BySource;
use crate::planned::{ChangeResult, DecidedCommands, ShardPlans};
use crate::reply::{Reply, ReplyOutcome, SubmitError};
use crate::settings::MAX_BATCH;

const LANES: usize = 4;
const QUEUE: usize = 2_048;
/// How long a caller waits for room in a full queue.
const ROOM_WITHIN: Duration = Duration::from_secs(1);
/// How often a batch is decided again after conflicts or unknown outcomes.
const MAX_ATTEMPTS: u32 = 6;
/// The most commands of one order in a round. The rest goes into the next round, in order.
const COMMANDS_OF_ONE_ORDER: usize = 64;
const SOURCE: &str = "commands";

struct QueuedCommand {
    id: OrderId,
    command: Command,
    answer: oneshot::Sender<Result<Reply, SubmitError>>,
}

/// A queued command. Resolves to its reply.
pub struct PendingReply(oneshot::Receiver<Result<Reply, SubmitError>>);

impl Future for PendingReply {
    type Output = Result<Reply, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(SubmitError::Stopping)))
    }
}

/// The queues of the lanes.
#[derive(Clone)]
pub(crate) struct CommandBatcher {
    lanes: Arc<RwLock<Vec<mpsc::Sender<QueuedCommand>>>>,
    running: TaskTracker,
}

impl CommandBatcher {
    pub(crate) fn start(core: &Arc<Core>) -> CommandBatcher {
        let running = TaskTracker::new();
        let start_lane = |_| {
            let (sender, queue) = mpsc::channel(QUEUE);
            running.spawn(run_lane(core.clone(), queue));
            sender
        };
        let lanes = (0..LANES).map(start_lane).collect();
        running.close();
        CommandBatcher { lanes: Arc::new(RwLock::new(lanes)), running }
    }

    fn lane(&self, number: usize) -> Option<mpsc::Sender<QueuedCommand>> {
        let lanes = self.lanes.read();
        lanes.get(number).cloned()
    }

    pub(crate) async fn enqueue(
        &self,
        core: &Core,
        id: OrderId,
        command: Command,
    ) -> Result<PendingReply, SubmitError> {
        let lane =
            self.lane(usize::from(core.shard_of(&id)) % LANES).ok_or(SubmitError::Stopping)?;
        let (answer, pending) = oneshot::channel();
        match lane.try_send(QueuedCommand { id, command, answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(SubmitError::Stopping),
            Err(mpsc::error::TrySendError::Full(request)) => {
                lane.send_timeout(request, ROOM_WITHIN)
                    .await
                    .map_err(|_| SubmitError::Overloaded)?;
            }
        }
        Ok(PendingReply(pending))
    }

    /// Takes no more commands and returns when all queued ones are answered.
    pub(crate) async fn drained(&self) {
        self.lanes.write().clear();
        self.running.wait().await;
    }
}

async fn run_lane(core: Arc<Core>, mut queue: mpsc::Receiver<QueuedCommand>) {
    let mut requests = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut requests, MAX_BATCH).await > 0 {
        let mut batch = group(requests.drain(..));
        core.note_actions().await;
        while !batch.is_empty() {
            core.metrics
                .batch_orders
                .get_or_create(&BySource { source: SOURCE })
                .observe(batch.len() as f64);
            let rest = split_off(&mut batch);
            let left = run_batch(&core, batch).await;
            batch = in_order(left, rest);
        }
    }
}

/// The commands of one order, in the order in which they were queued.
struct OrderCommands {
    id: OrderId,
    commands: Vec<Command>,
    answers: Vec<oneshot::Sender<Result<Reply, SubmitError>>>,
    /// The last commit, if its outcome is unknown. If the store contains this order, it was
    /// committed.
    unconfirmed: Option<UnconfirmedCommit>,
}

struct UnconfirmedCommit {
    order: Arc<Order>,
    replies: Vec<Reply>,
}

fn group(requests: impl Iterator<Item = QueuedCommand>) -> Vec<OrderCommands> {
    let mut groups: Vec<OrderCommands> = Vec::new();
    let mut index_of: HashMap<OrderId, usize> = HashMap::new();
    for QueuedCommand { id, command, answer } in requests {
        let index = *index_of.entry(id.clone()).or_insert(groups.len());
        if index == groups.len() {
            groups.push(OrderCommands {
                id,
                commands: Vec::new(),
                answers: Vec::new(),
                unconfirmed: None,
            });
        }
        if let Some(group) = groups.get_mut(index) {
            group.commands.push(command);
            group.answers.push(answer);
        }
    }
    groups
}

/// Leaves at most [`COMMANDS_OF_ONE_ORDER`] commands in each group, and returns the rest.
fn split_off(groups: &mut [OrderCommands]) -> Vec<OrderCommands> {
    groups.iter_mut().filter_map(|group| group.split_off(COMMANDS_OF_ONE_ORDER)).collect()
}

/// The groups of the next round. For each order the `left` commands come before the `rest`.
fn in_order(left: Vec<OrderCommands>, rest: Vec<OrderCommands>) -> Vec<OrderCommands> {
    let mut all = left;
    for group in rest {
        match all.iter_mut().find(|known| known.id == group.id) {
            Some(known) => {
                known.commands.extend(group.commands);
                known.answers.extend(group.answers);
            }
            None => all.push(group),
        }
    }
    all
}

impl OrderCommands {
    /// Splits off the commands from `count` on, if there are more.
    fn split_off(&mut self, count: usize) -> Option<OrderCommands> {
        if self.commands.len() <= count {
            return None;
        }
        let commands = self.commands.split_off(count);
        let answers = self.answers.split_off(count);
        Some(OrderCommands { id: self.id.clone(), commands, answers, unconfirmed: None })
    }

    fn answer(self, replies: Vec<Reply>) {
        for (answer, reply) in self.answers.into_iter().zip(replies) {
            let _ = answer.send(Ok(reply));
        }
    }

    /// Fails the group if no commit is unconfirmed, because nothing was written then. Otherwise
    /// returns it for another attempt.
    fn fail_if_unsent(self, error: &SubmitError) -> Option<OrderCommands> {
        if self.unconfirmed.is_some() {
            return Some(self);
        }
        self.fail(error);
        None
    }

    fn fail(self, error: &SubmitError) {
        for answer in self.answers {
            let _ = answer.send(Err(error.clone()));
        }
    }
}

/// Decides and commits a batch, again after a conflict or an unknown outcome. Returns the commands
/// that did not fit into one commit.
async fn run_batch(core: &Core, mut groups: Vec<OrderCommands>) -> Vec<OrderCommands> {
    let mut last = format!(
        "other commits changed the order {MAX_ATTEMPTS} times in a row; repeat the command"
    );
    let mut deferred = Vec::new();
    for attempt in 0..MAX_ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
        }
        groups = attempt_batch(core, groups, &mut last, &mut deferred).await;
        if groups.is_empty() {
            return deferred;
        }
    }
    for group in groups {
        group.fail(&SubmitError::Store(last.clone()));
    }
    deferred
}

/// One attempt. Returns the groups to decide again. Commands that do not fit into this round go to
/// `deferred`.
async fn attempt_batch(
    core: &Core,
    groups: Vec<OrderCommands>,
    last: &mut String,
    deferred: &mut Vec<OrderCommands>,
) -> Vec<OrderCommands> {
    let loaded = load(core, groups.iter().map(|group| group.id.clone()).collect()).await;
    let mut again = Vec::new();
    let mut waiting = Vec::new();
    let mut plans = ShardPlans::default();
    for (mut group, found) in groups.into_iter().zip(loaded) {
        let At { now, shard, value } = match found {
            Ok(at) => at,
            Err(error) => {
                *last = error.to_string();
                again.extend(group.fail_if_unsent(&SubmitError::Store(error.to_string())));
                continue;
            }
        };
        core.time.heard(now);
        let order = match value {
            Ok(order) => order.map(Arc::new),
            Err(error) => {
                group.fail(&SubmitError::Unreadable(error.to_string()));
                continue;
            }
        };
        let is_committed = |commit: &mut UnconfirmedCommit| order.as_ref() == Some(&commit.order);
        if let Some(commit) = group.unconfirmed.take_if(is_committed) {
            group.answer(commit.replies);
            continue;
        }
        let DecidedCommands { replies, terms, planned } =
            match core.decide(&group.id, order, &group.commands, now) {
                Ok(decided) => decided,
                Err(error) => {
                    group.fail(&SubmitError::Unreadable(error.to_string()));
                    continue;
                }
            };
        if let Some(rest) = group.split_off(replies.len()) {
            *deferred = in_order(std::mem::take(deferred), vec![rest]);
        }
        let replies = to_replies(replies, terms.as_ref());
        match planned {
            None => group.answer(replies),
            Some(plan) => {
                let order = plan.change.order.clone();
                waiting.push((group, replies, order));
                plans.add(core.shard_of(&plan.change.id), &At { now, shard, value: () }, plan);
            }
        }
    }
    again.extend(commit(core, waiting, plans, last).await);
    again
}

/// Commits the plans and answers. Returns the groups to decide again.
async fn commit(
    core: &Core,
    waiting: Vec<AwaitingCommit>,
    plans: ShardPlans,
    last: &mut String,
) -> Vec<OrderCommands> {
    let mut waiting: HashMap<OrderId, AwaitingCommit> =
        waiting.into_iter().map(|one| (one.0.id.clone(), one)).collect();
    let (plans, ids) = plans.into_parts();
    let results = core.commit(SOURCE, plans).await;
    let mut again = Vec::new();
    for (id, result) in ids.into_iter().flatten().zip(results.into_iter().flatten()) {
        if let Some((group, replies, order)) = waiting.remove(&id) {
            again.extend(settle(group, replies, order, result, last));
        }
    }
    again
}

/// Loads the orders and their terms.
async fn load(core: &Core, ids: Vec<OrderId>) -> Vec<Result<At<Slot>, StoreError>> {
    let loaded = core.store.load(&ids).await;
    let orders = loaded.iter().flatten().filter_map(|at| at.value.as_ref().ok()?.as_ref());
    match core.terms.load(&*core.store, orders).await {
        Ok(()) => loaded,
        Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
    }
}

type AwaitingCommit = (OrderCommands, Vec<Reply>, Option<Arc<Order>>);

/// Answers a group by its result. Returns it if it must be decided again.
fn settle(
    mut group: OrderCommands,
    replies: Vec<Reply>,
    order: Option<Arc<Order>>,
    result: ChangeResult,
    last: &mut String,
) -> Option<OrderCommands> {
    match result {
        ChangeResult::Done => group.answer(replies),
        ChangeResult::Refused(why) => group.fail(&SubmitError::Store(why)),
        ChangeResult::Conflict => return Some(group),
        ChangeResult::Unknown(why) => {
            *last = why;
            group.unconfirmed = order.map(|order| UnconfirmedCommit { order, replies });
            return Some(group);
        }
    }
    None
}

fn to_replies(
    replies: Vec<(ReplyOutcome, Option<Arc<Order>>)>,
    terms: Option<&Arc<autoreceive_domain::Terms>>,
) -> Vec<Reply> {
    let reply = |(outcome, order): (ReplyOutcome, Option<Arc<Order>>)| Reply {
        outcome,
        order: order.zip(terms.cloned()),
    };
    replies.into_iter().map(reply).collect()
}
