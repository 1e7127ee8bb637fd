//! Operations on actions: enable after an outage, backfill a new one, move or drop the entries of a
//! removed one.

use std::collections::BTreeMap;

use autoreceive_domain::{Circuit, Event, EventKind, Order};

use crate::action::Subscription;
use crate::circuits;
use crate::worker::Engine;
use autoreceive_store::{
    ActionName, ActionStats, EntryRef, FollowUp, Lane, NewEntry, Page, Queue, Row, Settlement,
    Stats, StoreError, View, Which, entry,
};

/// Page size of a backfill, and the most pages in one step.
const ORDERS_PER_PAGE: usize = 500;
const PAGES_PER_STEP: usize = 10;
/// A backfill pauses at this number of pending entries, so that millions do not fill the store.
const MAX_PENDING: u64 = 20_000;
/// Page size of a relocation, and the most pages in one step.
const ENTRIES_PER_PAGE: usize = 1_000;
const PAGES_PER_RELOCATION: usize = 10;
/// How often a write of the circuit is tried if other workers change it first.
const MAX_ATTEMPTS: usize = 10;

/// The result of one step of a backfill.
#[derive(Debug, Default, PartialEq)]
pub struct Backfilled {
    /// Orders that were read.
    pub scanned: u64,
    /// Entries that were added.
    pub added: u64,
    /// Events that already had an entry or a dead letter.
    pub existing: u64,
    /// Orders whose last event has a type that the action does not handle, by type.
    pub skipped: BTreeMap<EventKind, u64>,
    /// Orders that cannot be read.
    pub unreadable: u64,
    /// All orders of the store; only in the first step's result.
    pub total: Option<u64>,
    /// Nothing was done, because the action has too many pending entries. Repeat the step later.
    pub busy: bool,
    /// The cursor of the next step, if there are more orders.
    pub cursor: Option<String>,
}

impl Engine {
    /// The action of this name, if it is configured or ever had entries.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn action(&self, name: &str) -> Result<Option<ActionName>, StoreError> {
        // An invalid name belongs to no action.
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

    /// Whether this worker is configured with an action of this name.
    #[must_use]
    pub fn has_action(&self, name: &ActionName) -> bool {
        self.core.queues.find(name).is_some()
    }

    /// The store's figures. Includes configured actions that never had an entry, and leaves out
    /// removed actions that have no entries left.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn actions(&self) -> Result<Stats, StoreError> {
        let mut stats = self.stats().await?;
        stats
            .actions
            .retain(|action| self.has_action(&action.name) || action.pending + action.dead > 0);
        for name in self.core.queues.names() {
            if !stats.actions.iter().any(|action| action.name == *name) {
                stats.actions.push(ActionStats::idle(name.clone()));
            }
        }
        stats.actions.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(stats)
    }

    /// Enables a disabled endpoint again. Earlier attempts no longer count. Returns whether it was
    /// disabled.
    ///
    /// # Errors
    /// If the store does not answer. It is safe to repeat.
    pub async fn enable(&self, action: &ActionName) -> Result<bool, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let (now, stored) = circuits::read(&*self.core.store, action).await?;
            if stored.circuit.disabled_at.is_none() {
                return Ok(false);
            }
            let enabled = Circuit::enabled(now);
            if circuits::write(&*self.core.store, action, &stored, &enabled).await? {
                tracing::info!(%action, "the endpoint is enabled");
                self.core.queues.update_circuit(action, enabled);
                return Ok(true);
            }
        }
        Err(StoreError::Unavailable(format!(
            "other workers changed the endpoint's state {MAX_ATTEMPTS} times in a row; repeat the \
                command"
        )))
    }

    /// Adds entries for existing orders: for each order its last event, under the event's own id,
    /// if the action handles this type. One step adds up to 5,000 orders; the result has a cursor
    /// if there are more. `None` if this worker is not configured with the action.
    ///
    /// # Errors
    /// If the store does not answer or the cursor was not issued by a backfill. It is safe to
    /// repeat.
    pub async fn backfill(
        &self,
        action: &ActionName,
        cursor: Option<&str>,
    ) -> Result<Option<Backfilled>, StoreError> {
        let Some(action_queue) = self.core.queues.find(action) else { return Ok(None) };
        let pending = self.pending_of(action).await?;
        let mut done = Backfilled { cursor: cursor.map(str::to_owned), ..Backfilled::default() };
        if pending >= MAX_PENDING {
            // The given cursor is returned: the next call repeats this step.
            return Ok(Some(Backfilled { busy: true, ..done }));
        }
        let queue = Queue::pending(action);
        for _ in 0..PAGES_PER_STEP {
            let cursor = done.cursor.as_deref();
            let mut page = self.core.store.list(View::All, cursor, ORDERS_PER_PAGE).await?;
            done.total = done.total.or(page.total);
            done.cursor = page.cursor.take();
            let entries = done.take(page, &action_queue.subscription);
            let wanted = entries.len() as u64;
            let added =
                if entries.is_empty() { 0 } else { self.core.store.put(&queue, entries).await? };
            self.core.backfills.added(action, added);
            done.added += added;
            done.existing += wanted.saturating_sub(added);
            if done.cursor.is_none() {
                break;
            }
        }
        self.core.queues.notify(action);
        Ok(Some(done))
    }

    /// The number of pending entries: the store's figure of at most 1 s ago, plus the entries added
    /// since. In a large store the figures cost more than a step of a backfill.
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
        self.core.backfills.set(action, pending);
        Ok(pending)
    }

    /// Moves entries and dead letters to another action, or drops them if `to` is `None`. One call
    /// moves up to 10,000. The store moves each entry in one step, so a crash leaves every entry in
    /// exactly one queue, and a repeat continues.
    ///
    /// # Errors
    /// If the store does not answer. It is safe to repeat.
    pub async fn relocate(
        &self,
        from: &ActionName,
        to: Option<&ActionName>,
    ) -> Result<Relocated, StoreError> {
        let mut done = Relocated::default();
        for _ in 0..PAGES_PER_RELOCATION {
            let entries = self.relocate_lane(from, to, Lane::Pending, ENTRIES_PER_PAGE).await?;
            let moved = usize::try_from(entries).unwrap_or(ENTRIES_PER_PAGE);
            let room = ENTRIES_PER_PAGE.saturating_sub(moved);
            let dead_letters =
                if room > 0 { self.relocate_lane(from, to, Lane::Dead, room).await? } else { 0 };
            done.entries += entries;
            done.dead_letters += dead_letters;
            if entries + dead_letters == 0 {
                break;
            }
        }
        let Relocated { entries, dead_letters } = done;
        match to {
            Some(to) => {
                tracing::info!(
                    %from, %to, entries, dead_letters, "entries and dead letters were moved"
                );
                self.core.queues.notify(to);
            }
            None => {
                tracing::warn!(
                    %from, entries, dead_letters, "entries and dead letters were dropped"
                );
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
                // An entry without a text stays unreadable.
                text: found.text.unwrap_or_default(),
                only_if_absent: true,
            });
            Settlement { entry: found.entry, follow_ups: follow_up.into_iter().collect() }
        };
        self.core.store.settle(&queue, page.items.into_iter().map(settlement).collect()).await
    }
}

/// The result of moving or dropping an action's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relocated {
    /// Entries that left the action.
    pub entries: u64,
    /// Dead letters that left the action.
    pub dead_letters: u64,
}

impl Backfilled {
    /// Counts a page of orders. Returns entries, due at once, for the events that the action
    /// handles.
    fn take(&mut self, page: Page<Row>, of: &Subscription) -> Vec<NewEntry> {
        self.scanned += page.items.len() as u64;
        let mut entries = Vec::new();
        for row in page.items {
            match row.order {
                Err(_) => self.unreadable += 1,
                Ok(None) => {}
                Ok(Some(order)) => {
                    if let Some(event) = self.event(order, of) {
                        entries.push(NewEntry {
                            entry: EntryRef { shard: row.shard, id: event.id() },
                            at: page.now,
                            text: entry::encode(None, [&event]),
                        });
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
        *self.skipped.entry(order.kind).or_default() += 1;
        None
    }
}
