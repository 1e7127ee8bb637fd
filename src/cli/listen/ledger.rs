//! What came so far: a line for each message, and a sum at the end.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use autoreceive_domain::Span;
use axum::http::StatusCode;
use serde_json::Value;

use crate::cli::output;

/// How many ids are remembered, so that their repeats are told.
const IDS: usize = 100_000;
/// How much of a sender's text is printed.
const SHOWN_CHARS: usize = 160;

/// How a message is answered.
pub struct Verdict {
    /// With which status.
    pub status: StatusCode,
    /// After which wait.
    pub slow: Option<Span>,
}

/// Prints and counts.
pub struct Ledger {
    json: bool,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// How often each id came.
    seen: HashMap<String, u64>,
    /// The ids in the order of their first arrival: the oldest one is forgotten first.
    order: VecDeque<String>,
    events: u64,
    repeats: u64,
    failed: u64,
    refused: u64,
}

impl Ledger {
    /// An empty one, which prints bodies or lines for people.
    pub fn new(json: bool) -> Ledger {
        Ledger { json, counts: Mutex::default() }
    }

    /// Notes a message whose signature is right.
    pub fn verified(&self, id: &str, body: &[u8], verdict: &Verdict) {
        let times = self.with(|counts| counts.take(id, verdict.status.is_success()));
        match serde_json::from_slice::<Value>(body) {
            Err(_) => output::print(&format!(
                "signed, but not JSON  id {}{}  {verdict}",
                shown(id),
                repeated(times)
            )),
            Ok(_) if self.json => output::print(&one_line(body)),
            Ok(event) => output::print(&format!(
                "{}  id {}{}  {verdict}",
                line(&event),
                shown(id),
                repeated(times)
            )),
        }
    }

    /// Notes a message that was not accepted. Its text is not shown: anybody can have written it.
    pub fn refused(&self, id: &str, why: &str, verdict: &Verdict) {
        self.with(|counts| counts.refused += 1);
        eprintln!("refused: {why}  id {}  {verdict}", shown(id));
    }

    /// What came in all.
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
    /// Returns how often the id came, this time included.
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
    let (kind, id, status, cause) = (
        text(&event["type"]),
        text(&order["order_id"]),
        text(&order["status"]),
        text(&event["data"]["cause"]),
    );
    format!(
        "{kind}  {id}  {status}  version {}  by {cause}",
        order["version"].as_u64().unwrap_or(0)
    )
}

/// JSON as it came, on one line: a line break can only stand between its parts.
fn one_line(json: &[u8]) -> String {
    String::from_utf8_lossy(json).replace(['\n', '\r'], " ")
}

fn repeated(times: u64) -> String {
    if times > 1 { format!("  delivery {times}") } else { String::new() }
}

/// A sender's text without anything that a terminal would obey.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered {}", self.status.as_u16())?;
        self.slow.map_or(Ok(()), |slow| write!(f, " after {slow}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_ids_are_forgotten_so_that_memory_has_a_bound() {
        let mut counts = Counts::default();
        for n in 0..IDS + 10 {
            assert_eq!(counts.take(&n.to_string(), true), 1);
        }
        assert_eq!((counts.seen.len(), counts.order.len()), (IDS, IDS));
        assert_eq!((counts.take("0", true), counts.take("100", true)), (1, 2));
    }

    #[test]
    fn a_line_obeys_no_terminal_commands_of_the_sender() {
        let event = serde_json::json!({"type": "order.received\u{1b}[2J", "data": {"cause": "timer", "order": {"order_id": "A\u{7}-1"}}});
        assert_eq!(line(&event), "order.received[2J  A-1  –  version 0  by timer");
    }
}
