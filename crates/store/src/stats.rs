//! The figures of a store.

use autoreceive_domain::{ActionName, Cause, Circuit, EventKind, Status, Time};

/// The figures of a store.
#[derive(Debug, Clone)]
pub struct Stats {
    /// The store's time.
    pub now: Time,
    /// How many orders that are not resting stand in each status.
    pub orders: Vec<(Status, u64)>,
    /// How many events of each kind and cause there ever were.
    pub totals: Vec<(EventKind, Cause, u64)>,
    /// How many orders have a due time, to come or passed.
    pub waiting: u64,
    /// How many of them have passed it.
    pub overdue: u64,
    /// The due time that passed longest ago.
    pub oldest_overdue: Option<Time>,
    /// How many orders are held.
    pub held: u64,
    /// Each action that [`Space::Actions`](crate::Space::Actions) names, and no other.
    pub actions: Vec<ActionStats>,
}

/// The figures of an action's outbox.
#[derive(Debug, Clone)]
pub struct ActionStats {
    /// The action's name.
    pub name: ActionName,
    /// How many entries wait, under lease or not.
    pub pending: u64,
    /// The earliest time at which one comes up.
    pub next_at: Option<Time>,
    /// How many dead letters there are.
    pub dead: u64,
    /// When the oldest of them was given up.
    pub oldest_dead: Option<Time>,
    /// How its receiver is doing.
    pub circuit: Circuit,
}

impl ActionStats {
    /// Those of an action that nothing is known of.
    #[must_use]
    pub fn idle(name: ActionName) -> ActionStats {
        ActionStats {
            name,
            pending: 0,
            next_at: None,
            dead: 0,
            oldest_dead: None,
            circuit: Circuit::default(),
        }
    }
}

/// Under which key events are counted.
pub(crate) fn count_key(kind: EventKind, cause: Cause) -> String {
    format!("{kind}/{cause}")
}

impl Stats {
    /// Takes in one stored count, under the key that [`Change::tally`](crate::Change::tally) gave
    /// it. An unknown key is a newer version's.
    pub fn add_count(&mut self, key: &str, count: i64) {
        let count = u64::try_from(count).unwrap_or(0);
        if let Ok(status) = key.parse::<Status>() {
            let known = self.orders.iter_mut().find(|(known, _)| *known == status);
            match known {
                Some((_, sum)) => *sum += count,
                None => self.orders.push((status, count)),
            }
            return;
        }
        let Some((kind, cause)) = EventKind::ALL
            .into_iter()
            .flat_map(|kind| Cause::ALL.map(|cause| (kind, cause)))
            .find(|(kind, cause)| count_key(*kind, *cause) == key)
        else {
            return;
        };
        match self.totals.iter_mut().find(|(k, c, _)| (*k, *c) == (kind, cause)) {
            Some((_, _, sum)) => *sum += count,
            None => self.totals.push((kind, cause, count)),
        }
    }
}
