//! The order as short text, and back. Stores keep this text, and outbox entries carry it.
//!
//! `2|P|t<placed>|bbuyer|a59000KRW|r.k3x9q1|p<paid>|kr<deadline>`: the version, the letter of the
//! status, then fields in any order, each with its own first letter. Default values are omitted to
//! keep a waiting order small. Times are milliseconds in base 36; all except `t` count from `t`.
//! Texts escape `|`, `%` and `~` as `%7C`, `%25` and `%7E`. A record has no line break. A field
//! with an unknown letter comes from a newer program version and is kept as it is. A known field
//! with extra content makes the record unreadable, because writing it back would lose that content.

use std::borrow::Cow;

use smol_str::SmolStrBuilder;

use crate::clock::{Clock, ClockKind};
use crate::event::{Cause, EventKind};
use crate::order::{Hold, Order, Status, Times};
use crate::policy::Revision;
use crate::time::{Span, Time};
use crate::words::{Currency, Data, OrderId};

/// A stored order that this version of the program cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored order {id} cannot be read: {what}")]
pub struct Unreadable {
    /// The order's id, or the outbox entry's.
    pub id: String,
    /// The part that cannot be read.
    pub what: String,
}

const DEFAULT_POLICY: &str = "default.";

/// The order as text, without its id.
#[must_use]
pub fn encode(order: &Order) -> String {
    let mut out =
        String::with_capacity(112 + order.data.as_ref().map_or(0, |data| data.as_str().len()));
    write(&mut out, order);
    out
}

/// Appends the order as text, without its id, to `out`.
pub fn write(out: &mut String, order: &Order) {
    let placed = order.times.placed_at;
    digits::<10>(out, order.version);
    field(out, order.status.letter());
    field(out, 't');
    base36(out, placed.ms());
    if let Some(buyer) = &order.buyer_id {
        text(out, 'b', buyer.as_str());
    }
    if order.amount.is_some() || order.currency.is_some() {
        out.push_str("|a");
        if let Some(amount) = order.amount {
            digits::<10>(out, amount);
        }
        out.push_str(order.currency.as_ref().map_or("", |currency| currency.as_str()));
    }
    let revision = order.revision.as_str();
    let revision = if revision.starts_with(DEFAULT_POLICY) {
        &revision[DEFAULT_POLICY.len() - 1..]
    } else {
        revision
    };
    text(out, 'r', revision);
    for (letter, time) in marks(&order.times) {
        if let Some(at) = time {
            field(out, letter);
            base36(out, at.ms() - placed.ms());
        }
    }
    encode_clock(out, &order.clock, placed);
    encode_rest(out, order);
    out.push_str(&order.unknown);
}

/// The optional times of an order, with their field letters.
fn marks(times: &Times) -> [(char, Option<Time>); 8] {
    [
        ('p', times.paid_at),
        ('s', times.shipped_at),
        ('d', times.delivered_at),
        ('q', times.received_at),
        ('o', times.completed_at),
        ('x', times.cancelled_at),
        ('f', times.refunded_at),
        ('l', times.late_payment_at),
    ]
}

fn encode_clock(out: &mut String, clock: &Clock, placed: Time) {
    match *clock {
        Clock::None => {}
        Clock::Running { kind, deadline, remind_at } => {
            field(out, 'k');
            out.push(kind.letter());
            base36(out, deadline.ms() - placed.ms());
            if let Some(at) = remind_at {
                out.push(',');
                base36(out, at.ms() - placed.ms());
            }
        }
        Clock::Paused { kind, remaining } => {
            field(out, 'k');
            out.push(kind.letter());
            out.push('=');
            base36(out, remaining.ms());
        }
    }
}

fn encode_rest(out: &mut String, order: &Order) {
    let placed = order.times.placed_at;
    if (order.kind, order.cause) != order.status.usual_event() {
        field(out, 'e');
        out.push(order.kind.letter());
        out.push(order.cause.letter());
    }
    if order.changed_at != order.times.latest() {
        field(out, 'u');
        base36(out, order.changed_at.ms() - placed.ms());
    }
    if let Some(span) = order.receive_after {
        field(out, 'v');
        base36(out, span.ms());
    }
    if order.adopted {
        field(out, 'i');
    }
    if order.extensions > 0 {
        field(out, 'm');
        digits::<10>(out, order.extensions.into());
    }
    for (letter, label) in [('c', &order.carrier), ('n', &order.tracking)] {
        if let Some(label) = label {
            text(out, letter, label.as_str());
        }
    }
    if let Some(reason) = &order.reason {
        text(out, 'w', reason.as_str());
    }
    for hold in &order.holds {
        encode_hold(out, hold, placed);
    }
    if let Some(data) = &order.data {
        text(out, 'j', data.as_str());
    }
}

/// `h<id>~<since>~<released>~<reason>`. The reason is omitted if it equals the id.
fn encode_hold(out: &mut String, hold: &Hold, placed: Time) {
    text(out, 'h', hold.id.as_str());
    out.push('~');
    base36(out, hold.since.ms() - placed.ms());
    out.push('~');
    if let Some(at) = hold.released_at {
        base36(out, at.ms() - placed.ms());
    }
    if hold.reason.as_str() != hold.id.as_str() {
        out.push('~');
        escape(out, hold.reason.as_str());
    }
}

fn field(out: &mut String, letter: char) {
    out.push('|');
    out.push(letter);
}

fn text(out: &mut String, letter: char, text: &str) {
    field(out, letter);
    escape(out, text);
}

fn escape(out: &mut String, text: &str) {
    // The loop never stops early, so the compiler can vectorise it; `data` can have 4 KiB.
    if !text.bytes().fold(false, |found, byte| found | matches!(byte, b'|' | b'%' | b'~')) {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '|' => out.push_str("%7C"),
            '%' => out.push_str("%25"),
            '~' => out.push_str("%7E"),
            other => out.push(other),
        }
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    // `%25` must come last. Otherwise its `%` could begin another escape.
    if text.contains('%') {
        text.replace("%7C", "|").replace("%7E", "~").replace("%25", "%").into()
    } else {
        text.into()
    }
}

fn base36(out: &mut String, number: i64) {
    if number < 0 {
        out.push('-');
    }
    digits::<36>(out, number.unsigned_abs());
}

/// `BASE` is a constant so that the compiler replaces the division by a multiplication.
fn digits<const BASE: u64>(out: &mut String, number: u64) {
    // A u64 has at most 20 digits in base 10 or higher. All are ASCII.
    let mut digits = [0u8; 20];
    let mut rest = number;
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % BASE) as usize];
        rest /= BASE;
        if rest == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[first..]).unwrap_or_default());
}

/// Reads the order `id` from its text.
///
/// # Errors
/// The text was not written by this program or by a newer version that added fields.
pub fn decode(id: &OrderId, record: &str) -> Result<Order, Unreadable> {
    let wrong = |what: &str| Unreadable { id: id.to_string(), what: what.to_owned() };
    let mut fields = RecordFields(Some(record));
    let version = fields.next().and_then(version).ok_or_else(|| wrong("no version"))?;
    let status = fields.next().and_then(status).ok_or_else(|| wrong("an unknown status"))?;
    let placed = fields
        .next()
        .and_then(|f| instant(f.strip_prefix('t')?, Time::from_ms(0)))
        .ok_or_else(|| wrong("no time of placing"))?;
    let (kind, cause) = status.usual_event();
    let mut draft = Draft {
        order: blank(id, version, status, placed, kind, cause),
        revision: None,
        changed_at: None,
    };
    for field in fields {
        read_field(&mut draft, field).ok_or_else(|| {
            wrong(&format!("its field {:?}", field.chars().next().unwrap_or('|')))
        })?;
    }
    draft.order.revision = draft.revision.ok_or_else(|| wrong("no policy revision"))?;
    draft.order.changed_at = draft.changed_at.unwrap_or_else(|| draft.order.times.latest());
    if draft.order.clock_fits() {
        Ok(draft.order)
    } else {
        Err(wrong("its clock does not fit its status and holds"))
    }
}

/// Iterates over the fields of a record. Faster than `str::split` for short fields.
struct RecordFields<'a>(Option<&'a str>);

impl<'a> Iterator for RecordFields<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0?;
        let Some(end) = rest.bytes().position(|byte| byte == b'|') else { return self.0.take() };
        self.0 = rest.get(end + 1..);
        rest.get(..end)
    }
}

/// Parses a version. Stores compare versions as text, so only the canonical form is accepted. It
/// must stay below `i64::MAX`, because stores use signed integers.
fn version(text: &str) -> Option<u64> {
    let version = text.parse().ok().filter(|&version| version < i64::MAX.unsigned_abs())?;
    text.starts_with(|c: char| matches!(c, '1'..='9')).then_some(version)
}

struct Draft {
    order: Order,
    revision: Option<Revision>,
    changed_at: Option<Time>,
}

fn blank(
    id: &OrderId,
    version: u64,
    status: Status,
    placed: Time,
    kind: EventKind,
    cause: Cause,
) -> Order {
    Order {
        id: id.clone(),
        version,
        status,
        kind,
        cause,
        changed_at: placed,
        buyer_id: None,
        revision: Revision::unset(),
        amount: None,
        currency: None,
        data: None,
        receive_after: None,
        times: Times::placed(placed),
        carrier: None,
        tracking: None,
        reason: None,
        extensions: 0,
        clock: Clock::None,
        holds: Vec::new(),
        adopted: false,
        unknown: String::new(),
    }
}

fn read_field(draft: &mut Draft, field: &str) -> Option<()> {
    let letter = field.chars().next()?;
    let value = &field[letter.len_utf8()..];
    let order = &mut draft.order;
    let placed = order.times.placed_at;
    let times = &mut order.times;
    match letter {
        'p' => times.paid_at = Some(instant(value, placed)?),
        's' => times.shipped_at = Some(instant(value, placed)?),
        'd' => times.delivered_at = Some(instant(value, placed)?),
        'q' => times.received_at = Some(instant(value, placed)?),
        'o' => times.completed_at = Some(instant(value, placed)?),
        'x' => times.cancelled_at = Some(instant(value, placed)?),
        'f' => times.refunded_at = Some(instant(value, placed)?),
        'l' => times.late_payment_at = Some(instant(value, placed)?),
        'b' => order.buyer_id = Some(unescape(value).parse().ok()?),
        'a' => (order.amount, order.currency) = read_amount(value)?,
        'r' => draft.revision = Some(read_revision(value)?),
        'k' => order.clock = read_clock(value, placed)?,
        'e' => (order.kind, order.cause) = read_event(value)?,
        'u' => draft.changed_at = Some(instant(value, placed)?),
        'v' => order.receive_after = Some(length(value)?),
        'i' => order.adopted = value.is_empty().then_some(true)?,
        'm' => order.extensions = value.parse().ok()?,
        'c' => order.carrier = Some(unescape(value).parse().ok()?),
        'n' => order.tracking = Some(unescape(value).parse().ok()?),
        'w' => order.reason = Some(unescape(value).parse().ok()?),
        'h' => order.holds.push(read_hold(value, placed)?),
        'j' => order.data = Some(Data::new(&unescape(value)).ok()?),
        _ if value.bytes().any(|byte| byte < b' ') => return None,
        _ => {
            order.unknown.push('|');
            order.unknown.push_str(field);
        }
    }
    Some(())
}

fn status(text: &str) -> Option<Status> {
    let mut chars = text.chars();
    let letter = chars.next().filter(|_| chars.as_str().is_empty())?;
    Status::ALL.into_iter().find(|status| status.letter() == letter)
}

fn number(text: &str) -> Option<i64> {
    i64::from_str_radix(text, 36).ok()
}

fn instant(text: &str, from: Time) -> Option<Time> {
    let ms = from.ms().checked_add(number(text)?)?;
    // A damaged deadline must not be clamped into a valid one.
    Some(Time::from_ms(ms)).filter(|time| time.ms() == ms)
}

fn length(text: &str) -> Option<Span> {
    let ms = number(text)?;
    Some(Span::from_ms(ms)).filter(|span| span.ms() == ms)
}

fn read_amount(value: &str) -> Option<(Option<u64>, Option<Currency>)> {
    let letters = value.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &value[..value.len() - letters.len()];
    let amount = if digits.is_empty() { None } else { Some(digits.parse().ok()?) };
    let currency = if letters.is_empty() { None } else { Some(letters.parse().ok()?) };
    Some((amount, currency))
}

fn read_revision(value: &str) -> Option<Revision> {
    match value.strip_prefix('.') {
        Some(hash) => {
            let mut revision = SmolStrBuilder::new();
            revision.push_str(DEFAULT_POLICY);
            revision.push_str(hash);
            revision.finish().parse().ok()
        }
        None => value.parse().ok(),
    }
}

fn read_clock(value: &str, placed: Time) -> Option<Clock> {
    let letter = value.chars().next()?;
    let kind = ClockKind::ALL.into_iter().find(|kind| kind.letter() == letter)?;
    let value = &value[letter.len_utf8()..];
    if let Some(remaining) = value.strip_prefix('=') {
        return Some(Clock::Paused { kind, remaining: length(remaining)? });
    }
    let (deadline, remind_at) = match value.split_once(',') {
        Some((deadline, remind_at)) => (deadline, Some(instant(remind_at, placed)?)),
        None => (value, None),
    };
    Some(Clock::Running { kind, deadline: instant(deadline, placed)?, remind_at })
}

fn read_event(value: &str) -> Option<(EventKind, Cause)> {
    let mut letters = value.chars();
    let (kind, cause) = (letters.next()?, letters.next()?);
    if !letters.as_str().is_empty() {
        return None;
    }
    let kind = EventKind::ALL.into_iter().find(|known| known.letter() == kind)?;
    Some((kind, Cause::ALL.into_iter().find(|known| known.letter() == cause)?))
}

fn read_hold(value: &str, placed: Time) -> Option<Hold> {
    let mut parts = value.split('~');
    let id = unescape(parts.next()?);
    let since = instant(parts.next()?, placed)?;
    let released_at = match parts.next()? {
        "" => None,
        at => Some(instant(at, placed)?),
    };
    let reason = parts.next().map_or_else(|| id.clone(), unescape);
    if parts.next().is_some() {
        return None;
    }
    Some(Hold { id: id.parse().ok()?, reason: reason.parse().ok()?, since, released_at })
}
