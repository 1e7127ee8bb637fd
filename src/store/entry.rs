//! Outbox entries as text, the same in every store: for each event two lines, the order's id and its record at that
//! version, which holds everything that an attempt needs. An entry that was attempted before begins with one line more, its
//! history, which a TAB sets apart: neither an id nor a record has control characters.

use std::fmt::Write;
use std::sync::Arc;

use autoreceive_domain::record::{self, Unreadable};
use autoreceive_domain::{Event, OrderId, Time};

use super::History;

/// The longest error text that is kept, in bytes.
const ERROR_BYTES: usize = 300;

/// The text of an entry with `events`.
#[must_use]
pub fn encode<'a>(history: Option<&History>, events: impl IntoIterator<Item = &'a Event>) -> String {
    let mut out = String::new();
    if let Some(history) = history {
        encode_history(&mut out, history);
    }
    for event in events {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(event.0.id.as_str());
        out.push('\n');
        out.push_str(&record::encode(&event.0));
    }
    out
}

fn encode_history(out: &mut String, history: &History) {
    let _ = write!(out, "\t{}\t{}", history.attempts, history.first_at.ms());
    for (at, error) in &history.errors {
        let _ = write!(out, "\t{} ", at.ms());
        let end = (0..=ERROR_BYTES.min(error.len())).rev().find(|&end| error.is_char_boundary(end)).unwrap_or(0);
        out.extend(error[..end].chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
}

/// Reads an entry's text.
///
/// # Errors
/// Where `id`'s text was not written by this program.
pub fn decode(id: &str, text: &str) -> Result<(Option<History>, Vec<Event>), Unreadable> {
    let wrong = |what: &str| Unreadable { id: id.to_owned(), what: what.to_owned() };
    let mut lines = text.split('\n').peekable();
    let history = match lines.next_if(|line| line.starts_with('\t')) {
        Some(line) => Some(decode_history(line).ok_or_else(|| wrong("the history of its attempts"))?),
        None => None,
    };
    let mut events = Vec::new();
    while let Some(order) = lines.next() {
        let order: OrderId = order.parse().map_err(|_| wrong("an order id"))?;
        let record = lines.next().ok_or_else(|| wrong("an order without a record"))?;
        events.push(Event(Arc::new(record::decode(&order, record)?)));
    }
    Ok((history, events))
}

fn decode_history(line: &str) -> Option<History> {
    let mut parts = line.split('\t').skip(1);
    let attempts = parts.next()?.parse().ok()?;
    let first_at = Time::from_ms(parts.next()?.parse().ok()?);
    let error = |part: &str| {
        let (at, text) = part.split_once(' ')?;
        Some((Time::from_ms(at.parse().ok()?), text.to_owned()))
    };
    let errors = parts.map(error).collect::<Option<_>>()?;
    Some(History { attempts, first_at, errors })
}
