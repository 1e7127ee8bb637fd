//! Pages of orders, and the store's figures, as they go out.

use std::collections::BTreeMap;

use autoreceive_domain::{Cause, EventKind, Status};
use serde::Serialize;
use utoipa::ToSchema;

use super::order::OrderView;
use super::schema::{CauseWord, EventWord, InstantText, OrderIdText};
use super::time::Instant;
use crate::store::{ActionStats, Item, Page, Stats};
use crate::telemetry::{IntakeState, ScanReport};

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub struct PageView<'a> {
    /// The store's time.
    #[schema(value_type = InstantText)]
    pub now: Instant,
    /// The orders.
    pub items: Vec<ItemView<'a>>,
    /// What to ask the next page with; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1795392000000.A-1")]
    pub cursor: Option<&'a str>,
}

/// A line of a page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PageItem)]
pub struct ItemView<'a> {
    /// Which order.
    #[schema(value_type = OrderIdText)]
    pub order_id: &'a str,
    /// When it is looked at next; in the held view, since when it is held.
    #[schema(value_type = InstantText)]
    pub at: Instant,
    /// The order; null where its record is gone or cannot be read.
    #[schema(required = true)]
    pub order: Option<OrderView<'a>>,
    /// Why its record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "the record of A-1 cannot be read")]
    pub error: Option<String>,
}

/// The figures of the store.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
pub struct StatsView<'a> {
    /// The store's time.
    #[schema(value_type = InstantText)]
    pub now: Instant,
    /// How many orders that are not resting stand in each status; every status is named.
    #[schema(value_type = BTreeMap<String, u64>, example = json!({"PAID": 120}))]
    pub orders: BTreeMap<&'static str, u64>,
    /// How many events of each type and cause there ever were.
    pub events: Vec<EventCount>,
    /// How many orders have a wake to come or passed.
    #[schema(example = 120)]
    pub waiting: u64,
    /// How many of them have passed it.
    #[schema(example = 0)]
    pub overdue: u64,
    /// The wake that passed longest ago.
    #[schema(value_type = Option<InstantText>, required = true)]
    pub oldest_overdue: Option<Instant>,
    /// How many orders are held.
    #[schema(example = 3)]
    pub held: u64,
    /// The outboxes.
    pub actions: Vec<ActionView<'a>>,
    /// The intake of the worker that answers; left out where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub intake: Option<IntakeView>,
}

/// How the intake of the shop's keys stands on the worker that answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Intake)]
pub struct IntakeView {
    /// Whether it is this worker that scans.
    #[schema(example = true)]
    pub scans_here: bool,
    /// Whether it is told of changed keys at the moment.
    #[schema(example = true)]
    pub listening: bool,
    /// Whether the shop's Redis tells of them, or what it needs for that.
    #[schema(example = "on")]
    pub notifications: String,
    /// What does not work at the moment; empty where all does.
    #[schema(example = "")]
    pub trouble: String,
    /// Its last scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub last_scan: Option<ScanView>,
}

/// What a scan over the shop's keys found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scan)]
pub struct ScanView {
    /// How long it took.
    #[schema(example = 3.2)]
    pub seconds: f64,
    /// How many orders have a status key.
    #[schema(example = 12_000)]
    pub orders: u64,
    /// How many were adopted by it.
    #[schema(example = 12)]
    pub adopted: u64,
    /// How many are paid without a trigger since before the first scan: `autoreceive adopt` takes them over.
    #[schema(example = 0)]
    pub history: u64,
    /// How many were placed by a command, and follow commands.
    #[schema(example = 0)]
    pub placed_by_command: u64,
    /// How many keys belong to no order.
    #[schema(example = 0)]
    pub bad_keys: u64,
}

impl From<IntakeState> for IntakeView {
    fn from(state: IntakeState) -> IntakeView {
        let IntakeState { enabled: _, scans_here, listening, notifications, trouble, last_scan } = state;
        let scan = |scan: ScanReport| {
            let ScanReport { seconds, orders, adopted, history, placed_by_command, bad_keys } = scan;
            ScanView { seconds, orders, adopted, history, placed_by_command, bad_keys }
        };
        IntakeView { scans_here, listening, notifications, trouble, last_scan: last_scan.map(scan) }
    }
}

/// How many events of a type and cause there ever were.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventCount {
    /// What happened.
    #[schema(value_type = EventWord)]
    pub r#type: &'static str,
    /// Who or what made it happen.
    #[schema(value_type = CauseWord)]
    pub cause: &'static str,
    /// How often.
    #[schema(example = 120)]
    pub count: u64,
}

/// The outbox of an action.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActionStats)]
pub struct ActionView<'a> {
    /// The action's name.
    #[schema(example = "shop")]
    pub name: &'a str,
    /// How many entries wait, under lease or not.
    #[schema(example = 0)]
    pub pending: u64,
    /// The earliest time at which one comes up.
    #[schema(value_type = Option<InstantText>, required = true)]
    pub next_at: Option<Instant>,
    /// How many dead letters there are.
    #[schema(example = 0)]
    pub dead: u64,
    /// When the oldest of them was given up.
    #[schema(value_type = Option<InstantText>, required = true)]
    pub oldest_dead: Option<Instant>,
    /// Since when its receiver only fails, and not at one event alone.
    #[schema(value_type = Option<InstantText>, required = true)]
    pub failing_since: Option<Instant>,
    /// When its receiver was disabled for that. Its entries are kept until it is enabled.
    #[schema(value_type = Option<InstantText>, required = true)]
    pub disabled_at: Option<Instant>,
}

impl<'a> From<&'a Page> for PageView<'a> {
    fn from(page: &'a Page) -> PageView<'a> {
        PageView { now: Instant(page.now), items: page.items.iter().map(ItemView::from).collect(), cursor: page.cursor.as_deref() }
    }
}

impl<'a> From<&'a Item> for ItemView<'a> {
    fn from(item: &'a Item) -> ItemView<'a> {
        let (order, error) = match &item.order {
            Ok(order) => (order.as_ref().map(OrderView::new), None),
            Err(unreadable) => (None, Some(unreadable.to_string())),
        };
        ItemView { order_id: item.id.as_str(), at: Instant(item.at), order, error }
    }
}

impl<'a> From<&'a Stats> for StatsView<'a> {
    fn from(stats: &'a Stats) -> StatsView<'a> {
        let event =
            |(kind, cause, count): &(EventKind, Cause, u64)| EventCount { r#type: kind.as_str(), cause: cause.as_str(), count: *count };
        StatsView {
            now: Instant(stats.now),
            orders: Status::ALL.map(|status| (status.as_str(), count_of(stats, status))).into(),
            events: stats.totals.iter().map(event).collect(),
            waiting: stats.waiting,
            overdue: stats.overdue,
            oldest_overdue: stats.oldest_overdue.map(Instant),
            held: stats.held,
            actions: stats.actions.iter().map(ActionView::from).collect(),
            intake: None,
        }
    }
}

fn count_of(stats: &Stats, status: Status) -> u64 {
    stats.orders.iter().find(|(known, _)| *known == status).map_or(0, |(_, count)| *count)
}

impl<'a> From<&'a ActionStats> for ActionView<'a> {
    fn from(action: &'a ActionStats) -> ActionView<'a> {
        ActionView {
            name: action.name.as_str(),
            pending: action.pending,
            next_at: action.next_at.map(Instant),
            dead: action.dead,
            oldest_dead: action.oldest_dead.map(Instant),
            failing_since: action.circuit.failing_since.map(Instant),
            disabled_at: action.circuit.disabled_at.map(Instant),
        }
    }
}
