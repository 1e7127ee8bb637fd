//! The record keeps everything of an order and of newer versions, and no text makes the parser
//! panic.

use autoreceive_domain::{Command, Decision, Order, OrderId, Time, decide, record};
use proptest::prelude::*;

use crate::generate::{Life, a_life, a_wild_life, command, instant, nasty};

/// Fields as a newer version might add them: an unknown letter and any escaped text.
fn newer_fields() -> impl Strategy<Value = Vec<String>> {
    let letter = prop::sample::select(vec!['A', 'K', 'Z', 'g', 't', 'y', 'z', '0', '%', '가']);
    let value = nasty(40).prop_map(|text| text.replace('|', "%7C"));
    prop::collection::vec(
        (letter, value).prop_map(|(letter, value)| format!("{letter}{value}")),
        1..4,
    )
}

/// A record damaged in one to five places, mostly with characters that have a meaning in records.
fn damaged(record: &str, wounds: &[(usize, u8, char)]) -> String {
    let mut chars: Vec<char> = record.chars().collect();
    for &(place, how, with) in wounds {
        let place = place % (chars.len() + 1);
        match how {
            0 => chars.insert(place, with),
            1 if place < chars.len() => chars[place] = with,
            2 if place < chars.len() => drop(chars.remove(place)),
            3 => chars.truncate(place.max(8)),
            4 => chars.extend(record.chars().skip(place).take(20)),
            _ => {}
        }
    }
    chars.into_iter().collect()
}

fn wounds() -> impl Strategy<Value = Vec<(usize, u8, char)>> {
    let with = prop_oneof![
        4 => prop::sample::select("|~%=,-+.0123456789zkrhjaPRXC".chars().collect::<Vec<char>>()),
        1 => any::<char>(),
    ];
    prop::collection::vec((any::<usize>(), 0..5u8, with), 1..6)
}

fn parsed(id: &OrderId, text: &str) -> Result<Order, TestCaseError> {
    record::decode(id, text).map_err(|error| TestCaseError::fail(format!("{error}, in {text:?}")))
}

fn commands_do_not_panic(order: &Order, commands: &[Command], now: Time, life: &Life) {
    for command in commands {
        if let Decision::Changed(after) = decide(order, command, now, life.terms()) {
            assert_eq!(after.version, order.version + 1);
            let _ = (after.next_due_at(), record::encode(&after));
        }
    }
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written_with_its_due_time(life in a_wild_life()) {
        for order in life.live().versions() {
            let text = record::encode(order);
            let read = parsed(&life.id, &text)?;
            prop_assert_eq!(&read, order, "{}", text);
            prop_assert_eq!(read.next_due_at(), order.next_due_at());
            prop_assert_eq!(record::encode(&read), text);
        }
    }

    #[test]
    fn a_record_is_one_line_that_begins_with_its_version(life in a_wild_life()) {
        for order in life.live().versions() {
            let text = record::encode(order);
            let version = format!("{}|", order.version);
            prop_assert!(text.starts_with(&version));
            prop_assert!(!text.bytes().any(|byte| byte < b' '), "{:?}", text);
        }
    }

    #[test]
    fn fields_of_a_newer_version_are_kept_verbatim_even_after_a_change(
        life in a_life(), fields in newer_fields(), after_field in 0..6usize, now in instant(),
    ) {
        let order = life.live().last;
        let mut parts: Vec<String> = record::encode(&order).split('|').map(str::to_owned).collect();
        let place = (3 + after_field).min(parts.len());
        parts.splice(place..place, fields.iter().cloned());
        let newer = parsed(&life.id, &parts.join("|"))?;
        let unknown: String = fields.iter().map(|field| format!("|{field}")).collect();
        prop_assert_eq!(&newer, &Order { unknown: unknown.clone(), ..order });
        prop_assert!(record::encode(&newer).ends_with(&unknown));
        let receive = Command::Receive { by: autoreceive_domain::Cause::Buyer };
        for command in [Command::Due, Command::Pay { at: None }, receive] {
            if let Decision::Changed(after) = decide(&newer, &command, now, life.terms()) {
                prop_assert!(record::encode(&after).ends_with(&unknown));
                prop_assert_eq!(&parsed(&life.id, &record::encode(&after))?, &*after);
            }
        }
    }

    #[test]
        fn no_text_makes_the_parser_panic(
        text in any::<String>(),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let id: OrderId = "A-1".parse().unwrap();
        let _ = record::decode(&id, &text);
        let _ = record::decode(&id, &format!("1|P|t0|{text}"));
        let _ = record::decode(&id, &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_damaged_record_is_refused_or_safe_to_work_with(
        (life, commands) in a_wild_life().prop_flat_map(|life| {
            let commands = prop::collection::vec(command(life.place.clone(), 1), 1..12);
            (Just(life), commands)
        }),
        wounds in wounds(),
        now in instant(),
    ) {
        let text = damaged(&record::encode(&life.live().last), &wounds);
        if let Ok(order) = record::decode(&life.id, &text) {
            prop_assert_eq!(&parsed(&life.id, &record::encode(&order))?, &order, "{}", text);
            prop_assert!(order.next_due_at() <= order.clock.deadline());
            prop_assert!(!(order.is_held() && order.next_due_at().is_some()), "a held order would \
                fire: {}", text);
            commands_do_not_panic(&order, &commands, now, &life);
        }
    }
}

/// A damaged or edited record must be refused, so that its order is not received by mistake.
#[test]
fn a_record_that_no_decision_can_make_is_refused() {
    let id: OrderId = "A-1".parse().unwrap();
    record::decode(&id, "2|P|t0|r.k3x9q1|p0|kr10").unwrap();
    let wrong = [
        ("", "no text"),
        ("0|P|t0|r.k3x9q1|p0|kr10", "no version"),
        ("+2|P|t0|r.k3x9q1|p0|kr10", "a version in a form that no commit would match"),
        ("02|P|t0|r.k3x9q1|p0|kr10", "a version in a form that no commit would match"),
        ("9223372036854775807|P|t0|r.k3x9q1|p0|kr10", "a version that cannot rise"),
        ("18446744073709551615|P|t0|r.k3x9q1|p0|kr10", "a version that cannot rise"),
        ("2|?|t0|r.k3x9q1|p0|kr10", "an unknown status"),
        ("2|P|r.k3x9q1|p0|kr10", "no time of placing"),
        ("2|P|t0|p0|kr10", "no terms"),
        ("2|P|t0|r.k3x9q1|p0|kr-10", "a deadline before 1970"),
        ("2|P|t0|r.k3x9q1|p0|kr1zzzzzzzzzz", "a deadline after 9999"),
        ("2|P|t0|r.k3x9q1|p0|hx~0~|kr=1zzzzzzzzzz", "more time left than any terms allow"),
        ("2|P|t0|r.k3x9q1|p0|hx~0~|kr10", "held with a running clock"),
        ("2|P|t0|r.k3x9q1|p0|kr=10", "paused without a hold"),
        ("2|P|t0|r.k3x9q1|p0|hx~0~5|kr=10", "paused with a released hold"),
        ("2|P|t0|r.k3x9q1|p0|kt10", "a settle clock on a paid order"),
        ("2|S|t0|r.k3x9q1|p0|s0|ks10", "a ship clock on a shipped order"),
        ("2|R|t0|r.k3x9q1|p0|q0|kr10", "a receive clock on a received order"),
        ("2|P|t0|r.k3x9q1|p0|kr10,10", "a reminder at the deadline"),
        ("2|P|t0|r.k3x9q1|p0|ks10,5", "a reminder of a shipment"),
        ("2|P|t0|r.k3x9q1|p0|hx~0~~why~more|kr=10", "a hold with unknown content"),
        ("2|P|t0|r.k3x9q1|p0|ensy|kr10", "an event with unknown content"),
        ("2|P|t0|r.k3x9q1|p0|kr10|", "an empty field"),
        ("2|P|t0|r.k3x9q1|p0|kr10|Zx\ny", "a line break, which would split an outbox entry"),
    ];
    for (text, why) in wrong {
        assert!(record::decode(&id, text).is_err(), "{why}: {text}");
    }
}
