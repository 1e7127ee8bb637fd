//! An event as the columns that are written for it.

use autoreceive_domain::{Clock, Event, EventKind, Order, Time};
use autoreceive_wire as wire;

/// What is written about one event. Times are RFC 3339 in UTC.
pub struct Row<'a> {
    /// The order as the event left it.
    pub order: &'a Order,
    /// The event's id.
    pub event_id: String,
    /// The order's version.
    pub version: i64,
    /// The order's amount.
    pub amount: Option<i64>,
    /// The running clock's end.
    pub deadline: Option<String>,
    /// The event as receivers get it.
    pub body: String,
}

impl<'a> Row<'a> {
    /// The row of `event`.
    ///
    /// # Errors
    /// Where a number is larger than the databases' own.
    pub fn new(event: &'a Event) -> Result<Row<'a>, String> {
        let order = &*event.0;
        let fits = |what: &str, number: u64| {
            i64::try_from(number)
                .map_err(|_| format!("the {what} {number} is larger than a database keeps"))
        };
        Ok(Row {
            order,
            event_id: event.id(),
            version: fits("version", order.version)?,
            amount: order.amount.map(|amount| fits("amount", amount)).transpose()?,
            deadline: deadline(order).map(text),
            body: wire::event_json(event),
        })
    }

    /// The shop's id of the order.
    pub fn order_id(&self) -> &'a str {
        self.order.id.as_str()
    }

    /// Who bought.
    pub fn buyer_id(&self) -> Option<&'a str> {
        self.order.buyer_id.as_ref().map(|buyer| buyer.as_str())
    }

    /// The currency of the amount.
    pub fn currency(&self) -> Option<&'a str> {
        self.order.currency.as_ref().map(|currency| currency.as_str())
    }

    /// What the shop sent along.
    pub fn data(&self) -> Option<&'a str> {
        self.order.data.as_ref().map(|data| data.as_str())
    }

    /// Whether the event is the receipt.
    pub fn is_receipt(&self) -> bool {
        self.order.kind == EventKind::Received
    }

    /// Whether the event is the refund of an order that had been received.
    pub fn is_refund_of_receipt(&self) -> bool {
        self.order.kind == EventKind::Refunded && self.order.times.received_at.is_some()
    }

    /// When it became RECEIVED.
    pub fn received_at(&self) -> Option<String> {
        self.order.times.received_at.map(text)
    }

    /// The deadline and the times, in the order of the columns of the table of orders.
    pub fn times(&self) -> [Option<String>; 10] {
        let times = &self.order.times;
        let [placed, paid, shipped, delivered] =
            [Some(times.placed_at), times.paid_at, times.shipped_at, times.delivered_at];
        let [received, completed, cancelled, refunded] =
            [times.received_at, times.completed_at, times.cancelled_at, times.refunded_at];
        let updated = Some(self.order.changed_at);
        let rest =
            [placed, paid, shipped, delivered, received, completed, cancelled, refunded, updated];
        let mut all = [const { None }; 10];
        all[0].clone_from(&self.deadline);
        for (slot, time) in all.iter_mut().skip(1).zip(rest) {
            *slot = time.map(text);
        }
        all
    }

    /// When the event was decided.
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
