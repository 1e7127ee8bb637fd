//! One order of one shop. All times count from its `place`.

use std::sync::Arc;

use autoreceive_domain::decide::{Code, decide_absent, decide_place};
use autoreceive_domain::{
    Cause, Clock, ClockKind, Command, Decision, EventKind, Order, OrderId, Place, Policy, Span,
    StartsAt, Status, Terms, Time, decide,
};

#[derive(Clone)]
pub struct Shop {
    pub place: Place,
    policy: Policy,
    order: Option<Order>,
}

const PLACED_MS: i64 = 1_790_000_000_000;

/// Hours in milliseconds.
pub fn h(hours: i64) -> i64 {
    hours * 3_600_000
}

/// Minutes in milliseconds.
pub fn min(minutes: i64) -> i64 {
    minutes * 60_000
}

pub fn span(text: &str) -> Span {
    text.parse().unwrap()
}

/// Terms under which an order is received 24 hours after it was shipped.
pub fn from_shipment() -> Terms {
    Terms { starts_at: StartsAt::Shipped, ..Terms::default() }
}

/// Terms under which an order is received 24 hours after it was delivered.
pub fn from_delivery() -> Terms {
    Terms { starts_at: StartsAt::Delivered, ..Terms::default() }
}

pub fn pay() -> Command {
    Command::Pay { at: None }
}

pub fn ship() -> Command {
    Command::Ship { at: None, carrier: "CJ".parse().ok(), tracking: "1234".parse().ok() }
}

pub fn deliver() -> Command {
    Command::Deliver { at: None }
}

pub fn receive(by: Cause) -> Command {
    Command::Receive { by }
}

pub fn extend(number: u32) -> Command {
    Command::Extend { number }
}

pub fn hold(id: &str) -> Command {
    Command::Hold { id: id.parse().unwrap(), reason: id.parse().unwrap() }
}

pub fn release(id: &str) -> Command {
    Command::Release { id: id.parse().unwrap() }
}

pub fn cancel(reason: &str) -> Command {
    Command::Cancel { reason: reason.parse().unwrap() }
}

pub fn refund() -> Command {
    Command::Refund { reason: None }
}

impl Shop {
    pub fn new(terms: Terms) -> Shop {
        let policy = Policy::new("default", terms).unwrap();
        let buyer = "buyer".parse().unwrap();
        let currency = "KRW".parse().unwrap();
        let place = Place::new().buyer_id(buyer).amount(59_000).currency(currency);
        Shop { place, policy, order: None }
    }

    /// The time `ms` milliseconds after the placing.
    pub fn at(&self, ms: i64) -> Time {
        Time::from_ms(PLACED_MS + ms)
    }

    pub fn receiving_after(mut self, silence: &str) -> Shop {
        self.place.receive_after = Some(span(silence));
        self
    }

    pub fn placed_and_paid_at(mut self, ms: i64) -> Shop {
        self.place.paid_at = Some(self.at(ms));
        self.placed()
    }

    pub fn placed(mut self) -> Shop {
        match decide_place(&self.id(), &self.place, self.at(0), &self.policy) {
            Decision::Changed(order) => self.order = Some(Arc::unwrap_or_clone(order)),
            other => panic!("not placed: {other:?}"),
        }
        self
    }

    pub fn place_fields(&self) -> Place {
        self.place.clone()
    }

    pub fn place(&self) -> Command {
        Command::Place(Box::new(self.place.clone()))
    }

    pub fn placing_at(&self, ms: i64) -> Command {
        Command::Place(Box::new(Place { at: Some(self.at(ms)), ..self.place.clone() }))
    }

    pub fn order(&self) -> &Order {
        self.order.as_ref().unwrap()
    }

    /// Decides a command `ms` milliseconds after the placing. It must change the order.
    #[track_caller]
    pub fn changed(&mut self, ms: i64, command: Command) -> &Shop {
        match self.decide(ms, &command) {
            Decision::Changed(order) => self.order = Some(Arc::unwrap_or_clone(order)),
            other => panic!("{command:?} did not change the order: {other:?}"),
        }
        self
    }

    #[track_caller]
    pub fn unchanged(&mut self, ms: i64, command: Command) {
        assert_eq!(self.decide(ms, &command), Decision::Unchanged, "{command:?}");
    }

    #[track_caller]
    pub fn rejected(&mut self, ms: i64, command: Command, code: Code) {
        match self.decide(ms, &command) {
            Decision::Rejected(rejection) => assert_eq!(rejection.code, code, "{rejection}"),
            other => panic!("{command:?} was not rejected: {other:?}"),
        }
    }

    /// Decides a command while the order does not exist.
    pub fn decide_absent(&self, command: &Command) -> Decision {
        decide_absent(&self.id(), command, self.at(0), Some(&self.policy))
    }

    #[track_caller]
    pub fn absent_rejects(&self, command: Command, code: Code) {
        match self.decide_absent(&command) {
            Decision::Rejected(rejection) => assert_eq!(rejection.code, code),
            other => panic!("{command:?} was not rejected: {other:?}"),
        }
    }

    #[track_caller]
    pub fn absent_ignores(&self, command: Command) {
        assert_eq!(self.decide_absent(&command), Decision::Unchanged);
    }

    #[track_caller]
    pub fn stands(&self, status: Status, clock: Clock) {
        assert_eq!((self.order().status, self.order().clock), (status, clock));
    }

    #[track_caller]
    pub fn runs(&self, status: Status, kind: ClockKind, ms: i64) {
        assert_eq!(self.order().status, status);
        self.due_at(kind, ms);
    }

    /// Asserts that the clock runs to `ms` milliseconds after the placing.
    #[track_caller]
    pub fn due_at(&self, kind: ClockKind, ms: i64) {
        assert_eq!(
            self.order().clock,
            Clock::Running { kind, deadline: self.at(ms), remind_at: None }
        );
    }

    /// Asserts the event of the last change.
    #[track_caller]
    pub fn event_is(&self, version: u64, kind: EventKind, cause: Cause) {
        let order = self.order();
        assert_eq!((order.version, order.kind, order.cause), (version, kind, cause));
    }

    fn id(&self) -> OrderId {
        "A-1".parse().unwrap()
    }

    fn decide(&self, ms: i64, command: &Command) -> Decision {
        decide(self.order(), command, self.at(ms), &self.policy.terms)
    }
}
