//! An order as it goes out, the same in answers, in pages and in events.

use autoreceive_domain::{Clock, ClockKind, Hold, Order, Terms};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::schema::{AnyData, CauseWord, ClockWord, EventWord, InstantText, LengthText, OrderIdText, StartWord, StateWord, StatusWord};
use super::time::{Instant, Length};

/// An order as it is shown. Times, texts and amounts that it does not have are left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderView<'a> {
    /// The shop's id of the order.
    #[schema(value_type = OrderIdText)]
    pub order_id: &'a str,
    /// Where it stands.
    #[schema(value_type = StatusWord)]
    pub status: &'static str,
    /// Rises by one with each change.
    #[schema(example = 2)]
    pub version: u64,
    /// The policy it was placed under.
    #[schema(example = "default")]
    pub policy: &'a str,
    /// The revision of the policy it was placed under.
    #[schema(example = "default.k3x9q1")]
    pub policy_revision: &'a str,
    /// Who bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "u-7")]
    pub buyer_id: Option<&'a str>,
    /// What it costs, in minor units of the currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 59000)]
    pub amount: Option<u64>,
    /// The currency of the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "KRW")]
    pub currency: Option<&'a str>,
    /// What the shop sent along.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AnyData, required = false)]
    pub data: Option<&'a RawValue>,
    /// The order's own time of silence, in place of the policy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LengthText, required = false)]
    pub receive_after: Option<Length>,
    /// When what happened.
    #[serde(flatten)]
    pub times: TimesView,
    /// When this version was made.
    #[schema(value_type = InstantText)]
    pub updated_at: Instant,
    /// What made this version.
    pub last_event: LastEvent,
    /// Who carries the parcel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "CJ")]
    pub carrier: Option<&'a str>,
    /// Under which number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "6123-4567")]
    pub tracking: Option<&'a str>,
    /// Why it was cancelled or refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "out of stock")]
    pub reason: Option<&'a str>,
    /// How often the receive deadline was extended.
    #[schema(example = 0)]
    pub extensions: u32,
    /// Whether it was taken over from the keys that the shop writes, which it follows; left out where it was not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, example = true)]
    pub adopted: bool,
    /// The clock; null where nothing is waited for.
    #[schema(required = true)]
    pub clock: Option<ClockView>,
    /// Every hold of its life, released ones too.
    pub holds: Vec<HoldView<'a>>,
    /// The terms it was placed under; only where one order is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TermsView, required = false)]
    pub terms: Option<TermsView>,
}

/// When what happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderTimes)]
pub struct TimesView {
    /// It was placed.
    #[schema(value_type = InstantText)]
    pub placed_at: Instant,
    /// It was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub paid_at: Option<Instant>,
    /// It was shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub shipped_at: Option<Instant>,
    /// It was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub delivered_at: Option<Instant>,
    /// It became RECEIVED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub received_at: Option<Instant>,
    /// It became COMPLETED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub completed_at: Option<Instant>,
    /// It was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub cancelled_at: Option<Instant>,
    /// It was refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub refunded_at: Option<Instant>,
    /// A payment came after it had been cancelled unpaid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub late_payment_at: Option<Instant>,
}

/// What made a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastEvent {
    /// What happened: `order.paid`.
    #[schema(value_type = EventWord)]
    pub r#type: &'static str,
    /// Who or what made it happen: `timer`, `buyer`, `operator`, `shop` or `system`.
    #[schema(value_type = CauseWord)]
    pub cause: &'static str,
}

/// The clock of an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Clock)]
pub struct ClockView {
    /// What is waited for: `pay`, `ship`, `receive` or `settle`.
    #[schema(value_type = ClockWord)]
    pub kind: &'static str,
    /// `running` or `paused`.
    #[schema(value_type = StateWord)]
    pub state: &'static str,
    /// When it runs out, where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub deadline: Option<Instant>,
    /// How much is left, where it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LengthText, required = false)]
    pub remaining: Option<Length>,
    /// The next reminder before the deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub next_reminder_at: Option<Instant>,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldView<'a> {
    /// Its name.
    #[schema(example = "dispute-9")]
    pub id: &'a str,
    /// Why.
    #[schema(example = "arrived broken")]
    pub reason: &'a str,
    /// Since when.
    #[schema(value_type = InstantText)]
    pub since: Instant,
    /// When it was taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = InstantText, required = false)]
    pub released_at: Option<Instant>,
}

/// The terms of a policy, under their names in the configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Terms)]
pub struct TermsView {
    /// How long the payment is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LengthText, required = false)]
    pub pay_within: Option<Length>,
    /// From which moment `receive_after` counts: `paid`, `shipped` or `delivered`.
    #[schema(value_type = StartWord)]
    pub starts_at: &'static str,
    /// The silence after which the order is received.
    #[schema(value_type = LengthText)]
    pub receive_after: Length,
    /// The silence after the shipment that counts as receipt where no delivery is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LengthText, required = false)]
    pub fallback_after: Option<Length>,
    /// How long a paid order waits for its shipment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LengthText, required = false)]
    pub ship_within: Option<Length>,
    /// How long before the deadline the buyer is reminded.
    #[schema(value_type = Vec<LengthText>)]
    pub remind_before: Vec<Length>,
    /// How often the deadline can be extended.
    #[schema(example = 2)]
    pub max_extensions: u32,
    /// By how much one extension moves it.
    #[schema(value_type = LengthText)]
    pub extend_by: Length,
    /// What a released order has left at least.
    #[schema(value_type = LengthText)]
    pub release_grace: Length,
    /// How long after the receipt the order becomes COMPLETED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LengthText, required = false)]
    pub settle_after: Option<Length>,
    /// How long a resting order is kept.
    #[schema(value_type = LengthText)]
    pub retain_for: Length,
}

impl<'a> OrderView<'a> {
    /// The order without its terms.
    #[must_use]
    pub fn new(order: &'a Order) -> OrderView<'a> {
        OrderView {
            order_id: order.id.as_str(),
            status: order.status.as_str(),
            version: order.version,
            policy: order.revision.name(),
            policy_revision: order.revision.as_str(),
            buyer_id: order.buyer_id.as_ref().map(|buyer| buyer.as_str()),
            amount: order.amount,
            currency: order.currency.as_ref().map(|currency| currency.as_str()),
            // What was stored was checked to be JSON when it came in; what was meddled with since is not shown.
            data: order.data.as_ref().and_then(|data| serde_json::from_str(data.as_str()).ok()),
            receive_after: order.receive_after.map(Length),
            times: TimesView::new(order),
            updated_at: Instant(order.changed_at),
            last_event: LastEvent { r#type: order.kind.as_str(), cause: order.cause.as_str() },
            carrier: order.carrier.as_ref().map(|carrier| carrier.as_str()),
            tracking: order.tracking.as_ref().map(|tracking| tracking.as_str()),
            reason: order.reason.as_ref().map(|reason| reason.as_str()),
            extensions: order.extensions,
            adopted: order.adopted,
            clock: ClockView::new(&order.clock),
            holds: order.holds.iter().map(HoldView::new).collect(),
            terms: None,
        }
    }

    /// The order with the terms it was placed under.
    #[must_use]
    pub fn with_terms(order: &'a Order, terms: &Terms) -> OrderView<'a> {
        OrderView { terms: Some(TermsView::new(terms)), ..OrderView::new(order) }
    }
}

impl TimesView {
    fn new(order: &Order) -> TimesView {
        let times = &order.times;
        TimesView {
            placed_at: Instant(times.placed_at),
            paid_at: times.paid_at.map(Instant),
            shipped_at: times.shipped_at.map(Instant),
            delivered_at: times.delivered_at.map(Instant),
            received_at: times.received_at.map(Instant),
            completed_at: times.completed_at.map(Instant),
            cancelled_at: times.cancelled_at.map(Instant),
            refunded_at: times.refunded_at.map(Instant),
            late_payment_at: times.late_payment_at.map(Instant),
        }
    }
}

impl ClockView {
    fn new(clock: &Clock) -> Option<ClockView> {
        let shown =
            |kind: &ClockKind, state| ClockView { kind: kind.as_str(), state, deadline: None, remaining: None, next_reminder_at: None };
        match clock {
            Clock::None => None,
            Clock::Running { kind, deadline, remind_at } => {
                Some(ClockView { deadline: Some(Instant(*deadline)), next_reminder_at: remind_at.map(Instant), ..shown(kind, "running") })
            }
            Clock::Paused { kind, remaining } => Some(ClockView { remaining: Some(Length(*remaining)), ..shown(kind, "paused") }),
        }
    }
}

impl<'a> HoldView<'a> {
    fn new(hold: &'a Hold) -> HoldView<'a> {
        let released_at = hold.released_at.map(Instant);
        HoldView { id: hold.id.as_str(), reason: hold.reason.as_str(), since: Instant(hold.since), released_at }
    }
}

impl TermsView {
    /// The terms as they are shown.
    #[must_use]
    pub fn new(terms: &Terms) -> TermsView {
        TermsView {
            pay_within: terms.pay_within.map(Length),
            starts_at: terms.starts_at.as_str(),
            receive_after: Length(terms.receive_after),
            fallback_after: terms.fallback_after.map(Length),
            ship_within: terms.ship_within.map(Length),
            remind_before: terms.remind_before.iter().copied().map(Length).collect(),
            max_extensions: terms.max_extensions,
            extend_by: Length(terms.extend_by),
            release_grace: Length(terms.release_grace),
            settle_after: terms.settle_after.map(Length),
            retain_for: Length(terms.retain_for),
        }
    }
}

#[cfg(test)]
mod tests;
