//! A look at the keys of some orders: what is read there is submitted to the engine, where
//! something can follow from it.

use std::sync::{Mutex, PoisonError};

use autoreceive_domain::decide::Code;
use autoreceive_domain::{Command, Observation, OrderId, Span};

use super::shop::Trigger;
use super::words::{Class, Status};
use super::{CountFrom, Intake};
use crate::engine::{Reply, ReplyOutcome};
use crate::telemetry::Found;

use super::known::Known;

/// Orders of one batch that go the same way: which they are, and what was read.
type Seen = Vec<(OrderId, Status, Class)>;

/// Which orders a look may adopt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The very first scan: a paid order whose trigger is gone is history.
    First,
    /// Every other look: so is one that the first scan found to be history.
    Later,
    /// An operator asked for all of them.
    All,
}

/// Why no clock runs for an order that is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Its trigger was gone before anybody looked.
    History,
    /// It was placed by a command, and so follows commands.
    PlacedByCommand,
}

/// What a look found out.
#[derive(Debug, Default)]
pub struct Looked {
    /// How many orders were adopted.
    pub adopted: u64,
    /// How many were known already.
    pub unchanged: u64,
    /// How many others changed.
    pub changed: u64,
    /// How many paid ones are history.
    pub history: u64,
    /// How many were placed by a command.
    pub placed_by_command: u64,
    /// Which were left alone that were not known to be, and why.
    pub left: Vec<(OrderId, Left)>,
}

impl Looked {
    pub(super) fn add(&mut self, other: Looked) {
        self.adopted += other.adopted;
        self.unchanged += other.unchanged;
        self.changed += other.changed;
        self.history += other.history;
        self.placed_by_command += other.placed_by_command;
        self.left.extend(other.left);
    }

    fn leave(&mut self, id: OrderId, why: Left) {
        self.count(why);
        self.left.push((id, why));
    }

    fn count(&mut self, why: Left) {
        match why {
            Left::History => self.history += 1,
            Left::PlacedByCommand => self.placed_by_command += 1,
        }
    }
}

impl Intake {
    /// Looks at the keys of some orders. One look at a time: two that overlap could submit an older
    /// word after a newer one.
    ///
    /// # Errors
    /// Where the shop's Redis or the store does not answer. What was not submitted is looked at
    /// again.
    pub async fn look(&self, ids: Vec<OrderId>, scope: Scope) -> Result<Looked, String> {
        let _one_at_a_time = self.looking.lock().await;
        let statuses = self.shop.statuses(&ids).await?;
        let mut looked = Looked::default();
        let (paid, others) = self.news(ids, statuses, scope, &mut looked);
        looked.add(self.submit(self.without_our_own(others).await?).await?);
        let paid = self.without_history(paid, scope, &mut looked).await?;
        let names: Vec<String> = paid.iter().map(|(id, ..)| self.history_name(id)).collect();
        looked.add(self.submit(paid).await?);
        if scope == Scope::All {
            self.engine.forget(&names).await.map_err(|error| error.to_string())?;
        }
        Ok(looked)
    }

    /// The orders of which something may follow, the paid ones apart.
    fn news(
        &self,
        ids: Vec<OrderId>,
        statuses: Vec<Status>,
        scope: Scope,
        looked: &mut Looked,
    ) -> (Seen, Seen) {
        let (mut paid, mut others) = (Seen::new(), Seen::new());
        for (id, status) in ids.into_iter().zip(statuses) {
            let class = self.shop.words.class(&status);
            let known = if scope == Scope::All {
                None
            } else {
                with(&self.known, |known| known.recall(&id, class))
            };
            match (known, class) {
                (Some((_, left)), _) => left.into_iter().for_each(|why| looked.count(why)),
                (None, Class::Paid) => paid.push((id, status, class)),
                // Where nobody here has seen it paid, this may be the status of before the payment,
                // which another worker has seen meanwhile; and where it is none, the guard will
                // find it at the deadline.
                (None, Class::Other)
                    if with(&self.known, |known| known.last(&id)) != Some(Class::Paid) =>
                {
                    with(&self.known, |known| known.note(&id, class, None));
                }
                (None, _) => others.push((id, status, class)),
            }
        }
        (paid, others)
    }

    /// The receipts that the guard wrote are no news: their commit is on its way, or the order is
    /// still due.
    async fn without_our_own(
        &self,
        seen: Seen,
    ) -> Result<Vec<(OrderId, Class, Observation)>, String> {
        let received: Vec<OrderId> = seen
            .iter()
            .filter(|seen| seen.2 == Class::Received)
            .map(|seen| seen.0.clone())
            .collect();
        let mut marks = self.shop.marked(&received).await?.into_iter();
        let mut rest = Vec::with_capacity(seen.len());
        for (id, status, class) in seen {
            if class == Class::Received && marks.next().unwrap_or(false) {
                with(&self.known, |known| known.note(&id, class, None));
                continue;
            }
            let observation = self
                .shop
                .words
                .observation(&status, &self.settings.policy, None)
                .map_err(|wrong| wrong.to_string())?;
            rest.push((id, class, observation));
        }
        Ok(rest)
    }

    /// The paid orders whose clock is to run, each with its own time of silence where it is counted
    /// from the trigger.
    async fn without_history(
        &self,
        seen: Seen,
        scope: Scope,
        looked: &mut Looked,
    ) -> Result<Vec<(OrderId, Class, Observation)>, String> {
        let ids: Vec<OrderId> = seen.into_iter().map(|(id, ..)| id).collect();
        let ends = self.shop.ends(&ids).await?;
        let gone: Vec<OrderId> = ids
            .iter()
            .zip(&ends)
            .filter(|(_, end)| **end == Trigger::Gone)
            .map(|(id, _)| id.clone())
            .collect();
        let mut history = self.history(&gone, scope).await?.into_iter();
        let mut rest = Vec::with_capacity(ids.len());
        for (id, end) in ids.into_iter().zip(ends) {
            if end == Trigger::Gone && history.next().unwrap_or(false) {
                with(&self.known, |known| known.note(&id, Class::Paid, Some(Left::History)));
                looked.leave(id, Left::History);
                continue;
            }
            // Without a trigger that ends nothing says when, and the policy's own length counts:
            // rather late than early.
            let receive_after = match (self.settings.count_from, end) {
                (CountFrom::Trigger, Trigger::In(ms)) => Some(Span::from_ms(ms)),
                _ => None,
            };
            rest.push((
                id,
                Class::Paid,
                Observation::Paid { policy: self.settings.policy.name(), receive_after },
            ));
        }
        Ok(rest)
    }

    /// Which of the paid orders without a trigger are history.
    async fn history(&self, gone: &[OrderId], scope: Scope) -> Result<Vec<bool>, String> {
        let names: Vec<String> = gone.iter().map(|id| self.history_name(id)).collect();
        match scope {
            Scope::All => Ok(vec![false; gone.len()]),
            _ if names.is_empty() => Ok(Vec::new()),
            // What was adopted before, by another worker's scan for example, has a clock already
            // and is no history.
            Scope::First => {
                self.engine.remember(&names).await.map_err(|error| error.to_string())?;
                Ok(vec![true; gone.len()])
            }
            Scope::Later => self.engine.remembered(&names).await.map_err(|error| error.to_string()),
        }
    }

    /// Submits what was observed, all at once, and notes what became of each.
    async fn submit(&self, observed: Vec<(OrderId, Class, Observation)>) -> Result<Looked, String> {
        let mut pending = Vec::with_capacity(observed.len());
        for (id, class, observation) in observed {
            let queued =
                self.engine.enqueue(id.clone(), Command::Observe(Box::new(observation))).await;
            pending.push((id, class, queued.map_err(|error| error.to_string())?));
        }
        let (mut looked, mut failed) = (Looked::default(), None);
        for (id, class, answer) in pending {
            match answer.await {
                Ok(reply) => {
                    let left = self.note(&id, &reply, &mut looked);
                    with(&self.known, |known| known.note(&id, class, left));
                }
                Err(error) => failed = Some(error.to_string()),
            }
        }
        failed.map_or(Ok(looked), Err)
    }

    fn note(&self, id: &OrderId, reply: &Reply, looked: &mut Looked) -> Option<Left> {
        let figures = &self.figures;
        match (&reply.outcome, &reply.order) {
            (ReplyOutcome::Changed, Some((order, _))) if order.version == 1 => {
                looked.adopted += 1;
                figures.found(Found::Adopted);
            }
            (ReplyOutcome::Changed, _) => {
                looked.changed += 1;
                figures.found(Found::Changed);
            }
            (ReplyOutcome::Rejected(rejection), _) if rejection.code == Code::OrderExists => {
                looked.leave(id.clone(), Left::PlacedByCommand);
                return Some(Left::PlacedByCommand);
            }
            _ => looked.unchanged += 1,
        }
        None
    }
}

fn with<T>(known: &Mutex<Known>, f: impl FnOnce(&mut Known) -> T) -> T {
    f(&mut known.lock().unwrap_or_else(PoisonError::into_inner))
}
