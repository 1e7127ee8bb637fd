//! The outboxes of actions as they go out, and what is done to them over time.

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
    /// Its figures.
    #[serde(flatten)]
    pub figures: ActionStatsView,
    /// Whether the worker that answers is configured with it; if none is, its entries wait until
    /// one is, or until they are moved to another action or dropped.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub configured: bool,
}

/// Whether a receiver was enabled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Enabled))]
pub struct Enabled {
    /// Whether it was disabled until now.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub was_disabled: bool,
}

/// What one step of a backfill came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Backfilled))]
pub struct BackfilledView {
    /// How many orders were looked at.
    #[cfg_attr(feature = "openapi", schema(example = 5000))]
    pub scanned: u64,
    /// For how many of them an entry was added.
    #[cfg_attr(feature = "openapi", schema(example = 4200))]
    pub added: u64,
    /// How many have an entry, or a dead letter, already.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub there: u64,
    /// Orders whose last event is of a type that the action is not given, by that type.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>, example = json!({"order.paid": 790})))]
    pub passed_over: BTreeMap<String, u64>,
    /// How many cannot be read.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub unreadable: u64,
    /// How many orders there are altogether; in the first step only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 128450))]
    pub total: Option<u64>,
    /// Nothing was done, because the action has enough to work on: send the same request again in a
    /// second or more.
    #[cfg_attr(feature = "openapi", schema(example = false))]
    pub busy: bool,
    /// There is more: send the request again with this cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "17.2048.5f2a"))]
    pub cursor: Option<String>,
}

/// Where a backfill goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BackfillFields {
    /// The `cursor` of the last answer. From the beginning without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "17.2048.5f2a"))]
    pub cursor: Option<String>,
}

/// To whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MoveFields {
    /// The action that gets them; one that the answering worker is configured with.
    #[cfg_attr(feature = "openapi", schema(value_type = ActionText))]
    pub to: String,
}

/// What one step of moving or dropping came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Relocated))]
pub struct RelocatedView {
    /// How many entries were moved or dropped.
    #[cfg_attr(feature = "openapi", schema(example = 412))]
    pub entries: u64,
    /// How many dead letters were.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub dead_letters: u64,
    /// Whether there may be more: send the request again, until neither was.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub more: bool,
}

/// Reads where a backfill goes on.
///
/// # Errors
/// Where it is not of the form of [`BackfillFields`].
pub fn read_backfill(json: &[u8]) -> Result<Option<String>, InputError> {
    read::<BackfillFields>(json, &[]).map(|fields| fields.cursor)
}

/// Reads to whom entries are moved.
///
/// # Errors
/// Where it is not of the form of [`MoveFields`].
pub fn read_move(json: &[u8]) -> Result<String, InputError> {
    read::<MoveFields>(json, &[]).map(|fields| fields.to)
}
