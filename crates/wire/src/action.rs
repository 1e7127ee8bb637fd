//! The outboxes of actions, as responses, and the operations on them.

use std::collections::BTreeMap;

use autoreceive_domain::Time;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::read::{InputError, read};
use crate::report::ActionStatsView;
#[cfg(feature = "openapi")]
use crate::schema::{ActionText, InstantText};
use crate::text;

/// The outboxes of all actions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Actions))]
pub struct Actions {
    /// The store's time.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub now: Time,
    /// The actions.
    pub actions: Vec<ActionItem>,
}

/// One action's outbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Action))]
pub struct ActionItem {
    /// Its statistics.
    #[serde(flatten)]
    pub figures: ActionStatsView,
    /// Whether the answering worker has this action in its configuration. If no worker has it, its
    /// entries wait until one does, or until they are moved to another action or dropped.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub configured: bool,
}

/// The result of enabling an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Enabled))]
pub struct Enabled {
    /// Whether the endpoint was disabled before.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub was_disabled: bool,
}

/// The result of one backfill step.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Backfilled))]
pub struct BackfilledView {
    /// Number of orders scanned.
    #[cfg_attr(feature = "openapi", schema(example = 5000))]
    pub scanned: u64,
    /// Number of orders for which an entry was added.
    #[cfg_attr(feature = "openapi", schema(example = 4200))]
    pub added: u64,
    /// Number of orders that already have an entry or a dead letter.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub there: u64,
    /// Number of orders whose last event has a type that this action does not receive, by that
    /// type.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = BTreeMap<String, u64>, example = json!({"order.paid": 790}))
    )]
    pub passed_over: BTreeMap<String, u64>,
    /// Number of orders that cannot be read.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub unreadable: u64,
    /// Total number of orders. Only in the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 128450))]
    pub total: Option<u64>,
    /// True if nothing was done because the action already has many pending entries. Send the same
    /// request again after at least one second.
    #[cfg_attr(feature = "openapi", schema(example = false))]
    pub busy: bool,
    /// Present if there is more: send the request again with this cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "17.2048.5f2a"))]
    pub cursor: Option<String>,
}

/// Where a backfill continues.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BackfillFields {
    /// The `cursor` of the previous response. Omit it to start at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "17.2048.5f2a"))]
    pub cursor: Option<String>,
}

/// The target of a move.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MoveFields {
    /// The action that receives the entries. The answering worker must have it in its
    /// configuration.
    #[cfg_attr(feature = "openapi", schema(value_type = ActionText))]
    pub to: String,
}

/// The result of one step of moving or dropping entries.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Relocated))]
pub struct RelocatedView {
    /// Number of entries moved or dropped.
    #[cfg_attr(feature = "openapi", schema(example = 412))]
    pub entries: u64,
    /// Number of dead letters moved or dropped.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub dead_letters: u64,
    /// True if there may be more: send the request again until this is false.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub more: bool,
}

/// Reads the cursor of a backfill.
///
/// # Errors
/// The JSON does not match [`BackfillFields`].
pub fn read_backfill(json: &[u8]) -> Result<Option<String>, InputError> {
    read::<BackfillFields>(json, &[]).map(|fields| fields.cursor)
}

/// Reads the target action of a move.
///
/// # Errors
/// The JSON does not match [`MoveFields`].
pub fn read_move(json: &[u8]) -> Result<String, InputError> {
    read::<MoveFields>(json, &[]).map(|fields| fields.to)
}
