//! An event as receivers get it.

use autoreceive_domain::{Cause, Event, EventKind, Time};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::order::OrderView;
#[cfg(feature = "openapi")]
use crate::schema::{CauseWord, EventWord, InstantText};
use crate::text;

/// What webhooks are sent as their body.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Event))]
pub struct EventView {
    /// The same for every attempt, so that a receiver can drop a repeat.
    #[cfg_attr(feature = "openapi", schema(example = "A-1:2"))]
    pub id: String,
    /// What happened.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventWord))]
    pub r#type: EventKind,
    /// When.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub timestamp: Time,
    /// What it was about.
    pub data: EventData,
}

/// What an event is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventData {
    /// Who or what made it happen.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = CauseWord))]
    pub cause: Cause,
    /// The order as the event left it.
    pub order: OrderView,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> EventView {
        EventView {
            id: event.id(),
            r#type: event.kind(),
            timestamp: event.at(),
            data: EventData { cause: event.cause(), order: OrderView::from(&*event.0) },
        }
    }
}

/// The JSON text of an event as it is sent to receivers:
/// `{"id","type","timestamp","data":{"cause","order":{…}}}`.
#[must_use]
pub fn event_json(event: &Event) -> String {
    // Only a map with keys that are not texts, or a failing `Serialize`, could fail here, and the
    // view has neither.
    serde_json::to_string(&EventView::from(event)).unwrap_or_default()
}
