//! An event as receivers get it.

use autoreceive_domain::Event;
use serde::Serialize;

use super::order::OrderView;
use super::time::Instant;

#[derive(Serialize)]
struct EventView<'a> {
    id: String,
    r#type: &'static str,
    timestamp: Instant,
    data: EventData<'a>,
}

#[derive(Serialize)]
struct EventData<'a> {
    cause: &'static str,
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
