//! Pages of orders, and the store's figures, as they go out.

use std::collections::BTreeMap;

use autoreceive_domain::{Cause, EventKind, OrderId, Time};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::order::OrderView;
use crate::read::InputError;
#[cfg(feature = "openapi")]
use crate::schema::{CauseWord, EventWord, InstantText, OrderIdText};
use crate::text;

/// Which list of orders is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListName {
    /// Orders with a clock that runs, the nearest first.
    Upcoming,
    /// Orders whose clock has run out and that should have moved on already.
    Overdue,
    /// Orders that a hold has stopped.
    Held,
}

impl ListName {
    /// Every list.
    pub const ALL: [ListName; 3] = [ListName::Upcoming, ListName::Overdue, ListName::Held];

    /// The word in the query.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ListName::Upcoming => "upcoming",
            ListName::Overdue => "overdue",
            ListName::Held => "held",
        }
    }
}

/// Reads which list is asked for.
///
/// # Errors
/// Where it is none of the three, or nothing is said.
pub fn read_list_name(view: Option<&str>) -> Result<ListName, InputError> {
    let expected = "is required and must be one of upcoming, overdue, held";
    let named = ListName::ALL.into_iter().find(|known| view == Some(known.as_str()));
    named.ok_or_else(|| InputError::value("view", expected))
}

/// A page of orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Page))]
pub struct PageView {
    /// The store's time.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub now: Time,
    /// The orders.
    pub items: Vec<PageItem>,
    /// What to ask the next page with; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "1795392000000.A-1"))]
    pub cursor: Option<String>,
}

/// A line of a page.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PageItem))]
pub struct PageItem {
    /// Which order.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = OrderIdText))]
    pub order_id: OrderId,
    /// When it is looked at next; in the held view, since when it is held.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub at: Time,
    /// The order; null where its record is gone or cannot be read.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub order: Option<OrderView>,
    /// Why its record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(nullable = false, example = "the record of A-1 cannot be read")
    )]
    pub error: Option<String>,
}

/// The figures of the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Stats))]
pub struct StatsView {
    /// The store's time.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub now: Time,
    /// How many orders that are not resting stand in each status; every status is named.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>, example = json!({"PAID": 120})))]
    pub orders: BTreeMap<String, u64>,
    /// How many events of each type and cause there ever were.
    pub events: Vec<EventCount>,
    /// How many orders have a due time to come or passed.
    #[cfg_attr(feature = "openapi", schema(example = 120))]
    pub waiting: u64,
    /// How many of them have passed it.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub overdue: u64,
    /// The due time that passed longest ago.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub oldest_overdue: Option<Time>,
    /// How many orders are held.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub held: u64,
    /// The outboxes.
    pub actions: Vec<ActionStatsView>,
    /// The intake of the worker that answers; left out where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub intake: Option<IntakeView>,
}

/// How the intake of the shop's keys stands on the worker that answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Intake))]
pub struct IntakeView {
    /// Whether it is this worker that scans.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub scans_here: bool,
    /// Whether it is told of changed keys at the moment.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub listening: bool,
    /// Whether the shop's Redis tells of them, or what it needs for that.
    #[cfg_attr(feature = "openapi", schema(example = "on"))]
    pub notifications: String,
    /// What does not work at the moment; empty where all does.
    #[cfg_attr(feature = "openapi", schema(example = ""))]
    pub trouble: String,
    /// Its last scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub last_scan: Option<ScanView>,
}

/// What a scan over the shop's keys found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Scan))]
pub struct ScanView {
    /// How long it took.
    #[cfg_attr(feature = "openapi", schema(example = 3.2))]
    pub seconds: f64,
    /// How many orders have a status key.
    #[cfg_attr(feature = "openapi", schema(example = 12_000))]
    pub orders: u64,
    /// How many were adopted by it.
    #[cfg_attr(feature = "openapi", schema(example = 12))]
    pub adopted: u64,
    /// How many are paid without a trigger since before the first scan: `autoreceive adopt` takes
    /// them over.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub history: u64,
    /// How many were placed by a command, and follow commands.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub placed_by_command: u64,
    /// How many keys belong to no order.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub bad_keys: u64,
}

/// How many events of a type and cause there ever were.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventCount {
    /// What happened.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventWord))]
    pub r#type: EventKind,
    /// Who or what made it happen.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = CauseWord))]
    pub cause: Cause,
    /// How often.
    #[cfg_attr(feature = "openapi", schema(example = 120))]
    pub count: u64,
}

/// The outbox of an action.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ActionStats))]
pub struct ActionStatsView {
    /// The action's name.
    #[cfg_attr(feature = "openapi", schema(example = "shop"))]
    pub name: String,
    /// How many entries wait, under lease or not.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub pending: u64,
    /// The earliest time at which one comes up.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub next_at: Option<Time>,
    /// How many dead letters there are.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub dead: u64,
    /// When the oldest of them was given up.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub oldest_dead: Option<Time>,
    /// Since when its receiver only fails, and not at one event alone.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub failing_since: Option<Time>,
    /// When its receiver was disabled for that. Its entries are kept until it is enabled.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub disabled_at: Option<Time>,
}
