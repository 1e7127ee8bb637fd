//! The received messages: one line for each, and totals at the end.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use autoreceive_domain::Span;
use axum::http::StatusCode;
use serde_json::Value;

use crate::cli::output;

/// Number of remembered ids, for the detection of repeats.
const IDS: usize = 100_000;
/// Limit of a printed text.
const SHOWN_CHARS: usize = 160;

/// The answer to a message.
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its delay.
    pub slow: Option<Span>,
}

/// Prints and counts messages.
pub struct Ledger {
    json: bool,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Number of deliveries of each id.
    seen: HashMap<String, u64>,
    /// The ids by first arrival; the oldest one is forgotten first.
    order: VecDeque<String>,
    events: u64,
    repeats: u64,
    failed: u64,
    refused: u64,
}

impl Ledger {
    /// An empty ledger. Prints bodies as JSON, or lines for people.
    pub fn new(json: bool) -> Ledger {
        Ledger { json, counts: Mutex::default() }
    }

    /// Records a message with a valid signature.
    pub fn verified(&self, id: &str, body: &[u8], reply: &Reply) {
        let times = self.with(|counts| counts.take(id, reply.status.is_success()));
        match serde_json::from_slice::<Value>(body) {
            Err(_) => output::print(&format!(
                "signed, but not JSON  id {}{}  {reply}",
                shown(id),
                repeated(times)
            )),
            Ok(_) if self.json => output::print(&one_line(body)),
            Ok(event) => output::print(&format!(
                "{}  id {}{}  {reply}",
                line(&event),
                shown(id),
                repeated(times)
            )),
        }
    }

    /// Records a refused message. Its text is not shown, because anyone may have sent it.
    pub fn refused(&self, id: &str, why: &str, reply: &Reply) {
        self.with(|counts| counts.refused += 1);
        eprintln!("refused: {why}  id {}  {reply}", shown(id));
    }

    /// The totals.
    pub fn summary(&self) -> String {
        self.with(|counts| {
            let Counts { events, repeats, failed, refused, .. } = counts;
            format!(
                "{} deliveries: {events} new, {repeats} repeated, {refused} refused; {failed} \
                 answered with 500",
                *events + *repeats + *refused
            )
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Counts) -> T) -> T {
        f(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counts {
    /// Returns the number of deliveries of the id, with this one.
    fn take(&mut self, id: &str, succeeds: bool) -> u64 {
        self.failed += u64::from(!succeeds);
        if let Some(times) = self.seen.get_mut(id) {
            self.repeats += 1;
            *times += 1;
            return *times;
        }
        if self.order.len() >= IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.events += 1;
        self.order.push_back(id.to_owned());
        self.seen.insert(id.to_owned(), 1);
        1
    }
}

fn line(event: &Value) -> String {
    let order = &event["data"]["order"];
    let text = |value: &Value| value.as_str().map_or_else(|| "–".to_owned(), shown);
    format!(
        "{}  {}  {}  version {}  by {}",
        text(&event["type"]),
        text(&order["order_id"]),
        text(&order["status"]),
        order["version"].as_u64().unwrap_or(0),
        text(&event["data"]["cause"]),
    )
}

/// The JSON on one line. JSON has line breaks only between tokens.
fn one_line(json: &[u8]) -> String {
    String::from_utf8_lossy(json).replace(['\n', '\r'], " ")
}

fn repeated(times: u64) -> String {
    if times > 1 { format!("  delivery {times}") } else { String::new() }
}

/// A sender's text without the control characters of a terminal.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect()
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered {}", self.status.as_u16())?;
        self.slow.map_or(Ok(()), |slow| write!(f, " after {slow}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_ids_are_forgotten_so_that_memory_is_bounded() {
        let mut counts = Counts::default();
        for n in 0..IDS + 10 {
            assert_eq!(counts.take(&n.to_string(), true), 1);
        }
        assert_eq!((counts.seen.len(), counts.order.len()), (IDS, IDS));
        assert_eq!((counts.take("0", true), counts.take("100", true)), (1, 2));
    }

    #[test]
    fn a_line_contains_no_terminal_commands_of_the_sender() {
        let event = serde_json::json!({
            "type": "order.received\u{1b}[2J",
            "data": {"cause": "timer", "order": {"order_id": "A\u{7}-1"}},
        });
        assert_eq!(line(&event), "order.received[2J  A-1  –  version 0  by timer");
    }
}
