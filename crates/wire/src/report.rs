//! Pages of orders, and statistics, as responses.

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

/// The name of a list of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListName {
    /// Orders with a running clock, the nearest due time first.
    Upcoming,
    /// Orders whose due time has passed and that should have changed already.
    Overdue,
    /// Orders with an open hold.
    Held,
}

impl ListName {
    /// Every list.
    pub const ALL: [ListName; 3] = [ListName::Upcoming, ListName::Overdue, ListName::Held];

    /// The name in the query.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ListName::Upcoming => "upcoming",
            ListName::Overdue => "overdue",
            ListName::Held => "held",
        }
    }
}

/// Reads the name of a list.
///
/// # Errors
/// It is missing or not one of the three.
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
    /// The cursor for the next page; omitted on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "1795392000000.A-1"))]
    pub cursor: Option<String>,
}

/// One item of a page.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PageItem))]
pub struct PageItem {
    /// The order's id.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = OrderIdText))]
    pub order_id: OrderId,
    /// The order's next due time. In the `held` view: when the oldest open hold was placed.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub at: Time,
    /// The order; null if its record is gone or cannot be read.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub order: Option<OrderView>,
    /// Why the record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(nullable = false, example = "the record of A-1 cannot be read")
    )]
    pub error: Option<String>,
}

/// The statistics of the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Stats))]
pub struct StatsView {
    /// The store's time.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub now: Time,
    /// Number of orders in each status, without resting orders. Every status is listed.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = BTreeMap<String, u64>, example = json!({"PAID": 120}))
    )]
    pub orders: BTreeMap<String, u64>,
    /// Number of events of each type and cause since the store was created.
    pub events: Vec<EventCount>,
    /// Number of orders with a due time, in the future or passed.
    #[cfg_attr(feature = "openapi", schema(example = 120))]
    pub waiting: u64,
    /// Number of orders whose due time has passed.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub overdue: u64,
    /// The oldest due time that has passed; null if there is none.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub oldest_overdue: Option<Time>,
    /// Number of held orders.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub held: u64,
    /// The outboxes of the actions.
    pub actions: Vec<ActionStatsView>,
    /// The intake of the answering worker; omitted if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub intake: Option<IntakeView>,
}

/// The state of the intake of the shop's keys on the answering worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Intake))]
pub struct IntakeView {
    /// Whether this worker runs the scans.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub scans_here: bool,
    /// Whether this worker currently receives notifications of changed keys.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub listening: bool,
    /// `on` if the shop's Redis sends these notifications; otherwise the setting it needs.
    #[cfg_attr(feature = "openapi", schema(example = "on"))]
    pub notifications: String,
    /// The current problem; empty if there is none.
    #[cfg_attr(feature = "openapi", schema(example = ""))]
    pub trouble: String,
    /// The last scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub last_scan: Option<ScanView>,
}

/// The result of a scan over the shop's keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Scan))]
pub struct ScanView {
    /// Duration of the scan, in seconds.
    #[cfg_attr(feature = "openapi", schema(example = 3.2))]
    pub seconds: f64,
    /// Number of orders with a status key.
    #[cfg_attr(feature = "openapi", schema(example = 12_000))]
    pub orders: u64,
    /// Number of orders that this scan adopted.
    #[cfg_attr(feature = "openapi", schema(example = 12))]
    pub adopted: u64,
    /// Number of orders that were paid before the first scan and have no trigger. `autoreceive
    /// adopt` adopts them.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub history: u64,
    /// Number of orders that were placed by a command. They follow commands, not keys.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub placed_by_command: u64,
    /// Number of keys that belong to no order.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub bad_keys: u64,
}

/// Number of events of one type and cause.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventCount {
    /// The event's type.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventWord))]
    pub r#type: EventKind,
    /// Who or what caused it.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = CauseWord))]
    pub cause: Cause,
    /// Number of events since the store was created.
    #[cfg_attr(feature = "openapi", schema(example = 120))]
    pub count: u64,
}

/// The statistics of an action's outbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ActionStats))]
pub struct ActionStatsView {
    /// The action's name.
    #[cfg_attr(feature = "openapi", schema(example = "shop"))]
    pub name: String,
    /// Number of pending entries, including those under lease.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub pending: u64,
    /// When the next pending entry can be attempted; null if there is none.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub next_at: Option<Time>,
    /// Number of dead letters.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub dead: u64,
    /// When the oldest dead letter was given up; null if there is none.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub oldest_dead: Option<Time>,
    /// Since when every attempt at its endpoint fails, for more than one event; null if it does
    /// not.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub failing_since: Option<Time>,
    /// When its endpoint was disabled for that; null if it is enabled. The entries are kept
    /// meanwhile.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<InstantText>, required = true))]
    pub disabled_at: Option<Time>,
}
