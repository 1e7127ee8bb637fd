//! Every command, including the timer's, is decided here and nowhere else.
//!
//! Three questions in this order: Is it a repeat ([`is_repeat`])? Does the order's status permit it
//! ([`permits`])? What does the order look like afterwards ([`apply`])?

use std::sync::Arc;

use crate::clock::{Clock, ClockKind};
use crate::command::{Command, Place, Verb};
use crate::event::{Cause, EventKind};
use crate::order::{Hold, MAX_HOLDS, Order, Status, Times};
use crate::policy::{Policy, StartsAt, Terms};
use crate::time::{Span, Time};
use crate::words::{OrderId, Text};

mod adopted;
mod rejection;
pub use rejection::{Code, Rejection};

/// The outcome of a command.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// The order's next version.
    Changed(Arc<Order>),
    /// Nothing to do: the command was applied before, or nothing is due.
    Unchanged,
    /// The command cannot be carried out.
    Rejected(Rejection),
}

/// How far a time given by the sender may lie ahead of the store's clock.
pub const CLOCK_TOLERANCE: Span = Span::FIVE_SECONDS;

/// Decides a command on an existing order, under the terms it was placed with. `now` is the store's
/// time.
#[must_use]
pub fn decide(order: &Order, command: &Command, now: Time, terms: &Terms) -> Decision {
    match command {
        Command::Observe(observation) => return adopted::observe(order, observation, now, terms),
        Command::Due => {}
        _ if order.adopted => return Decision::Rejected(Rejection::adopted(order)),
        _ => {}
    }
    if let Command::Place(place) = command {
        return match differing_field(order, place) {
            None => Decision::Unchanged,
            Some(field) => Decision::Rejected(Rejection::exists(order, field)),
        };
    }
    if is_repeat(order, command) {
        return Decision::Unchanged;
    }
    if let Some(rejection) = refuse(order, command, now, terms) {
        return Decision::Rejected(rejection);
    }
    apply(order, command, now, terms)
}

/// Decides a command on an order that does not exist. Only `place` and the observation of a paid
/// order create one. `policy` is the policy that the command names (see [`Command::policy`]). If it
/// is `None`, nothing changes.
#[must_use]
pub fn decide_absent(
    id: &OrderId,
    command: &Command,
    now: Time,
    policy: Option<&Policy>,
) -> Decision {
    match (command, policy) {
        (Command::Place(place), Some(policy)) => decide_place(id, place, now, policy),
        (Command::Observe(observation), Some(policy)) => {
            adopted::observe_absent(id, observation, now, policy)
        }
        (Command::Place(_) | Command::Observe(_) | Command::Due, _) => Decision::Unchanged,
        _ => Decision::Rejected(Rejection::not_found(id, command.verb())),
    }
}

/// Places a new order. `policy` is the policy that `place` names.
#[must_use]
pub fn decide_place(id: &OrderId, place: &Place, now: Time, policy: &Policy) -> Decision {
    if is_ahead(place.claimed_times(), now) {
        return Decision::Rejected(Rejection::in_future(id, None));
    }
    match place.paid_at.is_none().then(|| further_than_paid(place)).flatten() {
        Some(code) => Decision::Rejected(Rejection::unpaid(id, code)),
        None => Decision::Changed(Arc::new(placed(id, place, now, policy))),
    }
}

/// The rejection code if `place` says shipped or delivered. Only a paid order can be either.
fn further_than_paid(place: &Place) -> Option<Code> {
    place
        .delivered_at
        .map(|_| Code::NotDeliverable)
        .or(place.shipped_at.map(|_| Code::NotShippable))
}

/// True if the order permits a command of this name now. This is the table of the order's life.
#[must_use]
pub fn permits(order: &Order, verb: Verb, terms: &Terms) -> bool {
    let status = order.status;
    match verb {
        Verb::Place | Verb::Observe | Verb::Due => false,
        Verb::Pay => {
            status == Status::PendingPayment || (status == Status::Cancelled && never_paid(order))
        }
        Verb::Ship => status == Status::Paid,
        Verb::Deliver => matches!(status, Status::Paid | Status::Shipped),
        Verb::Receive => status.is_open(),
        Verb::Extend => order.receive_clock_runs() && order.extensions < terms.max_extensions,
        Verb::Hold => is_holdable(order) && order.holds.len() < MAX_HOLDS,
        Verb::Release => order.is_held(),
        Verb::Cancel => matches!(status, Status::PendingPayment | Status::Paid),
        Verb::Refund => status.is_open() || matches!(status, Status::Received | Status::Completed),
    }
}

fn never_paid(order: &Order) -> bool {
    order.times.paid_at.is_none() && order.times.late_payment_at.is_none()
}

/// True if a hold can still delay something: the receipt, or the settling after it.
fn is_holdable(order: &Order) -> bool {
    order.status.is_open()
        || (order.status == Status::Received && order.clock.kind() == Some(ClockKind::Settle))
}

/// Idempotency check: true if this command was applied before. The arguments of a repeat are
/// ignored.
fn is_repeat(order: &Order, command: &Command) -> bool {
    let times = &order.times;
    match command {
        Command::Pay { .. } => times.paid_at.is_some() || times.late_payment_at.is_some(),
        Command::Ship { .. } => times.shipped_at.is_some() || times.delivered_at.is_some(),
        Command::Deliver { .. } => times.delivered_at.is_some(),
        Command::Receive { .. } => times.received_at.is_some(),
        Command::Extend { number } => *number <= order.extensions,
        Command::Hold { id, .. } => order.holds.iter().any(|hold| hold.id == *id),
        Command::Release { id } => {
            order.holds.iter().any(|hold| hold.id == *id && hold.released_at.is_some())
        }
        Command::Cancel { .. } => times.cancelled_at.is_some(),
        Command::Refund { .. } => times.refunded_at.is_some(),
        Command::Place(_) | Command::Observe(_) | Command::Due => false,
    }
}

/// The first field in which a repeated `place` differs from the order. `at` is not compared.
/// `paid_at`, `shipped_at` and `delivered_at` are compared if they are sent, so that a shop never
/// takes an unpaid order for a paid one.
fn differing_field(order: &Order, place: &Place) -> Option<&'static str> {
    let is_same = |sent: Option<Time>, known| sent.is_none() || sent == known;
    let fields = [
        ("buyer_id", order.buyer_id == place.buyer_id),
        ("policy", order.revision.name() == place.policy.as_str()),
        ("amount", order.amount == place.amount),
        ("currency", order.currency == place.currency),
        ("data", order.data == place.data),
        ("receive_after", order.receive_after == place.receive_after),
        ("paid_at", is_same(place.paid_at, order.times.paid_at)),
        ("shipped_at", is_same(place.shipped_at, order.times.shipped_at)),
        ("delivered_at", is_same(place.delivered_at, order.times.delivered_at)),
    ];
    fields.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
}

/// True if one of the times lies further ahead than the tolerance for clock differences.
fn is_ahead(times: [Option<Time>; 4], now: Time) -> bool {
    times.into_iter().flatten().any(|at| at > now.after(CLOCK_TOLERANCE))
}

/// The reason why the command is rejected, if it is.
fn refuse(order: &Order, command: &Command, now: Time, terms: &Terms) -> Option<Rejection> {
    let because = |code| Some(Rejection::not_allowed(order, code, terms));
    match command {
        Command::Due => None,
        Command::Extend { .. }
            if order.receive_clock_runs() && order.extensions >= terms.max_extensions =>
        {
            because(Code::ExtensionLimit)
        }
        Command::Extend { number }
            if order.receive_clock_runs() && *number > order.extensions + 1 =>
        {
            because(Code::ExtensionOutOfOrder)
        }
        Command::Hold { .. } if is_holdable(order) && order.holds.len() >= MAX_HOLDS => {
            because(Code::TooManyHolds)
        }
        Command::Release { id } if !order.holds.iter().any(|hold| hold.id == *id) => {
            because(Code::NotHeld)
        }
        _ if !permits(order, command.verb(), terms) => because(Code::of(command.verb())),
        _ if is_ahead(command.claimed_times(), now) => {
            Some(Rejection::in_future(&order.id, Some(order.status)))
        }
        _ => None,
    }
}

fn placed(id: &OrderId, place: &Place, now: Time, policy: &Policy) -> Order {
    let terms = &policy.terms;
    let mut order = Order {
        id: id.clone(),
        version: 1,
        status: Status::PendingPayment,
        kind: EventKind::Placed,
        cause: Cause::Shop,
        changed_at: now,
        buyer_id: place.buyer_id.clone(),
        revision: policy.revision.clone(),
        amount: place.amount,
        currency: place.currency,
        data: place.data.clone(),
        receive_after: place.receive_after,
        times: Times::placed(place.at.or(place.paid_at).unwrap_or(now)),
        carrier: None,
        tracking: None,
        reason: None,
        extensions: 0,
        clock: Clock::None,
        holds: Vec::new(),
        adopted: false,
        unknown: String::new(),
    };
    let Some(paid_at) = place.paid_at else {
        start(&mut order, ClockKind::Pay, terms.pay_within, place.at.unwrap_or(now), terms);
        return order;
    };
    pay(&mut order, paid_at, terms);
    // All in one step. Otherwise a clock could run out that the shipment or delivery stopped long
    // ago.
    if let Some(at) = place.shipped_at {
        ship(&mut order, at, terms);
    }
    if let Some(at) = place.delivered_at {
        deliver(&mut order, at, terms);
    }
    order
}

fn apply(order: &Order, command: &Command, now: Time, terms: &Terms) -> Decision {
    let mut next =
        Order { version: order.version + 1, changed_at: now, cause: Cause::Shop, ..order.clone() };
    let next_ref = &mut next;
    next_ref.kind = match command {
        Command::Place(_) | Command::Observe(_) => return Decision::Unchanged,
        Command::Pay { at } if order.status == Status::Cancelled => {
            next_ref.times.late_payment_at = Some(at.unwrap_or(now));
            EventKind::LatePayment
        }
        Command::Pay { at } => {
            pay(next_ref, at.unwrap_or(now), terms);
            EventKind::Paid
        }
        Command::Ship { at, carrier, tracking } => {
            (next_ref.carrier, next_ref.tracking) = (carrier.clone(), tracking.clone());
            ship(next_ref, at.unwrap_or(now), terms);
            EventKind::Shipped
        }
        Command::Deliver { at } => {
            deliver(next_ref, at.unwrap_or(now), terms);
            EventKind::Delivered
        }
        Command::Receive { by } => {
            next_ref.cause = *by;
            receive(next_ref, now, terms);
            EventKind::Received
        }
        Command::Extend { .. } => {
            extend(next_ref, now, terms);
            EventKind::Extended
        }
        Command::Hold { id, reason } => {
            next_ref.holds.push(Hold {
                id: id.clone(),
                reason: reason.clone(),
                since: now,
                released_at: None,
            });
            next_ref.clock = order.clock.paused(now);
            EventKind::Held
        }
        Command::Release { id } => {
            release(next_ref, id.as_str(), now, terms);
            EventKind::Released
        }
        Command::Cancel { reason } => {
            next_ref.reason = Some(reason.clone());
            end(next_ref, Status::Cancelled, now);
            EventKind::Cancelled
        }
        Command::Refund { reason } => {
            next_ref.reason.clone_from(reason);
            end(next_ref, Status::Refunded, now);
            EventKind::Refunded
        }
        Command::Due => match run_out(next_ref, now, terms) {
            Some(kind) => {
                next_ref.cause = Cause::Timer;
                kind
            }
            None => return Decision::Unchanged,
        },
    };
    Decision::Changed(Arc::new(next))
}

/// Starts a clock that counts from `from`. If the order is held, the clock is paused at its full
/// length.
fn start(order: &mut Order, kind: ClockKind, length: Option<Span>, from: Time, terms: &Terms) {
    order.clock = match length {
        None => Clock::None,
        Some(remaining) if order.is_held() => Clock::Paused { kind, remaining },
        Some(length) => Clock::running(kind, from.after(length), from, terms),
    };
}

fn start_receive(order: &mut Order, from: Time, terms: &Terms) {
    let silence = order.receive_after.unwrap_or(terms.receive_after);
    start(order, ClockKind::Receive, Some(silence), from, terms);
}

fn pay(order: &mut Order, at: Time, terms: &Terms) {
    order.status = Status::Paid;
    order.times.paid_at = Some(at);
    match terms.starts_at {
        StartsAt::Paid => start_receive(order, at, terms),
        StartsAt::Shipped | StartsAt::Delivered => {
            start(order, ClockKind::Ship, terms.ship_within, at, terms)
        }
    }
}

fn ship(order: &mut Order, at: Time, terms: &Terms) {
    order.status = Status::Shipped;
    order.times.shipped_at = Some(at);
    match terms.starts_at {
        StartsAt::Paid => {}
        StartsAt::Shipped => start_receive(order, at, terms),
        StartsAt::Delivered => start(order, ClockKind::Receive, terms.fallback_after, at, terms),
    }
}

fn deliver(order: &mut Order, at: Time, terms: &Terms) {
    let was_shipped = order.status == Status::Shipped;
    order.status = Status::Delivered;
    order.times.delivered_at = Some(at);
    match terms.starts_at {
        StartsAt::Paid => {}
        StartsAt::Shipped if was_shipped => {}
        StartsAt::Shipped | StartsAt::Delivered => start_receive(order, at, terms),
    }
}

fn receive(order: &mut Order, now: Time, terms: &Terms) {
    end(order, Status::Received, now);
    start(order, ClockKind::Settle, terms.settle_after, now, terms);
}

fn extend(order: &mut Order, now: Time, terms: &Terms) {
    order.extensions += 1;
    if let Some(deadline) = order.clock.deadline() {
        order.clock = Clock::running(
            ClockKind::Receive,
            deadline.max(now).after(terms.extend_by),
            now,
            terms,
        );
    }
}

fn release(order: &mut Order, id: &str, now: Time, terms: &Terms) {
    for hold in order.holds.iter_mut().filter(|hold| hold.id.as_str() == id) {
        hold.released_at = Some(now);
    }
    if !order.is_held() {
        order.clock = order.clock.resumed(now, terms);
    }
}

/// Ends the order with `status`: stops the clock, releases the holds and sets the time.
fn end(order: &mut Order, status: Status, now: Time) {
    order.status = status;
    order.clock = Clock::None;
    for hold in order.holds.iter_mut().filter(|hold| hold.released_at.is_none()) {
        hold.released_at = Some(now);
    }
    let times = &mut order.times;
    match status {
        Status::Received => times.received_at = Some(now),
        Status::Completed => times.completed_at = Some(now),
        Status::Cancelled => times.cancelled_at = Some(now),
        Status::Refunded => times.refunded_at = Some(now),
        Status::PendingPayment | Status::Paid | Status::Shipped | Status::Delivered => {}
    }
}

/// Applies the timer to an order; `None` if nothing is due. Before the deadline one reminder is
/// sent, even if several came due meanwhile. After the deadline none is sent.
fn run_out(order: &mut Order, now: Time, terms: &Terms) -> Option<EventKind> {
    let Clock::Running { kind, deadline, .. } = order.clock else { return None };
    if order.next_due_at()? > now {
        return None;
    }
    if now < deadline {
        order.clock = Clock::running(kind, deadline, now, terms);
        return Some(EventKind::ReceiveReminder);
    }
    if !kind.fits(order.status) {
        return None;
    }
    Some(match kind {
        ClockKind::Pay => time_out(order, "payment_timeout", now),
        ClockKind::Ship => time_out(order, "ship_timeout", now),
        ClockKind::Receive => {
            receive(order, now, terms);
            EventKind::Received
        }
        ClockKind::Settle => {
            end(order, Status::Completed, now);
            EventKind::Completed
        }
    })
}

fn time_out(order: &mut Order, reason: &str, now: Time) -> EventKind {
    order.reason = reason.parse::<Text<200>>().ok();
    end(order, Status::Cancelled, now);
    EventKind::Cancelled
}
