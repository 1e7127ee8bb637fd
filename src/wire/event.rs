//! An event as receivers get it.

use autoreceive_domain::Event;
use serde::Serialize;
use utoipa::ToSchema;

use super::order::OrderView;
use super::schema::{CauseWord, EventWord, InstantText};
use super::time::Instant;

/// What webhooks are sent as their body.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView<'a> {
    /// The same for every attempt, so that a receiver can drop a repeat.
    #[schema(example = "A-1:2")]
    id: String,
    /// What happened.
    #[schema(value_type = EventWord)]
    r#type: &'static str,
    /// When.
    #[schema(value_type = InstantText)]
    timestamp: Instant,
    /// What it was about.
    data: EventData<'a>,
}

/// What an event is about.
#[derive(Serialize, ToSchema)]
struct EventData<'a> {
    /// Who or what made it happen.
    #[schema(value_type = CauseWord)]
    cause: &'static str,
    /// The order as the event left it.
    order: OrderView<'a>,
}

/// The JSON text of an event as it is sent to receivers: `{"id","type","timestamp","data":{"cause","order":{…}}}`.
#[must_use]
pub fn event_json(event: &Event) -> String {
    let data = EventData { cause: event.cause().as_str(), order: OrderView::new(&event.0) };
    let view = EventView { id: event.id(), r#type: event.kind().as_str(), timestamp: Instant(event.at()), data };
    // Only a map with keys that are not texts, or a failing `Serialize`, could fail here, and the view has neither.
    serde_json::to_string(&view).unwrap_or_default()
}
