//! An event as database columns.

use autoreceive_domain::{Clock, Event, EventKind, Order, Time};
use autoreceive_wire as wire;

/// The columns of one event. Times are RFC 3339 in UTC.
pub struct EventRow<'a> {
    /// The order after the event.
    pub order: &'a Order,
    /// The event's id.
    pub event_id: String,
    /// The order's version.
    pub version: i64,
    /// The order's amount.
    pub amount: Option<i64>,
    /// The deadline of the running clock.
    pub deadline: Option<String>,
    /// The event in the form of the webhook body.
    pub body: String,
}

/// A number that does not fit into a signed 64-bit column.
#[derive(Debug, thiserror::Error)]
#[error("the {field} {number} is larger than a database can store")]
pub struct TooLarge {
    field: &'static str,
    number: u64,
}

impl<'a> EventRow<'a> {
    /// The row of `event`.
    ///
    /// # Errors
    /// If a number is too large.
    pub fn new(event: &'a Event) -> Result<EventRow<'a>, TooLarge> {
        let order = &*event.0;
        let signed = |field, number| i64::try_from(number).map_err(|_| TooLarge { field, number });
        Ok(EventRow {
            order,
            event_id: event.id(),
            version: signed("version", order.version)?,
            amount: order.amount.map(|amount| signed("amount", amount)).transpose()?,
            deadline: deadline(order).map(text),
            body: wire::event_json(event),
        })
    }

    /// The shop's id of the order.
    pub fn order_id(&self) -> &'a str {
        self.order.id.as_str()
    }

    /// The buyer.
    pub fn buyer_id(&self) -> Option<&'a str> {
        self.order.buyer_id.as_ref().map(|buyer| buyer.as_str())
    }

    /// The currency of the amount.
    pub fn currency(&self) -> Option<&'a str> {
        self.order.currency.as_ref().map(|currency| currency.as_str())
    }

    /// The shop's `data`.
    pub fn data(&self) -> Option<&'a str> {
        self.order.data.as_ref().map(|data| data.as_str())
    }

    /// Whether the event is the receipt.
    pub fn is_receipt(&self) -> bool {
        self.order.kind == EventKind::Received
    }

    /// Whether the event is the refund of a received order.
    pub fn is_refund_of_receipt(&self) -> bool {
        self.order.kind == EventKind::Refunded && self.order.times.received_at.is_some()
    }

    /// When the order became RECEIVED.
    pub fn received_at(&self) -> Option<String> {
        self.order.times.received_at.map(text)
    }

    /// The deadline and the times, in the order of the table's columns.
    pub fn times(&self) -> [Option<String>; 10] {
        let times = &self.order.times;
        [
            self.deadline.clone(),
            Some(text(times.placed_at)),
            times.paid_at.map(text),
            times.shipped_at.map(text),
            times.delivered_at.map(text),
            times.received_at.map(text),
            times.completed_at.map(text),
            times.cancelled_at.map(text),
            times.refunded_at.map(text),
            Some(text(self.order.changed_at)),
        ]
    }

    /// When the event occurred.
    pub fn occurred_at(&self) -> String {
        text(self.order.changed_at)
    }
}

fn deadline(order: &Order) -> Option<Time> {
    match order.clock {
        Clock::Running { deadline, .. } => Some(deadline),
        Clock::None | Clock::Paused { .. } => None,
    }
}

fn text(time: Time) -> String {
    time.to_string()
}
