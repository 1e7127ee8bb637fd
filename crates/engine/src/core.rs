//! What every part of the engine shares, and how it decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use autoreceive_domain::record::Unreadable;
use autoreceive_domain::{Command, Decision, Event, Order, OrderId, Policies, Shard, ShardCount, Time, decide, decide::decide_absent};
use autoreceive_store::now::StoreTime;
use autoreceive_store::{Cas, Expected, Space, Store};

use crate::backfills::Backfills;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::planned::{Decided, Planned};
use crate::reply::ReplyOutcome;
use crate::settings::{COMMIT_BYTES, ORDER_BYTES, Settings};
use crate::team::Team;
use crate::terms::TermsBook;
use crate::wakes::Wakes;

pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) shards: ShardCount,
    pub(crate) book: TermsBook,
    pub(crate) policies: Policies,
    pub(crate) outbox: Outbox,
    pub(crate) wakes: Wakes,
    pub(crate) time: StoreTime,
    pub(crate) team: Team,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    /// Whether the names of all actions are known to stand in the store.
    pub(crate) noted: AtomicBool,
    pub(crate) backfills: Backfills,
}

impl Core {
    /// Where an order lies.
    pub(crate) fn shard_of(&self, id: &OrderId) -> Shard {
        self.shards.of(id)
    }

    /// Decides commands about one order, each on the result of the one before, as many of them as
    /// fit into one commit; at least one.
    pub(crate) fn decide<'a>(
        &self,
        id: &OrderId,
        loaded: Option<Arc<Order>>,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Time,
    ) -> Result<Decided, Unreadable> {
        let (mut order, mut policy, mut terms) = (loaded.clone(), None, None);
        if let Some(order) = &order {
            let known = self.book.get(&order.revision);
            terms = Some(known.ok_or_else(|| terms_missing(order))?);
        }
        let (mut replies, mut events, mut bytes) = (Vec::new(), Vec::new(), 0);
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
                        policy = Some(of_new.clone());
                        terms = Some(of_new.terms.clone());
                    }
                    bytes += ORDER_BYTES + next.data.as_ref().map_or(0, |d| d.as_str().len());
                    events.push(Event(next.clone()));
                    order = Some(next);
                    ReplyOutcome::Changed
                }
            };
            replies.push((outcome, order.clone()));
            if bytes > COMMIT_BYTES {
                break;
            }
        }
        let planned = order
            .filter(|_| !events.is_empty())
            .map(|order| Planned { policy, ..Planned::new(loaded.as_deref(), order, events, terms.clone()) });
        Ok(Decided { replies, terms, planned })
    }

    /// Decides what the timer does about an order whose due time has come, if anything.
    pub(crate) fn decide_due(&self, order: &Order, now: Time) -> Result<Option<Planned>, Unreadable> {
        let terms = self.book.get(&order.revision).ok_or_else(|| terms_missing(order))?;
        match decide(order, &Command::Due, now, &terms) {
            Decision::Changed(next) => {
                let events = vec![Event(next.clone())];
                Ok(Some(Planned::new(Some(order), next, events, Some(terms))))
            }
            Decision::Unchanged | Decision::Rejected(_) => Ok(None),
        }
    }

    /// Notes the names of all actions in the store once, so that their queues are shown after they
    /// have left the configuration. A crash before it leaves entries that no figure counts; they are
    /// counted, and delivered, as soon as a worker with that action starts. While the names cannot
    /// be noted, orders go on all the same.
    pub(crate) async fn note_actions(&self) {
        if self.noted.load(Ordering::Relaxed) {
            return;
        }
        let names: Vec<&str> = self.outbox.names().map(|name| name.as_str()).collect();
        let changes: Vec<Cas<'_>> = names.iter().map(|&key| Cas { key, expected: Expected::Nothing, value: Some("1") }).collect();
        let is_noted = changes.is_empty() || self.store.compare_and_set(Space::Actions, &changes).await.is_ok();
        self.noted.store(is_noted, Ordering::Relaxed);
    }
}

fn terms_missing(order: &Order) -> Unreadable {
    let what = format!("its terms {} are not in the store", order.revision);
    Unreadable { id: order.id.to_string(), what }
}
