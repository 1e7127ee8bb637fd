//! Group commit: commands of many callers are gathered into batches, so that one round trip, and one fsync, serves them all.
//!
//! Orders are spread over lanes by their shard, and a lane has one batch on its way at a time: so commands of one order are
//! carried out in the order in which they were queued, while the lanes overlap.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use autoreceive_domain::{Command, Order, OrderId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::core::{Core, Decided, Fate};
use super::{Engine, Reply, ReplyOutcome, SubmitError};
use crate::metrics::BySource;
use autoreceive_store::StoreError;

const LANES: usize = 4;
const QUEUE: usize = 2_048;
/// How long a caller waits for room in a full queue.
const ROOM_WITHIN: Duration = Duration::from_secs(1);
/// How often a batch is decided anew after a conflict or an unknown outcome.
const TRIES: u32 = 6;
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
pub(crate) struct Gather {
    lanes: Arc<std::sync::RwLock<Vec<mpsc::Sender<Request>>>>,
    running: TaskTracker,
}

impl Gather {
    pub(crate) fn start(core: &Arc<Core>) -> Gather {
        let running = TaskTracker::new();
        let start_lane = |_| {
            let (sender, queue) = mpsc::channel(QUEUE);
            running.spawn(run_lane(core.clone(), queue));
            sender
        };
        let lanes = (0..LANES).map(start_lane).collect();
        running.close();
        Gather { lanes: Arc::new(std::sync::RwLock::new(lanes)), running }
    }

    fn lane(&self, number: usize) -> Option<mpsc::Sender<Request>> {
        let lanes = self.lanes.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        lanes.get(number).cloned()
    }

    pub(crate) async fn enqueue(&self, core: &Core, id: OrderId, command: Command) -> Result<Pending, SubmitError> {
        let lane = self.lane(usize::from(core.store.shard_of(&id)) % LANES).ok_or(SubmitError::Stopping)?;
        let (answer, pending) = oneshot::channel();
        match lane.try_send(Request { id, command, answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(SubmitError::Stopping),
            Err(mpsc::error::TrySendError::Full(request)) => {
                lane.send_timeout(request, ROOM_WITHIN).await.map_err(|_| SubmitError::Overloaded)?;
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
    let mut requests = Vec::with_capacity(Engine::MAX_BATCH);
    while queue.recv_many(&mut requests, Engine::MAX_BATCH).await > 0 {
        let batch = group(requests.drain(..));
        core.metrics.batch_orders.get_or_create(&BySource { source: SOURCE }).observe(batch.len() as f64);
        run_batch(&core, batch).await;
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

impl Group {
    fn answer(self, replies: Vec<Reply>) {
        for (answer, reply) in self.answers.into_iter().zip(replies) {
            let _ = answer.send(Ok(reply));
        }
    }

    fn fail(self, error: &SubmitError) {
        for answer in self.answers {
            let _ = answer.send(Err(error.clone()));
        }
    }
}

/// Decides and commits a batch; what meets a conflict or an unknown outcome is loaded and decided again.
async fn run_batch(core: &Core, mut groups: Vec<Group>) {
    let mut last = String::from("other commits were always faster");
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
        }
        match attempt_batch(core, groups, &mut last).await {
            left if left.is_empty() => return,
            left => groups = left,
        }
    }
    for group in groups {
        group.fail(&SubmitError::Store(last.clone()));
    }
}

/// One attempt. Returns the groups that have to be decided again.
async fn attempt_batch(core: &Core, groups: Vec<Group>, last: &mut String) -> Vec<Group> {
    let ids: Vec<OrderId> = groups.iter().map(|group| group.id.clone()).collect();
    let loaded = match load(core, &ids).await {
        Ok(loaded) => loaded,
        Err(error) => {
            *last = error.to_string();
            return fail_unsent(groups, &SubmitError::Store(error.to_string()));
        }
    };
    core.time.heard(loaded.now);
    let (mut waiting, mut planned) = (Vec::new(), Vec::new());
    for (mut group, order) in groups.into_iter().zip(loaded.orders) {
        let order = match order {
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
        match core.decide(&group.id, order, group.commands.iter(), loaded.now) {
            Err(error) => group.fail(&SubmitError::Unreadable(error.to_string())),
            Ok(Decided { replies, terms, planned: None }) => group.answer(to_replies(replies, terms.as_ref())),
            Ok(Decided { replies, terms, planned: Some(plan) }) => {
                waiting.push((group, to_replies(replies, terms.as_ref()), plan.change.order.clone()));
                planned.push(plan);
            }
        }
    }
    let fates = core.commit(SOURCE, loaded.now, planned).await;
    settle_groups(waiting, fates, last)
}

async fn load(core: &Core, ids: &[OrderId]) -> Result<autoreceive_store::Loaded, StoreError> {
    let loaded = core.store.load(ids).await?;
    core.book.learn(&*core.store, loaded.orders.iter().flatten().flatten()).await?;
    Ok(loaded)
}

type Waiting = (Group, Vec<Reply>, Option<Arc<Order>>);

fn settle_groups(waiting: Vec<Waiting>, fates: Vec<Fate>, last: &mut String) -> Vec<Group> {
    let mut again = Vec::new();
    for ((mut group, replies, order), fate) in waiting.into_iter().zip(fates) {
        match fate {
            Fate::Done => group.answer(replies),
            Fate::Refused(why) => group.fail(&SubmitError::Store(why)),
            Fate::Conflict => again.push(group),
            Fate::Unknown(why) => {
                *last = why;
                group.sent = order.map(|order| Sent { order, replies });
                again.push(group);
            }
        }
    }
    again
}

/// Nothing was written for groups of which nothing was sent: their callers are told at once.
fn fail_unsent(groups: Vec<Group>, error: &SubmitError) -> Vec<Group> {
    let (sent, unsent): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(|group| group.sent.is_some());
    for group in unsent {
        group.fail(error);
    }
    sent
}

fn to_replies(replies: Vec<(ReplyOutcome, Option<Arc<Order>>)>, terms: Option<&Arc<autoreceive_domain::Terms>>) -> Vec<Reply> {
    let reply = |(outcome, order): (ReplyOutcome, Option<Arc<Order>>)| Reply { outcome, order: order.zip(terms.cloned()) };
    replies.into_iter().map(reply).collect()
}
