//! Outbox entries as text, the same in every store. Each event has two lines: the order id and the
//! order's record at that version, with everything that an attempt needs. If the entry was
//! attempted before, its first line is the history. That line begins with a TAB, because ids and
//! records have no control characters.

use std::fmt::Write;
use std::sync::Arc;

use autoreceive_domain::record::{self, Unreadable};
use autoreceive_domain::{Event, OrderId, Time};

use super::History;

/// The longest error text that is kept, in bytes.
const ERROR_BYTES: usize = 300;

/// The text of an entry with `events`.
#[must_use]
pub fn encode<'a>(
    history: Option<&History>,
    events: impl IntoIterator<Item = &'a Event>,
) -> String {
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
        let end = (0..=ERROR_BYTES.min(error.len()))
            .rev()
            .find(|&end| error.is_char_boundary(end))
            .unwrap_or(0);
        out.extend(error[..end].chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
}

/// The entry's text with its attempts restarted at `now`. The last errors stay until new ones
/// replace them. A text in another format is returned unchanged.
#[must_use]
pub fn afresh(text: &str, now: Time) -> String {
    let anew = || {
        let (attempts, rest) = text.strip_prefix('\t')?.split_once('\t')?;
        let first_at = rest.bytes().take_while(u8::is_ascii_digit).count();
        let is_ours = first_at > 0
            && !attempts.is_empty()
            && attempts.bytes().all(|byte| byte.is_ascii_digit());
        is_ours.then(|| format!("\t0\t{}{}", now.ms(), &rest[first_at..]))
    };
    anew().unwrap_or_else(|| text.to_owned())
}

/// Reads an entry's text.
///
/// # Errors
/// The text was not written by this program.
pub fn decode(id: &str, text: &str) -> Result<(Option<History>, Vec<Event>), Unreadable> {
    let wrong = |what: &str| Unreadable { id: id.to_owned(), what: what.to_owned() };
    let mut lines = text.split('\n').peekable();
    let history = match lines.next_if(|line| line.starts_with('\t')) {
        Some(line) => {
            Some(decode_history(line).ok_or_else(|| wrong("the history of its attempts"))?)
        }
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

#[cfg(test)]
mod tests {
    use autoreceive_domain::decide::decide_place;
    use autoreceive_domain::words::Data;
    use autoreceive_domain::{Decision, Place, Policy, Terms};
    use proptest::prelude::*;

    use super::*;

    fn event(id: &str, data: Option<&str>) -> Event {
        let data = data.map(|json| Data::new(json).unwrap());
        let place = Place { data, ..Place::new().amount(59_000) };
        let policy = Policy::new("default", Terms::default()).unwrap();
        let now = Time::from_ms(1_800_000_000_000);
        match decide_place(&id.parse().unwrap(), &place, now, &policy) {
            Decision::Changed(order) => Event(order),
            other => panic!("{other:?}"),
        }
    }

    fn history(errors: &[&str]) -> History {
        let at = Time::from_ms(1_800_000_000_000);
        History {
            attempts: 7,
            first_at: at,
            errors: errors.iter().map(|&text| (at, text.to_owned())).collect(),
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            ids in prop::collection::vec("\\PC{1,32}", 1..5),
            data in prop::option::of("[^\\p{Cc}]{1,40}"),
            errors in prop::option::of(
                prop::collection::vec("[^\\p{Cc}]{0,60}", 0..=History::ERRORS)
            ),
        ) {
            let events: Vec<Event> = ids.iter().map(|id| event(id, data.as_deref())).collect();
            let history = errors.as_ref().map(|errors| {
                history(&errors.iter().map(String::as_str).collect::<Vec<_>>())
            });
            let text = encode(history.as_ref(), &events);
            prop_assert_eq!(decode("e1", &text), Ok((history, events)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(\t?[0-9 |a-zA-Z\t.]{0,20}\n?){0,6}|\\PC*") {
            let _ = decode("e1", &text);
        }
    }

    #[test]
    fn an_error_is_kept_on_one_line_and_short() {
        let long = "하".repeat(200);
        let text =
            encode(Some(&history(&["two\nlines\tand a tab", &long, ""])), [&event("A-1", None)]);
        let (history, events) = decode("e1", &text).unwrap();
        let errors: Vec<String> =
            history.unwrap().errors.into_iter().map(|(_, text)| text).collect();
        assert_eq!(errors, ["two lines and a tab", &long[..300], ""]);
        assert_eq!(events, [event("A-1", None)]);
    }

    #[test]
    fn attempts_restart_and_the_last_errors_stay() {
        let (events, now) = ([event("A-1", None)], Time::from_ms(1_900_000_000_000));
        let before = history(&["first", "second"]);
        let expected = History { attempts: 0, first_at: now, errors: before.errors.clone() };
        assert_eq!(
            decode("e1", &afresh(&encode(Some(&before), &events), now)).unwrap().0,
            Some(expected)
        );
        for text in [
            encode(None, &events),
            String::new(),
            "\t".to_owned(),
            "\tx\t1".to_owned(),
            "\t1\t".to_owned(),
        ] {
            assert_eq!(afresh(&text, now), text);
        }
    }

    #[test]
    fn an_unreadable_entry_is_reported_with_its_id() {
        let good = encode(None, [&event("A-1", None)]);
        let with_history = encode(Some(&history(&["why"])), [&event("A-1", None)]);
        let wrong = [
            String::new(),
            "A-1".to_owned(),
            format!("{good}\n"),
            format!("{good}\nA-2"),
            good.replacen("A-1", "", 1),
            with_history.replacen('7', "many", 1),
            with_history.replacen("\t7", "", 1),
            format!("\t1\n{good}"),
            format!("\t1\t2\tnever\n{good}"),
        ];
        for text in wrong {
            assert_eq!(decode("e1", &text).unwrap_err().id, "e1", "{text:?}");
        }
        assert!(decode("e1", &good.replacen("1|N", "0|N", 1)).is_err());
    }
}
