//! What every part of the engine shares, and the one way to commit: changes are laid out by shard, bounded in count and
//! bytes, committed, and what was committed is handed to the relays.

use std::collections::BTreeMap;
use std::sync::Arc;

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{
    Cause, Command, Decision, Event, EventKind, Order, OrderId, Policies, Policy, Terms, Time, decide, decide::decide_absent,
};

use super::builder::Settings;
use super::outbox::{Outbox, Prepared};
use super::team::Team;
use super::terms::TermsBook;
use super::wakes::Wakes;
use super::{Engine, ReplyOutcome};
use crate::metrics::{ByCause, BySource, Metrics};
use autoreceive_store::now::StoreTime;
use autoreceive_store::{Change, Commit, RestNote, Shard, Store, Verdict};

/// The most bytes of records in one commit: a script that writes more would block the server for others.
const COMMIT_BYTES: usize = 256 * 1_024;

/// What an order takes without its `data`, roughly.
const ORDER_BYTES: usize = 160;

pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) book: TermsBook,
    pub(crate) policies: Policies,
    pub(crate) outbox: Outbox,
    pub(crate) wakes: Wakes,
    pub(crate) time: StoreTime,
    pub(crate) team: Team,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
}

/// A change with the terms that tell how long it is kept once it rests, and the policy where it places an order.
pub(crate) struct Planned {
    pub(crate) change: Change,
    pub(crate) terms: Option<Arc<Terms>>,
    pub(crate) policy: Option<Policy>,
    /// The deadline that ran until now, for the lag of a receipt.
    pub(crate) deadline: Option<Time>,
}

impl Planned {
    /// Whether the timer makes an adopted order RECEIVED by it, about which the shop has a say.
    pub(crate) fn receives_adopted(&self) -> bool {
        let receives = |order: &Arc<Order>| order.adopted && order.kind == EventKind::Received && order.cause == Cause::Timer;
        self.change.order.as_ref().is_some_and(receives)
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    Done,
    Conflict,
    Refused(String),
    Unknown(String),
}

/// What commands about one order came to.
pub(crate) struct Decided {
    /// For each command how it went, and the order as it left it.
    pub(crate) replies: Vec<(ReplyOutcome, Option<Arc<Order>>)>,
    /// The order's terms, where there is an order.
    pub(crate) terms: Option<Arc<Terms>>,
    /// What is to be committed, if anything.
    pub(crate) planned: Option<Planned>,
}

impl Planned {
    /// The change that leads from what was loaded to `order`.
    fn new(loaded: Option<&Order>, order: Arc<Order>, events: Vec<Event>, terms: Option<Arc<Terms>>) -> Planned {
        let was = loaded.filter(|order| !order.is_resting()).map(|order| order.status);
        let expected = loaded.map_or(0, |order| order.version);
        let deadline = loaded.and_then(|order| order.clock.deadline());
        Planned { change: Change { id: order.id.clone(), expected, was, order: Some(order), events }, terms, policy: None, deadline }
    }
}

/// A batch of changes of one shard on its way.
struct Batch {
    commit: Arc<Commit>,
    prepared: Vec<Prepared>,
    /// The position of each change among those that were planned.
    origin: Vec<usize>,
    /// The deadline of each change that ran until now.
    deadlines: Vec<Option<Time>>,
}

impl Core {
    /// Decides commands about one order, each on the result of the one before.
    pub(crate) fn decide<'a>(
        &self,
        id: &OrderId,
        loaded: Option<Arc<Order>>,
        commands: impl Iterator<Item = &'a Command>,
        now: Time,
    ) -> Result<Decided, Unreadable> {
        let (mut order, mut policy, mut terms) = (loaded.clone(), None, None);
        if let Some(order) = &order {
            terms = Some(self.book.get(&order.revision).ok_or_else(|| terms_missing(order))?);
        }
        let (mut replies, mut events) = (Vec::new(), Vec::new());
        for command in commands {
            let named = match command.policy().map(|name| self.policies.get(name)).transpose() {
                Ok(named) => named,
                Err(unknown) => {
                    replies.push((ReplyOutcome::UnknownPolicy(unknown), order.clone()));
                    continue;
                }
            };
            let decision = match (&order, &terms) {
                (Some(order), Some(terms)) => decide(order, command, now, terms),
                _ => decide_absent(id, command, now, named),
            };
            let outcome = match decision {
                Decision::Unchanged => ReplyOutcome::Unchanged,
                Decision::Rejected(rejection) => ReplyOutcome::Rejected(rejection),
                Decision::Changed(next) => {
                    if let Some(of_new) = named.filter(|_| order.is_none()) {
                        (policy, terms) = (Some(of_new.clone()), Some(of_new.terms.clone()));
                    }
                    events.push(Event(next.clone()));
                    order = Some(next);
                    ReplyOutcome::Changed
                }
            };
            replies.push((outcome, order.clone()));
        }
        let planned = order
            .filter(|_| !events.is_empty())
            .map(|order| Planned { policy, ..Planned::new(loaded.as_deref(), order, events, terms.clone()) });
        Ok(Decided { replies, terms, planned })
    }

    /// Decides what the timer does about an order whose wake has come, if anything.
    pub(crate) fn decide_due(&self, order: &Order, now: Time) -> Result<Option<Planned>, Unreadable> {
        let terms = self.book.get(&order.revision).ok_or_else(|| terms_missing(order))?;
        match decide(order, &Command::Due, now, &terms) {
            Decision::Changed(next) => Ok(Some(Planned::new(Some(order), next.clone(), vec![Event(next)], Some(terms)))),
            Decision::Unchanged | Decision::Rejected(_) => Ok(None),
        }
    }

    /// Commits what was planned at `now` and hands it to the relays. One fate for each, in their order.
    pub(crate) async fn commit(&self, source: &'static str, now: Time, planned: Vec<Planned>) -> Vec<Fate> {
        let mut fates = vec![Fate::Conflict; planned.len()];
        let batches = self.lay_out(now, planned);
        let verdicts = self.store.commit(batches.iter().map(|batch| batch.commit.clone()).collect()).await;
        for (batch, verdict) in batches.into_iter().zip(verdicts) {
            let fate = |i: u32| match &verdict {
                Verdict::Done { losers } if losers.contains(&i) => Fate::Conflict,
                Verdict::Done { .. } => Fate::Done,
                Verdict::Refused(why) => Fate::Refused(why.clone()),
                Verdict::Unknown(why) => Fate::Unknown(why.clone()),
            };
            set_fates(&mut fates, &batch.origin, fate);
            if let Verdict::Done { losers } = verdict {
                self.note_done(source, &batch, &losers);
                let commit = &batch.commit;
                self.outbox.hand_over(commit.shard, &commit.entries, batch.prepared, &commit.changes, &losers);
            }
        }
        fates
    }

    fn lay_out(&self, now: Time, planned: Vec<Planned>) -> Vec<Batch> {
        let mut by_shard: Vec<(Shard, Vec<(usize, Planned)>)> = Vec::new();
        for (i, planned) in planned.into_iter().enumerate() {
            let shard = self.store.shard_of(&planned.change.id);
            match by_shard.iter_mut().find(|(known, _)| *known == shard) {
                Some((_, list)) => list.push((i, planned)),
                None => by_shard.push((shard, vec![(i, planned)])),
            }
        }
        let bounded = by_shard.into_iter().flat_map(|(shard, list)| in_bounds(list).into_iter().map(move |part| (shard, part)));
        bounded.map(|(shard, part)| self.batch(shard, now, part)).collect()
    }

    fn batch(&self, shard: Shard, now: Time, part: Vec<(usize, Planned)>) -> Batch {
        let notes = rest_notes(now, &part);
        let mut policies: Vec<Policy> = Vec::new();
        let (mut changes, mut origin, mut deadlines) = (Vec::with_capacity(part.len()), Vec::new(), Vec::new());
        for (i, planned) in part {
            if let Some(policy) = planned.policy.filter(|policy| policies.iter().all(|known| known.revision != policy.revision)) {
                policies.push(policy);
            }
            changes.push(planned.change);
            origin.push(i);
            deadlines.push(planned.deadline);
        }
        let (entries, prepared) = self.outbox.entries(&changes, now);
        let commit = Arc::new(Commit { shard, now, changes, entries, policies, notes, notes_done: Vec::new() });
        Batch { commit, prepared, origin, deadlines }
    }

    fn note_done(&self, source: &'static str, batch: &Batch, losers: &[u32]) {
        if !losers.is_empty() {
            self.metrics.conflicts.get_or_create(&BySource { source }).inc_by(losers.len() as u64);
        }
        let commit = &batch.commit;
        let mut nearest: Option<Time> = None;
        let mut received: BTreeMap<Cause, u64> = BTreeMap::new();
        for (i, (change, deadline)) in (0u32..).zip(commit.changes.iter().zip(&batch.deadlines)) {
            if !losers.is_empty() && losers.contains(&i) {
                continue;
            }
            let wake = change.order.as_ref().and_then(|order| order.wake());
            nearest = [nearest, wake].into_iter().flatten().min();
            self.note_events(change, *deadline, commit.now);
            for event in change.events.iter().filter(|event| event.kind() == EventKind::Received) {
                *received.entry(event.cause()).or_default() += 1;
            }
        }
        for (cause, count) in received {
            self.metrics.received.get_or_create(&ByCause::of(cause)).inc_by(count);
        }
        if let Some(wake) = nearest {
            self.wakes.hint(commit.shard, wake);
        }
    }

    /// One line for each event, and what is measured about receipts.
    fn note_events(&self, change: &Change, deadline: Option<Time>, now: Time) {
        for event in &change.events {
            let timed = event.cause() == Cause::Timer;
            let deadline = deadline.filter(|_| timed && event.kind() != EventKind::ReceiveReminder);
            let lag_ms = deadline.map(|deadline| now.since(deadline).ms());
            if event.kind() == EventKind::Received {
                lag_ms.iter().for_each(|&lag_ms| self.metrics.lag.observe(lag_ms as f64 / 1_000.0));
            }
            log_event(event, deadline, lag_ms);
        }
    }
}

/// What the timer did and every receipt is told to whoever runs the service; the rest is detail.
fn log_event(event: &Event, deadline: Option<Time>, lag_ms: Option<i64>) {
    let (order, status) = (&event.0.id, event.0.status);
    let deadline = deadline.map(tracing::field::display);
    if event.cause() == Cause::Timer || event.kind() == EventKind::Received {
        tracing::info!(%order, %status, cause = %event.cause(), deadline, lag_ms, "{}", event.kind());
    } else {
        tracing::debug!(%order, %status, cause = %event.cause(), "{}", event.kind());
    }
}

fn terms_missing(order: &Order) -> Unreadable {
    Unreadable { id: order.id.to_string(), what: format!("its terms {} are not in the store", order.revision) }
}

fn set_fates(fates: &mut [Fate], origin: &[usize], fate: impl Fn(u32) -> Fate) {
    for (i, &at) in (0u32..).zip(origin) {
        if let Some(place) = fates.get_mut(at) {
            *place = fate(i);
        }
    }
}

/// Cuts a shard's changes into commits of at most [`Engine::MAX_BATCH`] orders and [`COMMIT_BYTES`].
fn in_bounds(list: Vec<(usize, Planned)>) -> Vec<Vec<(usize, Planned)>> {
    let (mut parts, mut bytes) = (vec![Vec::new()], 0);
    for (i, planned) in list {
        let data = planned.change.order.as_ref().and_then(|order| order.data.as_ref()).map_or(0, |data| data.as_str().len());
        let size = (ORDER_BYTES + data) * planned.change.events.len().max(1);
        let full =
            parts.last().is_some_and(|part: &Vec<_>| part.len() >= Engine::MAX_BATCH || bytes + size > COMMIT_BYTES && !part.is_empty());
        if full {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.push((i, planned));
        }
    }
    parts
}

/// The orders that rest after this commit, by when to look at them.
fn rest_notes(now: Time, part: &[(usize, Planned)]) -> Vec<RestNote> {
    let mut notes: Vec<RestNote> = Vec::new();
    for (i, (_, planned)) in (0u32..).zip(part) {
        let rests = planned.change.order.as_ref().is_some_and(|order| order.is_resting());
        let Some(terms) = planned.terms.as_ref().filter(|_| rests) else { continue };
        let look_at = now.after(terms.retain_for);
        match notes.iter_mut().find(|note| note.look_at == look_at) {
            Some(note) => note.members.push(i),
            None => notes.push(RestNote { look_at, members: vec![i] }),
        }
    }
    notes
}
