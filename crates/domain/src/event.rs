//! One change = one version = one event. An event is the order after the change. The order carries
//! the kind and the cause of its last change.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use crate::order::Order;
use crate::time::Time;
use crate::words::OrderId;

/// What happened to the order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum EventKind {
    /// The shop placed it (perhaps already paid).
    Placed,
    /// Its payment was confirmed.
    Paid,
    /// It was handed to a carrier.
    Shipped,
    /// The parcel arrived.
    Delivered,
    /// It became RECEIVED, by the buyer, an operator or the timer.
    Received,
    /// It became COMPLETED: `settle_after` passed since the receipt.
    Completed,
    /// It was cancelled, by a command or because its payment or shipment was late.
    Cancelled,
    /// It was refunded.
    Refunded,
    /// A hold was placed on it.
    Held,
    /// A hold was released.
    Released,
    /// Its receive deadline was moved to a later time.
    Extended,
    /// The shop should remind the buyer: the order will be received soon.
    ReceiveReminder,
    /// A payment came after the cancellation: the shop should refund it.
    LatePayment,
}

/// Who or what caused the event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Cause {
    /// A deadline passed.
    Timer,
    /// The buyer asked for it.
    Buyer,
    /// An operator asked for it.
    Operator,
    /// The shop's software reported it.
    Shop,
    /// The service itself, for example when it adopts existing orders.
    System,
}

impl EventKind {
    /// Every kind, in the order of an order's life.
    pub const ALL: [EventKind; 13] = [
        EventKind::Placed,
        EventKind::Paid,
        EventKind::Shipped,
        EventKind::Delivered,
        EventKind::Received,
        EventKind::Completed,
        EventKind::Cancelled,
        EventKind::Refunded,
        EventKind::Held,
        EventKind::Released,
        EventKind::Extended,
        EventKind::ReceiveReminder,
        EventKind::LatePayment,
    ];

    /// The event's type in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Placed => "order.placed",
            EventKind::Paid => "order.paid",
            EventKind::Shipped => "order.shipped",
            EventKind::Delivered => "order.delivered",
            EventKind::Received => "order.received",
            EventKind::Completed => "order.completed",
            EventKind::Cancelled => "order.cancelled",
            EventKind::Refunded => "order.refunded",
            EventKind::Held => "order.held",
            EventKind::Released => "order.released",
            EventKind::Extended => "order.extended",
            EventKind::ReceiveReminder => "order.receive_reminder",
            EventKind::LatePayment => "order.late_payment",
        }
    }

    pub(crate) fn letter(self) -> char {
        match self {
            EventKind::Placed => 'n',
            EventKind::Paid => 'p',
            EventKind::Shipped => 's',
            EventKind::Delivered => 'd',
            EventKind::Received => 'r',
            EventKind::Completed => 'c',
            EventKind::Cancelled => 'x',
            EventKind::Refunded => 'f',
            EventKind::Held => 'h',
            EventKind::Released => 'l',
            EventKind::Extended => 'e',
            EventKind::ReceiveReminder => 'm',
            EventKind::LatePayment => 'a',
        }
    }
}

/// The text is not an event type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an event type: expected one of order.placed .paid .shipped .delivered .received \
        .completed .cancelled .refunded .held .released .extended .receive_reminder .late_payment"
)]
pub struct NotAnEvent(pub String);

impl FromStr for EventKind {
    type Err = NotAnEvent;

    fn from_str(text: &str) -> Result<EventKind, NotAnEvent> {
        EventKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| NotAnEvent(text.chars().take(60).collect()))
    }
}

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 5] =
        [Cause::Timer, Cause::Buyer, Cause::Operator, Cause::Shop, Cause::System];

    /// The cause in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Timer => "timer",
            Cause::Buyer => "buyer",
            Cause::Operator => "operator",
            Cause::Shop => "shop",
            Cause::System => "system",
        }
    }

    pub(crate) fn letter(self) -> char {
        match self {
            Cause::Timer => 't',
            Cause::Buyer => 'b',
            Cause::Operator => 'o',
            Cause::Shop => 's',
            Cause::System => 'y',
        }
    }
}

/// The event of one change: the order after that change.
#[derive(Clone, PartialEq, Debug)]
pub struct Event(pub Arc<Order>);

impl Event {
    /// The event's id: the order id percent-encoded, `:`, the version. It is unique, and the same
    /// in every attempt.
    #[must_use]
    pub fn id(&self) -> String {
        event_id(&self.0.id, self.0.version)
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.0.kind
    }

    /// Who or what caused it.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// When it was decided, by the store's clock.
    #[must_use]
    pub fn at(&self) -> Time {
        self.0.changed_at
    }
}

/// The event id of an order's version. It is ASCII without a dot, because Standard Webhooks signs
/// `id.timestamp.body`.
#[must_use]
pub fn event_id(order: &OrderId, version: u64) -> String {
    let mut id = String::with_capacity(order.as_str().len() + 8);
    for byte in order.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            id.push(byte.into());
        } else {
            let _ = write!(id, "%{byte:02X}");
        }
    }
    let _ = write!(id, ":{version}");
    id
}

/// The order id in an event id. `None` if [`event_id`] cannot have made the text.
#[must_use]
pub fn order_of(event_id_text: &str) -> Option<OrderId> {
    let (encoded, version) = event_id_text.rsplit_once(':')?;
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    let order: OrderId = String::from_utf8(bytes).ok()?.parse().ok()?;
    (event_id(&order, version.parse().ok()?) == event_id_text).then_some(order)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_ascii_without_a_dot() {
        let id: OrderId = "a.b:c 가~".parse().unwrap();
        assert_eq!(event_id(&id, 7), "a%2Eb%3Ac%20%EA%B0%80%7E:7");
    }

    #[test]
    fn only_an_event_id_leads_back_to_its_order() {
        for order in ["A-1", "a.b:c 가~", "50%", "::", "x:1"] {
            let order: OrderId = order.parse().unwrap();
            assert_eq!(order_of(&event_id(&order, 7)), Some(order));
        }
        for wrong in [
            "", ":", ":1", "A-1", "A-1:", "A-1:x", "A-1:07", "A-1:-1", "a.b:1", "a%2eb:1", "a%2:1",
            "a%+1:1", "%FF:1", "가:1", "%41:1",
        ] {
            assert_eq!(order_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn letters_are_unique() {
        let mut kinds: Vec<char> = EventKind::ALL.into_iter().map(EventKind::letter).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), EventKind::ALL.len());
    }
}
