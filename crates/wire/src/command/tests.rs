use autoreceive_domain::Span;
use proptest::prelude::*;

use super::*;

fn command(verb: Verb, json: &str) -> Result<Command, InputError> {
    read_command(verb, json.as_bytes(), &[])
}

#[test]
fn a_place_with_every_field_is_read() {
    let json = r#"{"buyer_id":"B-7","policy":"fresh","amount":9007199254740991,"currency":"KRW",
        "data":{"a": 1},"receive_after":"36h","at":"2026-11-23T09:00:00+09:00",
        "paid_at":"2026-11-23T00:00:01Z","shipped_at":"2026-11-23T00:00:02Z",
        "delivered_at":"2026-11-23T00:00:03Z"}"#;
    let Ok(Command::Place(place)) = command(Verb::Place, json) else { panic!() };
    assert_eq!(place.policy.as_str(), "fresh");
    assert_eq!((place.amount, place.receive_after), (Some(MAX_AMOUNT), Some(Span::from_hours(36))));
    assert_eq!(place.data.unwrap().as_str(), r#"{"a":1}"#);
    assert_eq!(
        (place.at, place.paid_at),
        (Some(Time::from_ms(1_795_392_000_000)), Some(Time::from_ms(1_795_392_001_000)))
    );
    assert_eq!(
        (place.shipped_at, place.delivered_at),
        (Some(Time::from_ms(1_795_392_002_000)), Some(Time::from_ms(1_795_392_003_000)))
    );
}

#[test]
fn an_omitted_field_takes_its_default() {
    let Ok(Command::Place(place)) = command(Verb::Place, r#"{"buyer_id":"B-7","data":null}"#)
    else {
        panic!()
    };
    assert_eq!((place.policy.as_str(), place.data), ("default", None));
    assert_eq!(command(Verb::Pay, "{}").unwrap(), Command::Pay { at: None });
    assert_eq!(command(Verb::Receive, "{}").unwrap(), Command::Receive { by: Cause::Buyer });
    assert_eq!(command(Verb::Extend, "{}").unwrap(), Command::Extend { number: 1 });
    assert_eq!(command(Verb::Refund, "{}").unwrap(), Command::Refund { reason: None });
    let hold = Command::Hold { id: "dispute".parse().unwrap(), reason: "dispute".parse().unwrap() };
    assert_eq!(command(Verb::Hold, r#"{"reason":"dispute"}"#).unwrap(), hold);
}

#[test]
fn an_error_for_a_wrong_value_names_the_field_and_the_expected_value() {
    let long = |n: usize| "x".repeat(n);
    let hold = format!(r#"{{"reason":"{}"}}"#, long(65));
    let buyer = format!(r#"{{"buyer_id":"{}"}}"#, long(129));
    for (verb, json, field, expected) in [
        (Verb::Place, r#"{"buyer_id":""}"#, "buyer_id", "empty"),
        (Verb::Place, buyer.as_str(), "buyer_id", "at most 128"),
        (Verb::Place, r#"{"buyer_id":"a\u0000b"}"#, "buyer_id", "control character"),
        (Verb::Place, r#"{"buyer_id":"B","amount":-1}"#, "amount", "from 0 to 9007199254740991"),
        (Verb::Place, r#"{"buyer_id":"B","amount":1.5}"#, "amount", "whole number"),
        (Verb::Place, r#"{"buyer_id":"B","amount":9007199254740992}"#, "amount", "whole number"),
        (
            Verb::Place,
            r#"{"buyer_id":"B","amount":99999999999999999999999}"#,
            "amount",
            "whole number",
        ),
        (Verb::Place, r#"{"buyer_id":"B","currency":"won"}"#, "currency", "three capital letters"),
        (Verb::Place, r#"{"buyer_id":"B","receive_after":"24"}"#, "receive_after", "24h"),
        (Verb::Place, r#"{"buyer_id":"B","paid_at":"yesterday"}"#, "paid_at", "RFC 3339"),
        (Verb::Place, r#"{"buyer_id":"B","shipped_at":"soon"}"#, "shipped_at", "RFC 3339"),
        (Verb::Place, r#"{"buyer_id":"B","delivered_at":"soon"}"#, "delivered_at", "RFC 3339"),
        (Verb::Pay, r#"{"at":"2026-11-23T09:00:00"}"#, "at", "offset"),
        (Verb::Ship, r#"{"carrier":"a\nb"}"#, "carrier", "control character"),
        (Verb::Ship, r#"{"tracking":""}"#, "tracking", "empty"),
        (Verb::Receive, r#"{"by":"timer"}"#, "by", "operator"),
        (Verb::Extend, r#"{"number":0}"#, "number", "from 1"),
        (Verb::Extend, r#"{"number":4294967296}"#, "number", "4294967295"),
        (Verb::Hold, hold.as_str(), "id", "required"),
        (Verb::Hold, r#"{"reason":"r","id":""}"#, "id", "empty"),
        (Verb::Release, r#"{"id":""}"#, "id", "empty"),
        (Verb::Cancel, r#"{"reason":""}"#, "reason", "empty"),
        (Verb::Refund, r#"{"reason":""}"#, "reason", "empty"),
    ] {
        let wrong = command(verb, json).unwrap_err();
        assert_eq!(
            (wrong.code(), wrong.field()),
            ("invalid", Some(field)),
            "{verb} {json:.60}: {wrong}"
        );
        assert!(wrong.to_string().contains(expected), "{verb} {json:.60}: {wrong}");
    }
}

#[test]
fn no_command_accepts_the_fields_of_another() {
    for verb in Verb::PUBLIC {
        let wrong = command(verb, r#"{"status":"PAID"}"#).unwrap_err();
        assert_eq!((wrong.code(), wrong.field()), ("malformed", Some("status")), "{verb}: {wrong}");
    }
    assert!(command(Verb::Due, "{}").is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(json: String, bytes: Vec<u8>) {
        for verb in Verb::PUBLIC {
            let _ = command(verb, &json);
            let _ = read_command(verb, &bytes, &["order_id"]);
        }
    }
}
