//! The statistics of a store.

use autoreceive_domain::{ActionName, Cause, Circuit, EventKind, Status, Time};

/// The statistics of a store.
#[derive(Debug, Clone)]
pub struct Stats {
    /// The store's time.
    pub now: Time,
    /// Number of orders in each status, without resting orders.
    pub orders: Vec<(Status, u64)>,
    /// Number of events of each kind and cause since the store was created.
    pub totals: Vec<(EventKind, Cause, u64)>,
    /// Number of orders with a due time, in the future or passed.
    pub waiting: u64,
    /// Number of orders whose due time has passed.
    pub overdue: u64,
    /// The oldest due time that has passed.
    pub oldest_overdue: Option<Time>,
    /// Number of held orders.
    pub held: u64,
    /// The actions that [`Space::Actions`](crate::Space::Actions) names.
    pub actions: Vec<ActionStats>,
}

/// The statistics of an action's outbox.
#[derive(Debug, Clone)]
pub struct ActionStats {
    /// The action's name.
    pub name: ActionName,
    /// Number of pending entries, including those under lease.
    pub pending: u64,
    /// When the next pending entry can be claimed.
    pub next_at: Option<Time>,
    /// Number of dead letters.
    pub dead: u64,
    /// When the oldest of them was given up.
    pub oldest_dead: Option<Time>,
    /// The state of its endpoint.
    pub circuit: Circuit,
}

impl ActionStats {
    /// The statistics of an action without entries.
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

/// The key under which events are counted.
pub(crate) fn count_key(kind: EventKind, cause: Cause) -> String {
    format!("{kind}/{cause}")
}

impl Stats {
    /// Adds a stored count. Its key comes from [`Change::tally`](crate::Change::tally). Unknown
    /// keys of newer versions are ignored.
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
