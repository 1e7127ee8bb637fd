//! An event as endpoints receive it.

use autoreceive_domain::{Cause, Event, EventKind, Time};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::order::OrderView;
#[cfg(feature = "openapi")]
use crate::schema::{CauseWord, EventWord, InstantText};
use crate::text;

/// An event, the body of a webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Event))]
pub struct EventView {
    /// The event's id. It is the same in every attempt: use it to drop repeats.
    #[cfg_attr(feature = "openapi", schema(example = "A-1:2"))]
    pub id: String,
    /// The event's type.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventWord))]
    pub r#type: EventKind,
    /// When it happened, by the store's clock.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub timestamp: Time,
    /// The cause and the order.
    pub data: EventData,
}

/// The content of an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventData {
    /// Who or what caused it.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = CauseWord))]
    pub cause: Cause,
    /// The order after the event.
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

/// The JSON text of an event as endpoints receive it:
/// `{"id","type","timestamp","data":{"cause","order":{…}}}`.
#[must_use]
pub fn event_json(event: &Event) -> String {
    // Serialising fails only for maps with non-string keys. There are none here.
    serde_json::to_string(&EventView::from(event)).unwrap_or_default()
}
