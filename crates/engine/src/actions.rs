//! Actions over time: one whose receiver was disabled, one that was added later, one that is no
//! longer configured.

use std::collections::BTreeMap;

use autoreceive_domain::{Circuit, Event, EventKind, Order};

use crate::action::Subscription;
use crate::circuits;
use crate::worker::Engine;
use autoreceive_store::{
    ActionName, ActionStats, EntryRef, FollowUp, Lane, NewEntry, Page, Queue, Row, Settlement,
    Stats, StoreError, View, Which, entry,
};

/// How many orders are read at a time, and how many times for one answer.
const SCANNED: usize = 500;
const SCANS: usize = 10;
/// No more is added while an action has so many entries to work on: a backfill of millions must not
/// fill the store.
const ENOUGH_PENDING: u64 = 20_000;
/// How many entries and dead letters are given to another action at a time, and how many times for
/// one answer.
const RELOCATED: usize = 1_000;
const RELOCATIONS: usize = 10;
/// How often another worker may be first with what is noted of a receiver.
const TRIES: usize = 10;

/// What one step of a backfill came to.
#[derive(Debug, Default, PartialEq)]
pub struct Backfilled {
    /// How many orders were looked at.
    pub scanned: u64,
    /// For how many of them an entry was added.
    pub added: u64,
    /// How many were there already, as an entry or as a dead letter.
    pub there: u64,
    /// How many orders' last event is one that the action is not given, by its type.
    pub passed_over: BTreeMap<EventKind, u64>,
    /// How many cannot be read.
    pub unreadable: u64,
    /// How many orders there are altogether; said by the first step only.
    pub total: Option<u64>,
    /// Whether nothing was done because the action has enough to work on: the same step is to be
    /// taken again later.
    pub busy: bool,
    /// Where to go on, if there is more.
    pub cursor: Option<String>,
}

impl Engine {
    /// The action of that name, if it is configured or ever had entries.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn action(&self, name: &str) -> Result<Option<ActionName>, StoreError> {
        // No action can have a name that is none.
        let Ok(name) = name.parse() else { return Ok(None) };
        if self.has_action(&name) {
            return Ok(Some(name));
        }
        Ok(self
            .stats()
            .await?
            .actions
            .into_iter()
            .map(|action: ActionStats| action.name)
            .find(|known| *known == name))
    }

    /// Whether this worker is configured with an action of that name.
    #[must_use]
    pub fn has_action(&self, name: &ActionName) -> bool {
        self.core.outbox.find(name).is_some()
    }

    /// The store's figures, with each action that this worker is configured with, also where it
    /// never had an entry, and without those that are configured no more and have nothing left.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn actions(&self) -> Result<Stats, StoreError> {
        let mut stats = self.stats().await?;
        stats
            .actions
            .retain(|action| self.has_action(&action.name) || action.pending + action.dead > 0);
        for name in self.core.outbox.names() {
            if !stats.actions.iter().any(|action| action.name == *name) {
                stats.actions.push(ActionStats::idle(name.clone()));
            }
        }
        stats.actions.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(stats)
    }

    /// Lets a receiver that was disabled be attempted again, with all attempts before not counted.
    /// Returns whether it was disabled.
    ///
    /// # Errors
    /// Where the store does not answer; repeating it is safe.
    pub async fn enable(&self, action: &ActionName) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            let (now, known) = circuits::read(&*self.core.store, action).await?;
            if known.circuit.disabled_at.is_none() {
                return Ok(false);
            }
            let enabled = Circuit::enabled(now);
            if circuits::write(&*self.core.store, action, &known, &enabled).await? {
                tracing::info!(%action, "the receiver is enabled");
                self.core.outbox.learn(action, enabled);
                return Ok(true);
            }
        }
        Err(StoreError::Unavailable("other workers were first, again and again".to_owned()))
    }

    /// Adds entries for orders that there are: the event that brought each order to where it
    /// stands, under its own id, if the action is given events of its type. Some thousand orders at
    /// a time: while there is a cursor, there is more. `None` where this worker is not configured
    /// with the action.
    ///
    /// # Errors
    /// Where the store does not answer or the cursor is not one of these steps'; repeating it is
    /// safe.
    pub async fn backfill(
        &self,
        action: &ActionName,
        cursor: Option<&str>,
    ) -> Result<Option<Backfilled>, StoreError> {
        let Some(action_queue) = self.core.outbox.find(action) else { return Ok(None) };
        let pending = self.pending_of(action).await?;
        let mut done = Backfilled { cursor: cursor.map(str::to_owned), ..Backfilled::default() };
        if pending >= ENOUGH_PENDING {
            // Without a cursor there is no other way to say where to go on than from the start.
            return Ok(Some(Backfilled { busy: true, ..done }));
        }
        let queue = Queue::pending(action);
        for _ in 0..SCANS {
            let mut page = self.core.store.list(View::All, done.cursor.as_deref(), SCANNED).await?;
            done.total = done.total.or(page.total);
            done.cursor = page.cursor.take();
            let entries = done.take(page, &action_queue.subscription);
            let wanted = entries.len() as u64;
            let added =
                if entries.is_empty() { 0 } else { self.core.store.put(&queue, entries).await? };
            self.core.backfills.added(action, added);
            done.added += added;
            done.there += wanted.saturating_sub(added);
            if done.cursor.is_none() {
                break;
            }
        }
        self.core.outbox.notify(action);
        Ok(Some(done))
    }

    /// How many entries the action has to work on: the store's figures of at most a second ago, and
    /// what was added since. The figures of a large store cost more than a step of a backfill.
    async fn pending_of(&self, action: &ActionName) -> Result<u64, StoreError> {
        if let Some(pending) = self.core.backfills.pending(action) {
            return Ok(pending);
        }
        let stats = self.stats().await?;
        let pending = stats
            .actions
            .iter()
            .find(|known| known.name == *action)
            .map_or(0, |action| action.pending);
        self.core.backfills.learn(action, pending);
        Ok(pending)
    }

    /// Gives entries and dead letters of an action to another one, or drops them where there is
    /// none; some thousand at a time, until there are none left. Each entry leaves the one queue
    /// and enters the other in one step of the store, so a crash leaves every entry in exactly one
    /// place, and a repeat goes on.
    ///
    /// # Errors
    /// Where the store does not answer; repeating it is safe.
    pub async fn relocate(
        &self,
        from: &ActionName,
        to: Option<&ActionName>,
    ) -> Result<Relocated, StoreError> {
        let mut done = Relocated::default();
        for _ in 0..RELOCATIONS {
            let entries = self.relocate_lane(from, to, Lane::Pending, RELOCATED).await?;
            let room = RELOCATED.saturating_sub(usize::try_from(entries).unwrap_or(RELOCATED));
            let letters =
                if room > 0 { self.relocate_lane(from, to, Lane::Dead, room).await? } else { 0 };
            done.entries += entries;
            done.letters += letters;
            if entries + letters == 0 {
                break;
            }
        }
        let Relocated { entries, letters } = done;
        match to {
            Some(to) => {
                tracing::info!(%from, %to, entries, letters, "entries and dead letters were moved");
                self.core.outbox.notify(to);
            }
            None => {
                tracing::warn!(%from, entries, letters, "entries and dead letters were dropped")
            }
        }
        Ok(done)
    }

    async fn relocate_lane(
        &self,
        from: &ActionName,
        to: Option<&ActionName>,
        lane: Lane,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let queue = Queue { action: from.clone(), lane };
        let page = self.core.store.entries(&queue, Which::Page { cursor: None, limit }).await?;
        let settlement = |found: autoreceive_store::Entry| {
            let follow_up = to.map(|to| FollowUp {
                queue: Queue { action: to.clone(), lane },
                id: found.entry.id.clone(),
                at: found.at,
                // An entry without a text stays one that cannot be read.
                text: found.text.unwrap_or_default(),
                only_if_absent: true,
            });
            Settlement { entry: found.entry, follow_ups: follow_up.into_iter().collect() }
        };
        self.core.store.settle(&queue, page.items.into_iter().map(settlement).collect()).await
    }
}

/// What moving or dropping an action's entries did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relocated {
    /// How many entries left the action.
    pub entries: u64,
    /// How many dead letters did.
    pub letters: u64,
}

impl Backfilled {
    /// Takes in orders, and returns entries for those that the action is to be given, due at once.
    fn take(&mut self, page: Page<Row>, of: &Subscription) -> Vec<NewEntry> {
        self.scanned += page.items.len() as u64;
        let mut entries = Vec::new();
        for row in page.items {
            match row.order {
                Err(_) => self.unreadable += 1,
                Ok(None) => {}
                Ok(Some(order)) => {
                    if let Some(event) = self.event(order, of) {
                        let (entry, text) = (
                            EntryRef { shard: row.shard, id: event.id() },
                            entry::encode(None, [&event]),
                        );
                        entries.push(NewEntry { entry, at: page.now, text });
                    }
                }
            }
        }
        entries
    }

    fn event(&mut self, order: Order, of: &Subscription) -> Option<Event> {
        if of.on.contains(&order.kind) {
            return Some(Event(order.into()));
        }
        *self.passed_over.entry(order.kind).or_default() += 1;
        None
    }
}
