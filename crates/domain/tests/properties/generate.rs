//! Random terms, texts and lives of orders. A life is a `place` and a list of steps. Each step is a
//! wait and a command.

use std::sync::Arc;

use autoreceive_domain::decide::decide_place;
use autoreceive_domain::words::{Currency, Data};
use autoreceive_domain::{
    Cause, Command, Decision, Observation, Order, OrderId, Place, Policy, Span, StartsAt, Terms,
    Text, Time, decide,
};
use proptest::option;
use proptest::prelude::*;

pub const DAY_MS: i64 = 86_400_000;

/// The range of times and durations.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scale {
    /// Days: nothing reaches the limits of the range, so sums can be checked.
    Days,
    /// Anything, including clocks that go back and times in the year 9999.
    Any,
}

#[derive(Clone, Debug)]
pub enum Wait {
    For(i64),
    /// Until the order's due time plus this many milliseconds.
    UntilDue(i64),
    /// Until the order's deadline plus this many milliseconds.
    UntilDeadline(i64),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub wait: Wait,
    pub command: Command,
    /// The given time, relative to now.
    pub at: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct Life {
    pub id: OrderId,
    pub policy: Policy,
    pub place: Place,
    pub start: Time,
    pub steps: Vec<Step>,
}

/// A decided step of a life.
#[derive(Clone, Debug)]
pub struct Taken {
    pub before: Order,
    pub command: Command,
    pub now: Time,
    pub decision: Decision,
}

impl Taken {
    /// The order after the command, if it changed.
    pub fn changed(&self) -> Option<&Order> {
        match &self.decision {
            Decision::Changed(after) => Some(after),
            Decision::Unchanged | Decision::Rejected(_) => None,
        }
    }
}

/// A life with all its decisions.
#[derive(Clone, Debug)]
pub struct Story {
    pub first: Order,
    pub taken: Vec<Taken>,
    pub last: Order,
    pub end: Time,
}

impl Story {
    /// Every version that the order had.
    pub fn versions(&self) -> impl Iterator<Item = &Order> {
        std::iter::once(&self.first).chain(self.taken.iter().filter_map(Taken::changed))
    }
}

impl Life {
    pub fn terms(&self) -> &Terms {
        &self.policy.terms
    }

    pub fn live(&self) -> Story {
        let decision = decide_place(&self.id, &self.place, self.start, &self.policy);
        let Decision::Changed(first) = decision else {
            panic!("a life begins with a place that is accepted")
        };
        let first = Arc::unwrap_or_clone(first);
        let mut order = first.clone();
        let mut now = self.start;
        let mut taken = Vec::new();
        for step in &self.steps {
            now = step.wait.end(&order, now);
            let command = claimed(&step.command, step.at.map(|ms| shifted(now, ms)));
            let decision = decide(&order, &command, now, self.terms());
            let step = Taken { before: order.clone(), command, now, decision };
            order = step.changed().unwrap_or(&order).clone();
            taken.push(step);
        }
        Story { first, taken, last: order, end: now }
    }
}

impl Wait {
    fn end(&self, order: &Order, now: Time) -> Time {
        match *self {
            Wait::For(ms) => shifted(now, ms),
            Wait::UntilDue(ms) => {
                order.next_due_at().map_or(now, |next_due| shifted(next_due, ms).max(now))
            }
            Wait::UntilDeadline(ms) => {
                order.clock.deadline().map_or(now, |deadline| shifted(deadline, ms).max(now))
            }
        }
    }
}

pub fn shifted(time: Time, ms: i64) -> Time {
    Time::from_ms(time.ms().saturating_add(ms))
}

fn claimed(command: &Command, time: Option<Time>) -> Command {
    let mut command = command.clone();
    match &mut command {
        Command::Pay { at } | Command::Ship { at, .. } | Command::Deliver { at } => *at = time,
        _ => {}
    }
    command
}

pub fn span(scale: Scale) -> BoxedStrategy<Span> {
    let ms = match scale {
        Scale::Days => {
            prop_oneof![1 => 0..=5i64, 2 => 1_000..=7_200_000i64, 3 => 3_600_000..=10 * DAY_MS]
                .boxed()
        }
        Scale::Any => prop_oneof![0..=20 * DAY_MS, any::<i64>()].boxed(),
    };
    ms.prop_map(Span::from_ms).boxed()
}

pub fn instant() -> impl Strategy<Value = Time> {
    prop_oneof![0..=4_000_000_000_000i64, any::<i64>(), Just(i64::MAX), Just(i64::MIN)]
        .prop_map(Time::from_ms)
}

pub fn terms(scale: Scale) -> impl Strategy<Value = Terms> {
    let starts_at =
        prop_oneof![Just(StartsAt::Paid), Just(StartsAt::Shipped), Just(StartsAt::Delivered)];
    let optional = || option::of(span(scale));
    let clocks = (optional(), starts_at, span(scale), optional(), optional());
    let rest = (
        prop::collection::vec(span(scale), 0..4),
        0..5u32,
        span(scale),
        span(scale),
        optional(),
        span(scale),
    );
    (clocks, rest).prop_map(|(clocks, rest)| {
        let (pay_within, starts_at, receive_after, fallback_after, ship_within) = clocks;
        let (remind_before, max_extensions, extend_by, release_grace, settle_after, retain_for) =
            rest;
        Terms {
            pay_within,
            starts_at,
            receive_after,
            fallback_after,
            ship_within,
            remind_before,
            max_extensions,
            extend_by,
            release_grace,
            settle_after,
            retain_for,
        }
    })
}

/// Texts with characters that have a meaning in records.
pub fn nasty(max: usize) -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        prop::sample::select(vec![
            "|", "%", "~", "%7C", "%257C", "%7E", "%25", "=", ",", ".", " ", "가", "🎁", "k", "1",
            "\"", "\\n"
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(fragment, 1..12).prop_map(move |parts| {
        let text: String = parts.concat().chars().filter(|c| !c.is_control()).collect();
        let end =
            (0..=max.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        if end == 0 { "~".to_owned() } else { text[..end].to_owned() }
    })
}

pub fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    nasty(MAX).prop_map(|text| text.parse().unwrap())
}

pub fn order_id() -> impl Strategy<Value = OrderId> {
    nasty(128).prop_map(|text| text.parse().unwrap())
}

pub fn currency() -> impl Strategy<Value = Currency> {
    // Not a regex: every life creates this strategy anew, and a regex would be parsed each time.
    prop::sample::select(vec!["KRW", "EUR", "USD", "ZZZ"]).prop_map(|text| text.parse().unwrap())
}

/// One of a few ids, so that holds are released and repeated. Mostly one of two.
fn hold_id() -> impl Strategy<Value = Text<64>> {
    let frequent = prop::sample::select(vec!["dispute", "a|b"]).prop_map(|id| id.parse().unwrap());
    prop_oneof![3 => frequent, 1 => any_hold_id()]
}

fn any_hold_id() -> impl Strategy<Value = Text<64>> {
    let few = vec!["dispute", "return", "a|b", "%7C", "~", "손", "7", "8", "9", "10", "11", "12"];
    prop::sample::select(few).prop_map(|id| id.parse().unwrap())
}

fn place(scale: Scale, policy: Policy, start: Time) -> impl Strategy<Value = Place> {
    let past = move |ms: i64| shifted(start, ms);
    let times = (option::of(claim(scale)), option::weighted(0.3, claim(scale)));
    let parcel = (option::weighted(0.3, claim(scale)), option::weighted(0.2, claim(scale)));
    let goods = (
        option::of(text()),
        option::of(any::<u64>()),
        option::of(currency()),
        option::of(nasty(4_096)),
    );
    let all = (times, parcel, goods, option::of(span(scale)));
    let at = move |ms: i64| past(ms.min(5_000));
    all.prop_map(
        move |(
            (placed, paid),
            (shipped, delivered),
            (buyer_id, amount, currency, data),
            receive_after,
        )| Place {
            buyer_id,
            policy: policy.name(),
            amount,
            currency,
            data: data.map(|json| Data::new(&json).unwrap()),
            receive_after,
            at: placed.map(at),
            paid_at: paid.map(at),
            shipped_at: paid.and(shipped).map(at),
            delivered_at: paid.and(delivered).map(at),
        },
    )
}

/// A given time relative to now: mostly in the past, sometimes ahead by less or more than allowed.
fn claim(scale: Scale) -> BoxedStrategy<i64> {
    let days = prop_oneof![
        4 => -12 * DAY_MS..=0i64,
        1 => 1..=5_000i64,
        1 => 5_001..=9_000i64,
        1 => Just(5_000i64),
        1 => Just(5_001i64),
    ];
    match scale {
        Scale::Days => days.boxed(),
        Scale::Any => prop_oneof![days, any::<i64>()].boxed(),
    }
}

fn wait(scale: Scale) -> BoxedStrategy<Wait> {
    let wait = match scale {
        Scale::Days => {
            prop_oneof![2 => Just(0i64), 3 => 1..=7_200_000i64, 2 => 1..=8 * DAY_MS].boxed()
        }
        Scale::Any => prop_oneof![-DAY_MS..=8 * DAY_MS, any::<i64>()].boxed(),
    };
    let near = || prop_oneof![Just(-1i64), Just(0), Just(1), -DAY_MS..=DAY_MS];
    prop_oneof![
        4 => wait.prop_map(Wait::For),
        2 => near().prop_map(Wait::UntilDue),
        1 => near().prop_map(Wait::UntilDeadline),
    ]
    .boxed()
}

/// Any command. Sometimes `place` again: the same as `again`, or a different one. `holds` is the
/// weight of holds with any id.
pub fn command(again: Place, holds: u32) -> impl Strategy<Value = Command> {
    let seen = Command::Observe(Box::new(Observation::Paid {
        policy: again.policy.clone(),
        receive_after: again.receive_after,
    }));
    let other =
        Place { amount: Some(again.amount.map_or(1, |amount| amount ^ 1)), ..again.clone() };
    let paid = Place { paid_at: again.at, ..again.clone() };
    let places = prop::sample::select(vec![again, other, paid])
        .prop_map(|place| Command::Place(Box::new(place)));
    let by = prop_oneof![Just(Cause::Buyer), Just(Cause::Operator)];
    let ship = (option::of(text()), option::of(text()))
        .prop_map(|(carrier, tracking)| Command::Ship { at: None, carrier, tracking });
    let number = prop_oneof![6 => 1..3u32, 4 => 0..6u32, 1 => any::<u32>()];
    prop_oneof![
        1 => places,
        6 => Just(Command::Pay { at: None }),
        3 => ship,
        3 => Just(Command::Deliver { at: None }),
        1 => by.prop_map(|by| Command::Receive { by }),
        4 => number.prop_map(|number| Command::Extend { number }),
        4 => (hold_id(), text()).prop_map(|(id, reason)| Command::Hold { id, reason }),
        holds => (any_hold_id(), text()).prop_map(|(id, reason)| Command::Hold { id, reason }),
        5 => hold_id().prop_map(|id| Command::Release { id }),
        1 => text().prop_map(|reason| Command::Cancel { reason }),
        1 => option::of(text()).prop_map(|reason| Command::Refund { reason }),
        1 => Just(seen),
        8 => Just(Command::Due),
    ]
}

fn step(scale: Scale, again: Place, holds: u32) -> impl Strategy<Value = Step> {
    (wait(scale), command(again, holds), option::weighted(0.4, claim(scale)))
        .prop_map(|(wait, command, at)| Step { wait, command, at })
}

pub fn life(scale: Scale) -> impl Strategy<Value = Life> {
    let start = match scale {
        Scale::Days => (1_700_000_000_000..=1_900_000_000_000i64).prop_map(Time::from_ms).boxed(),
        Scale::Any => instant().boxed(),
    };
    let name = prop_oneof![Just("default"), Just("vip_2-b")];
    (order_id(), name, terms(scale), start)
        .prop_flat_map(move |(id, name, terms, start)| {
            let policy = Policy::new(name, terms).unwrap();
            // Some orders are held until they reach the maximum number of holds.
            let holds = prop_oneof![9 => Just(1u32), 1 => Just(80)];
            (Just(id), Just(policy.clone()), place(scale, policy, start), Just(start), holds)
        })
        .prop_flat_map(move |(id, policy, place, start, holds)| {
            let steps = prop::collection::vec(step(scale, place.clone(), holds), 0..30);
            (Just(id), Just(policy), Just(place), Just(start), steps)
        })
        .prop_map(|(id, policy, place, start, steps)| Life { id, policy, place, start, steps })
}

/// A life whose sums can be checked.
pub fn a_life() -> impl Strategy<Value = Life> {
    life(Scale::Days)
}

/// A life with any times at all.
pub fn a_wild_life() -> impl Strategy<Value = Life> {
    life(Scale::Any)
}
