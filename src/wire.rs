//! The words and JSON that people and programs meet.

use autoreceive_domain::Event;

/// The JSON text of an event as it is sent to receivers: `{"id","type","timestamp","data":{"cause","order":{…}}}`.
#[must_use]
pub fn event_json(_event: &Event) -> String {
    todo!()
}
