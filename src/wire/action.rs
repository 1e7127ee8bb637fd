//! The outboxes of actions as they go out, and what is done to them over time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::{Wrong, read};
use super::report::ActionView;
use super::schema::{ActionText, InstantText};
use super::time::Instant;
use crate::engine::Backfilled;
use crate::store::Relocated;

/// The outboxes of all actions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Actions)]
pub struct ActionsView<'a> {
    /// The store's time.
    #[schema(value_type = InstantText)]
    pub now: Instant,
    /// The actions.
    pub actions: Vec<ActionItem<'a>>,
}

/// One action's outbox.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Action)]
pub struct ActionItem<'a> {
    /// Its figures.
    #[serde(flatten)]
    pub figures: ActionView<'a>,
    /// Whether the worker that answers is configured with it; if none is, its entries wait until one is, or until they are
    /// moved to another action or dropped.
    #[schema(example = true)]
    pub configured: bool,
}

/// Whether a receiver was enabled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Enabled)]
pub struct EnabledView {
    /// Whether it was disabled until now.
    #[schema(example = true)]
    pub was_disabled: bool,
}

/// What one step of a backfill came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backfilled)]
pub struct BackfilledView<'a> {
    /// How many orders were looked at.
    #[schema(example = 5000)]
    pub scanned: u64,
    /// For how many of them an entry was added.
    #[schema(example = 4200)]
    pub added: u64,
    /// How many have an entry, or a dead letter, already.
    #[schema(example = 0)]
    pub there: u64,
    /// Orders whose last event is of a type that the action is not given, by that type.
    #[schema(value_type = BTreeMap<String, u64>, example = json!({"order.paid": 790}))]
    pub passed_over: BTreeMap<&'static str, u64>,
    /// How many cannot be read.
    #[schema(example = 0)]
    pub unreadable: u64,
    /// How many orders there are altogether; in the first step only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 128450)]
    pub total: Option<u64>,
    /// Nothing was done, because the action has enough to work on: send the same request again in a second or more.
    #[schema(example = false)]
    pub busy: bool,
    /// There is more: send the request again with this cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "17.2048.5f2a")]
    pub cursor: Option<&'a str>,
}

/// Where a backfill goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillFields {
    /// The `cursor` of the last answer. From the beginning without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "17.2048.5f2a")]
    pub cursor: Option<String>,
}

/// To whom.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveFields {
    /// The action that gets them; one that the answering worker is configured with.
    #[schema(value_type = ActionText)]
    pub to: String,
}

/// What one step of moving or dropping came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Relocated)]
pub struct RelocatedView {
    /// How many entries were moved or dropped.
    #[schema(example = 412)]
    pub entries: u64,
    /// How many dead letters were.
    #[schema(example = 3)]
    pub dead_letters: u64,
    /// Whether there may be more: send the request again, until neither was.
    #[schema(example = true)]
    pub more: bool,
}

impl<'a> From<&'a Backfilled> for BackfilledView<'a> {
    fn from(done: &'a Backfilled) -> BackfilledView<'a> {
        BackfilledView {
            scanned: done.scanned,
            added: done.added,
            there: done.there,
            passed_over: done.passed_over.iter().map(|(kind, count)| (kind.as_str(), *count)).collect(),
            unreadable: done.unreadable,
            total: done.total,
            busy: done.busy,
            cursor: done.cursor.as_deref(),
        }
    }
}

impl From<Relocated> for RelocatedView {
    fn from(done: Relocated) -> RelocatedView {
        let Relocated { entries, letters } = done;
        RelocatedView { entries, dead_letters: letters, more: entries + letters > 0 }
    }
}

/// Reads where a backfill goes on.
///
/// # Errors
/// Where it is not of the form of [`BackfillFields`].
pub fn read_backfill(json: &[u8]) -> Result<Option<String>, Wrong> {
    read::<BackfillFields>(json, &[]).map(|fields| fields.cursor)
}

/// Reads to whom entries are moved.
///
/// # Errors
/// Where it is not of the form of [`MoveFields`].
pub fn read_move(json: &[u8]) -> Result<String, Wrong> {
    read::<MoveFields>(json, &[]).map(|fields| fields.to)
}
