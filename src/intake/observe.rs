//! Reads the keys of some orders and submits the changes to the engine.

use autoreceive_domain::decide::Code;
use autoreceive_domain::{Command, Observation, OrderId, Span};

use super::shop::Trigger;
use super::words::{ShopStatus, StatusClass};
use super::{CountFrom, Intake, IntakeError};
use crate::engine::{Reply, ReplyOutcome};
use crate::telemetry::IntakeChange;

/// Orders and their statuses, as read.
type StatusList = Vec<(OrderId, ShopStatus, StatusClass)>;
/// Orders and the observations to submit.
type ObservationList = Vec<(OrderId, StatusClass, Observation)>;

/// The paid orders that may be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The first scan: a paid order without a trigger becomes history.
    First,
    /// Every later check: history stays history.
    Later,
    /// `autoreceive adopt`: all of them.
    All,
}

/// Why no clock runs for a paid order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Its trigger was gone before the first scan.
    History,
    /// It was placed by a command, so it follows commands.
    PlacedByCommand,
}

/// The result of a check or a scan.
#[derive(Debug, Default)]
pub struct ScanOutcome {
    /// Orders adopted now.
    pub adopted: u64,
    /// Adopted orders without a change.
    pub unchanged: u64,
    /// Adopted orders that changed.
    pub changed: u64,
    /// Paid orders that are history.
    pub history: u64,
    /// Orders that were placed by a command.
    pub placed_by_command: u64,
    /// Orders that are skipped for the first time, and the reason.
    pub skipped: Vec<(OrderId, SkipReason)>,
}

impl ScanOutcome {
    pub(super) fn add(&mut self, other: ScanOutcome) {
        self.adopted += other.adopted;
        self.unchanged += other.unchanged;
        self.changed += other.changed;
        self.history += other.history;
        self.placed_by_command += other.placed_by_command;
        self.skipped.extend(other.skipped);
    }

    fn skip(&mut self, id: OrderId, reason: SkipReason) {
        self.count(reason);
        self.skipped.push((id, reason));
    }

    fn count(&mut self, reason: SkipReason) {
        match reason {
            SkipReason::History => self.history += 1,
            SkipReason::PlacedByCommand => self.placed_by_command += 1,
        }
    }
}

impl Intake {
    /// Reads the keys of some orders and submits the changes. One call at a time: overlapping calls
    /// could submit an older status after a newer one.
    ///
    /// # Errors
    /// If the shop's Redis or the store does not answer. The next scan repeats the rest.
    pub async fn observe(
        &self,
        ids: Vec<OrderId>,
        scope: Scope,
    ) -> Result<ScanOutcome, IntakeError> {
        let _one_at_a_time = self.observing.lock().await;
        let statuses = self.shop.statuses(&ids).await?;
        let mut outcome = ScanOutcome::default();
        let (paid, others) = self.changed(ids, statuses, scope, &mut outcome);
        outcome.add(self.submit(self.without_our_own(others).await?).await?);
        let paid = self.without_history(paid, scope, &mut outcome).await?;
        let names: Vec<String> = paid.iter().map(|(id, ..)| self.history_name(id)).collect();
        outcome.add(self.submit(paid).await?);
        if scope == Scope::All {
            self.engine.forget(&names).await?;
        }
        Ok(outcome)
    }

    /// The orders to check, split into paid ones and others.
    fn changed(
        &self,
        ids: Vec<OrderId>,
        statuses: Vec<ShopStatus>,
        scope: Scope,
        outcome: &mut ScanOutcome,
    ) -> (StatusList, StatusList) {
        let mut paid = StatusList::new();
        let mut others = StatusList::new();
        let mut seen = self.seen.lock();
        for (id, status) in ids.into_iter().zip(statuses) {
            let class = self.shop.words.class(&status);
            let unchanged = if scope == Scope::All { None } else { seen.unchanged(&id, class) };
            match (unchanged, class) {
                (Some((_, skipped)), _) => {
                    if let Some(reason) = skipped {
                        outcome.count(reason);
                    }
                }
                (None, StatusClass::Paid) => paid.push((id, status, class)),
                // An unknown status of an order that this worker has not seen as paid. It may be
                // older than a payment that another worker has seen. If it is newer, the guard
                // finds it at the deadline.
                (None, StatusClass::Other) if seen.last(&id) != Some(StatusClass::Paid) => {
                    seen.insert(&id, class, None);
                }
                (None, _) => others.push((id, status, class)),
            }
        }
        (paid, others)
    }

    /// Removes the receipts that the guard wrote: they are committed already, or the order is still
    /// due.
    async fn without_our_own(&self, list: StatusList) -> Result<ObservationList, IntakeError> {
        let received: Vec<OrderId> = list
            .iter()
            .filter(|(_, _, class)| *class == StatusClass::Received)
            .map(|(id, ..)| id.clone())
            .collect();
        let mut marks = self.shop.marked(&received).await?.into_iter();
        let mut rest = Vec::with_capacity(list.len());
        for (id, status, class) in list {
            if class == StatusClass::Received && marks.next().unwrap_or(false) {
                self.seen.lock().insert(&id, class, None);
                continue;
            }
            let observation = self.shop.words.observation(&status, &self.settings.policy, None)?;
            rest.push((id, class, observation));
        }
        Ok(rest)
    }

    /// Removes the paid orders that are history. The others get the length of their clock, if it
    /// counts from the trigger.
    async fn without_history(
        &self,
        list: StatusList,
        scope: Scope,
        outcome: &mut ScanOutcome,
    ) -> Result<ObservationList, IntakeError> {
        let ids: Vec<OrderId> = list.into_iter().map(|(id, ..)| id).collect();
        let triggers = self.shop.trigger_ends(&ids).await?;
        let gone: Vec<OrderId> = ids
            .iter()
            .zip(&triggers)
            .filter(|(_, trigger)| **trigger == Trigger::Gone)
            .map(|(id, _)| id.clone())
            .collect();
        let mut history = self.history(&gone, scope).await?.into_iter();
        let mut rest = Vec::with_capacity(ids.len());
        for (id, trigger) in ids.into_iter().zip(triggers) {
            if trigger == Trigger::Gone && history.next().unwrap_or(false) {
                let reason = SkipReason::History;
                self.seen.lock().insert(&id, StatusClass::Paid, Some(reason));
                outcome.skip(id, reason);
                continue;
            }
            // Without a trigger that ends, the policy's length counts: late is better than early.
            let receive_after = match (self.settings.count_from, trigger) {
                (CountFrom::Trigger, Trigger::EndsIn(ms)) => Some(Span::from_ms(ms)),
                _ => None,
            };
            let policy = self.settings.policy.name();
            rest.push((id, StatusClass::Paid, Observation::Paid { policy, receive_after }));
        }
        Ok(rest)
    }

    /// Whether each of the paid orders without a trigger is history.
    async fn history(&self, gone: &[OrderId], scope: Scope) -> Result<Vec<bool>, IntakeError> {
        let names: Vec<String> = gone.iter().map(|id| self.history_name(id)).collect();
        match scope {
            Scope::All => Ok(vec![false; gone.len()]),
            _ if names.is_empty() => Ok(Vec::new()),
            // An order that another worker has adopted already keeps its clock.
            Scope::First => {
                self.engine.remember(&names).await?;
                Ok(vec![true; gone.len()])
            }
            Scope::Later => Ok(self.engine.remembered(&names).await?),
        }
    }

    /// Submits all observations at once, and remembers the status of each order.
    async fn submit(&self, observations: ObservationList) -> Result<ScanOutcome, IntakeError> {
        let mut pending = Vec::with_capacity(observations.len());
        for (id, class, observation) in observations {
            let command = Command::Observe(Box::new(observation));
            pending.push((id.clone(), class, self.engine.enqueue(id, command).await?));
        }
        let mut outcome = ScanOutcome::default();
        let mut failed = None;
        for (id, class, reply) in pending {
            match reply.await {
                Ok(reply) => {
                    let skipped = self.count(&id, &reply, &mut outcome);
                    self.seen.lock().insert(&id, class, skipped);
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(outcome),
        }
    }

    fn count(&self, id: &OrderId, reply: &Reply, outcome: &mut ScanOutcome) -> Option<SkipReason> {
        match (&reply.outcome, &reply.order) {
            (ReplyOutcome::Changed, Some((order, _))) if order.version == 1 => {
                outcome.adopted += 1;
                self.figures.changed(IntakeChange::Adopted);
            }
            (ReplyOutcome::Changed, _) => {
                outcome.changed += 1;
                self.figures.changed(IntakeChange::Followed);
            }
            (ReplyOutcome::Rejected(rejection), _) if rejection.code == Code::OrderExists => {
                outcome.skip(id.clone(), SkipReason::PlacedByCommand);
                return Some(SkipReason::PlacedByCommand);
            }
            _ => outcome.unchanged += 1,
        }
        None
    }
}
