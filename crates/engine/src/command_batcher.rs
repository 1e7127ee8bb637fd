//! Group commit: commands of many callers are gathered into batches, so that one round trip, and
//! one fsync, serves them all.
//!
//! Orders are spread over lanes by their shard, and a lane has one batch on its way at a time: so
//! commands of one order are carried out in the order in which they were queued, while the lanes
//! overlap.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use autoreceive_domain::{Command, Order, OrderId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use autoreceive_store::{At, Slot, StoreError};

use crate::core::Core;
use crate::metrics::BySource;
use crate::planned::{ChangeResult, Decided, ShardPlans};
use crate::reply::{Reply, ReplyOutcome, SubmitError};
use crate::settings::MAX_BATCH;

const LANES: usize = 4;
const QUEUE: usize = 2_048;
/// How long a caller waits for room in a full queue.
const ROOM_WITHIN: Duration = Duration::from_secs(1);
/// How often a batch is decided anew after a conflict or an unknown outcome.
const TRIES: u32 = 6;
/// The most commands of one order in a round. The rest goes into the next, in order.
const COMMANDS_OF_ONE_ORDER: usize = 64;
const SOURCE: &str = "commands";

struct Request {
    id: OrderId,
    command: Command,
    answer: oneshot::Sender<Result<Reply, SubmitError>>,
}

/// A queued command. Resolves to its answer.
pub struct Pending(oneshot::Receiver<Result<Reply, SubmitError>>);

impl Future for Pending {
    type Output = Result<Reply, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(SubmitError::Stopping)))
    }
}

/// The queues of the lanes.
#[derive(Clone)]
pub(crate) struct CommandBatcher {
    lanes: Arc<std::sync::RwLock<Vec<mpsc::Sender<Request>>>>,
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
        CommandBatcher { lanes: Arc::new(std::sync::RwLock::new(lanes)), running }
    }

    fn lane(&self, number: usize) -> Option<mpsc::Sender<Request>> {
        let lanes = self.lanes.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        lanes.get(number).cloned()
    }

    pub(crate) async fn enqueue(
        &self,
        core: &Core,
        id: OrderId,
        command: Command,
    ) -> Result<Pending, SubmitError> {
        let lane =
            self.lane(usize::from(core.shard_of(&id)) % LANES).ok_or(SubmitError::Stopping)?;
        let (answer, pending) = oneshot::channel();
        match lane.try_send(Request { id, command, answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(SubmitError::Stopping),
            Err(mpsc::error::TrySendError::Full(request)) => {
                lane.send_timeout(request, ROOM_WITHIN)
                    .await
                    .map_err(|_| SubmitError::Overloaded)?;
            }
        }
        Ok(Pending(pending))
    }

    /// Takes no more commands and returns when all that were queued are answered.
    pub(crate) async fn drained(&self) {
        self.lanes.write().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        self.running.wait().await;
    }
}

async fn run_lane(core: Arc<Core>, mut queue: mpsc::Receiver<Request>) {
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
struct Group {
    id: OrderId,
    commands: Vec<Command>,
    answers: Vec<oneshot::Sender<Result<Reply, SubmitError>>>,
    /// What was sent to the store without an answer: found there, it was committed.
    sent: Option<Sent>,
}

struct Sent {
    order: Arc<Order>,
    replies: Vec<Reply>,
}

fn group(requests: impl Iterator<Item = Request>) -> Vec<Group> {
    let (mut groups, mut at): (Vec<Group>, HashMap<OrderId, usize>) = (Vec::new(), HashMap::new());
    for Request { id, command, answer } in requests {
        let index = *at.entry(id.clone()).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Group { id, commands: Vec::new(), answers: Vec::new(), sent: None });
        }
        if let Some(group) = groups.get_mut(index) {
            group.commands.push(command);
            group.answers.push(answer);
        }
    }
    groups
}

/// Leaves at most [`COMMANDS_OF_ONE_ORDER`] commands in each group, and returns the others.
fn split_off(groups: &mut [Group]) -> Vec<Group> {
    groups.iter_mut().filter_map(|group| group.split_off(COMMANDS_OF_ONE_ORDER)).collect()
}

/// The commands that are carried out next: of one order first those that were `left` over, then the
/// `rest`.
fn in_order(left: Vec<Group>, rest: Vec<Group>) -> Vec<Group> {
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

impl Group {
    /// The commands from `count` on, where there are more.
    fn split_off(&mut self, count: usize) -> Option<Group> {
        if self.commands.len() <= count {
            return None;
        }
        let (commands, answers) = (self.commands.split_off(count), self.answers.split_off(count));
        Some(Group { id: self.id.clone(), commands, answers, sent: None })
    }

    fn answer(self, replies: Vec<Reply>) {
        for (answer, reply) in self.answers.into_iter().zip(replies) {
            let _ = answer.send(Ok(reply));
        }
    }

    /// Where nothing was sent, nothing was written, and the callers are told at once. Otherwise the
    /// group is to be tried again.
    fn unless_unsent(self, error: &SubmitError) -> Option<Group> {
        if self.sent.is_some() {
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

/// Decides and commits a batch; what meets a conflict or an unknown outcome is loaded and decided
/// again. Returns the commands that did not fit into one commit.
async fn run_batch(core: &Core, mut groups: Vec<Group>) -> Vec<Group> {
    let mut last = String::from("other commits were always faster");
    let mut unfit = Vec::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
        }
        groups = attempt_batch(core, groups, &mut last, &mut unfit).await;
        if groups.is_empty() {
            return unfit;
        }
    }
    for group in groups {
        group.fail(&SubmitError::Store(last.clone()));
    }
    unfit
}

/// One attempt. Returns the groups that have to be decided again; commands that do not fit into
/// this round go to `unfit`.
async fn attempt_batch(
    core: &Core,
    groups: Vec<Group>,
    last: &mut String,
    unfit: &mut Vec<Group>,
) -> Vec<Group> {
    let loaded = load(core, groups.iter().map(|group| group.id.clone()).collect()).await;
    let (mut again, mut waiting, mut plans) = (Vec::new(), Vec::new(), ShardPlans::default());
    for (mut group, found) in groups.into_iter().zip(loaded) {
        let At { now, shard, value } = match found {
            Ok(at) => at,
            Err(error) => {
                *last = error.to_string();
                again.extend(group.unless_unsent(&SubmitError::Store(error.to_string())));
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
        if let Some(sent) = group.sent.take_if(|sent| order.as_ref() == Some(&sent.order)) {
            group.answer(sent.replies);
            continue;
        }
        let Decided { replies, terms, planned } =
            match core.decide(&group.id, order, &group.commands, now) {
                Ok(decided) => decided,
                Err(error) => {
                    group.fail(&SubmitError::Unreadable(error.to_string()));
                    continue;
                }
            };
        if let Some(rest) = group.split_off(replies.len()) {
            *unfit = in_order(std::mem::take(unfit), vec![rest]);
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

/// Commits what was decided, and answers. Returns the groups that have to be decided again.
async fn commit(
    core: &Core,
    waiting: Vec<Waiting>,
    plans: ShardPlans,
    last: &mut String,
) -> Vec<Group> {
    let mut waiting: HashMap<OrderId, Waiting> =
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

/// The orders, with the terms of each learnt.
async fn load(core: &Core, ids: Vec<OrderId>) -> Vec<Result<At<Slot>, StoreError>> {
    let loaded = core.store.load(&ids).await;
    let orders = loaded.iter().flatten().filter_map(|at| at.value.as_ref().ok()?.as_ref());
    match core.book.learn(&*core.store, orders).await {
        Ok(()) => loaded,
        Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
    }
}

type Waiting = (Group, Vec<Reply>, Option<Arc<Order>>);

/// Answers a group by its result. Returns it where it has to be decided again.
fn settle(
    mut group: Group,
    replies: Vec<Reply>,
    order: Option<Arc<Order>>,
    result: ChangeResult,
    last: &mut String,
) -> Option<Group> {
    match result {
        ChangeResult::Done => group.answer(replies),
        ChangeResult::Refused(why) => group.fail(&SubmitError::Store(why)),
        ChangeResult::Conflict => return Some(group),
        ChangeResult::Unknown(why) => {
            *last = why;
            group.sent = order.map(|order| Sent { order, replies });
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
