//! An order as a response: the same in answers, pages and events.

use autoreceive_domain::order::{BuyerId, HoldId, Label, Reason};
use autoreceive_domain::words::Currency;
use autoreceive_domain::{
    Cause, Clock, ClockKind, EventKind, Hold, Order, OrderId, PolicyName, Revision, Span, StartsAt,
    Status, Terms, Time,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::schema::{
    AnyData, CauseWord, ClockStateWord, ClockWord, EventWord, InstantText, LengthText, OrderIdText,
    StartWord, StatusWord,
};
use crate::text;

/// An order. Optional fields without a value are omitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Order))]
pub struct OrderView {
    /// The shop's id of the order.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = OrderIdText))]
    pub order_id: OrderId,
    /// The order's status.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = StatusWord))]
    pub status: Status,
    /// Starts at 1 and rises by one with each change.
    #[cfg_attr(feature = "openapi", schema(example = 2))]
    pub version: u64,
    /// The policy the order was placed under.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "default"))]
    pub policy: PolicyName,
    /// The revision of that policy. It names one fixed set of terms.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "default.k3x9q1"))]
    pub policy_revision: Revision,
    /// The shop's id of the buyer.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, nullable = false, example = "u-7")
    )]
    pub buyer_id: Option<BuyerId>,
    /// The price, in minor units of the currency (59000 KRW = ₩59,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 59000))]
    pub amount: Option<u64>,
    /// The currency of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, nullable = false, example = "KRW")
    )]
    pub currency: Option<Currency>,
    /// The shop's own data, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = AnyData, required = false))]
    pub data: Option<Box<RawValue>>,
    /// The order's own `receive_after`, in place of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText, required = false))]
    pub receive_after: Option<Span>,
    /// The time of each step.
    #[serde(flatten)]
    pub times: OrderTimes,
    /// When the order last changed.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub updated_at: Time,
    /// The event that made this version.
    pub last_event: LastEvent,
    /// The carrier's name.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, nullable = false, example = "CJ")
    )]
    pub carrier: Option<Label>,
    /// The tracking number.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, nullable = false, example = "6123-4567")
    )]
    pub tracking: Option<Label>,
    /// Why it was cancelled or refunded.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, nullable = false, example = "out of stock")
    )]
    pub reason: Option<Reason>,
    /// How many times the receive deadline was extended.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub extensions: u32,
    /// True if the order was adopted from the shop's keys. It follows those keys and accepts no
    /// commands. Omitted for other orders.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(required = false, example = true))]
    pub adopted: bool,
    /// The clock; null if the order waits for nothing.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub clock: Option<ClockView>,
    /// Every hold of the order, including released ones.
    pub holds: Vec<HoldView>,
    /// The terms the order was placed under. Only in the response for a single order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = TermsView, required = false))]
    pub terms: Option<TermsView>,
}

/// The time of each step of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = OrderTimes))]
pub struct OrderTimes {
    /// When the order was placed.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub placed_at: Time,
    /// When it was paid.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub paid_at: Option<Time>,
    /// When it was shipped.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub shipped_at: Option<Time>,
    /// When it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub delivered_at: Option<Time>,
    /// When it became RECEIVED.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub received_at: Option<Time>,
    /// When it became COMPLETED.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub completed_at: Option<Time>,
    /// When it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub cancelled_at: Option<Time>,
    /// When it was refunded.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub refunded_at: Option<Time>,
    /// When a payment came after the unpaid order was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub late_payment_at: Option<Time>,
}

/// The event that made the current version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LastEvent {
    /// The event's type, for example `order.paid`.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventWord))]
    pub r#type: EventKind,
    /// Who or what caused it: `timer`, `buyer`, `operator`, `shop` or `system`.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = CauseWord))]
    pub cause: Cause,
}

/// The clock of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Clock))]
pub struct ClockView {
    /// What the order waits for: `pay`, `ship`, `receive` or `settle`.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = ClockWord))]
    pub kind: ClockKind,
    /// `running` or `paused`.
    #[cfg_attr(feature = "openapi", schema(value_type = ClockStateWord))]
    pub state: ClockState,
    /// When the clock runs out. Only if it is running.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub deadline: Option<Time>,
    /// The time left. Only if the clock is paused.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText, required = false))]
    pub remaining: Option<Span>,
    /// When the next reminder is sent. Only if one is still to come.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub next_reminder_at: Option<Time>,
}

/// A hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Hold))]
pub struct HoldView {
    /// The hold's id.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "dispute-9"))]
    pub id: HoldId,
    /// Why the order is held.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "arrived broken"))]
    pub reason: Reason,
    /// When the hold was placed.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub since: Time,
    /// When it was released, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub released_at: Option<Time>,
}

/// The terms of a policy, under their names in the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Terms))]
pub struct TermsView {
    /// How long the payment is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText, required = false))]
    pub pay_within: Option<Span>,
    /// From which moment `receive_after` counts: `paid`, `shipped` or `delivered`.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = StartWord))]
    pub starts_at: StartsAt,
    /// The silence after which the order is received.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText))]
    pub receive_after: Span,
    /// With `starts_at` = `delivered`: the order is RECEIVED this long after the shipment if no
    /// delivery is reported.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText, required = false))]
    pub fallback_after: Option<Span>,
    /// A paid order that is not shipped is cancelled after this time.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText, required = false))]
    pub ship_within: Option<Span>,
    /// When reminders are sent, as times before the receive deadline.
    #[serde(with = "text::list")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<LengthText>))]
    pub remind_before: Vec<Span>,
    /// How many times the receive deadline can be extended.
    #[cfg_attr(feature = "openapi", schema(example = 2))]
    pub max_extensions: u32,
    /// How far one extension moves the deadline.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText))]
    pub extend_by: Span,
    /// The least time left after a release.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText))]
    pub release_grace: Span,
    /// The order becomes COMPLETED this long after the receipt.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText, required = false))]
    pub settle_after: Option<Span>,
    /// How long a resting order is kept after its last change.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText))]
    pub retain_for: Span,
}

/// Whether a clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    /// The clock runs to its deadline.
    Running,
    /// A hold has stopped the clock.
    Paused,
}

impl From<&Order> for OrderView {
    /// The order without its terms. This is cheap, because texts are shared.
    fn from(order: &Order) -> OrderView {
        OrderView {
            order_id: order.id.clone(),
            status: order.status,
            version: order.version,
            policy: PolicyName::from(order.revision.name()),
            policy_revision: order.revision.clone(),
            buyer_id: order.buyer_id.clone(),
            amount: order.amount,
            currency: order.currency,
            // The data was checked to be JSON when it came in. If the record was edited since then
            // and it is not JSON any more, it is omitted.
            data: order.data.as_ref().and_then(|data| serde_json::from_str(data.as_str()).ok()),
            receive_after: order.receive_after,
            times: OrderTimes::from(order),
            updated_at: order.changed_at,
            last_event: LastEvent { r#type: order.kind, cause: order.cause },
            carrier: order.carrier.clone(),
            tracking: order.tracking.clone(),
            reason: order.reason.clone(),
            extensions: order.extensions,
            adopted: order.adopted,
            clock: ClockView::new(&order.clock),
            holds: order.holds.iter().map(HoldView::from).collect(),
            terms: None,
        }
    }
}

impl OrderView {
    /// The order with its terms.
    #[must_use]
    pub fn with_terms(order: &Order, terms: &Terms) -> OrderView {
        OrderView { terms: Some(TermsView::from(terms)), ..OrderView::from(order) }
    }
}

impl From<&Order> for OrderTimes {
    fn from(order: &Order) -> OrderTimes {
        let times = &order.times;
        OrderTimes {
            placed_at: times.placed_at,
            paid_at: times.paid_at,
            shipped_at: times.shipped_at,
            delivered_at: times.delivered_at,
            received_at: times.received_at,
            completed_at: times.completed_at,
            cancelled_at: times.cancelled_at,
            refunded_at: times.refunded_at,
            late_payment_at: times.late_payment_at,
        }
    }
}

impl ClockView {
    fn new(clock: &Clock) -> Option<ClockView> {
        let shown = |kind: &ClockKind, state| ClockView {
            kind: *kind,
            state,
            deadline: None,
            remaining: None,
            next_reminder_at: None,
        };
        match clock {
            Clock::None => None,
            Clock::Running { kind, deadline, remind_at } => Some(ClockView {
                deadline: Some(*deadline),
                next_reminder_at: *remind_at,
                ..shown(kind, ClockState::Running)
            }),
            Clock::Paused { kind, remaining } => {
                let remaining = Some(*remaining);
                Some(ClockView { remaining, ..shown(kind, ClockState::Paused) })
            }
        }
    }
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> HoldView {
        HoldView {
            id: hold.id.clone(),
            reason: hold.reason.clone(),
            since: hold.since,
            released_at: hold.released_at,
        }
    }
}

impl From<&Terms> for TermsView {
    fn from(terms: &Terms) -> TermsView {
        TermsView {
            pay_within: terms.pay_within,
            starts_at: terms.starts_at,
            receive_after: terms.receive_after,
            fallback_after: terms.fallback_after,
            ship_within: terms.ship_within,
            remind_before: terms.remind_before.clone(),
            max_extensions: terms.max_extensions,
            extend_by: terms.extend_by,
            release_grace: terms.release_grace,
            settle_after: terms.settle_after,
            retain_for: terms.retain_for,
        }
    }
}

#[cfg(test)]
mod tests;
