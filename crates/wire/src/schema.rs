//! OpenAPI schemas of words, ids, times and durations. The words come from the domain.

use std::borrow::Cow;

use autoreceive_domain::command::Verb;
use autoreceive_domain::{Cause, ClockKind, EventKind, OrderId, StartsAt, Status};
use serde_json::json;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::report::ListName;

/// Texts in requests have no control characters.
const NO_CONTROLS: &str = "^[^\\x00-\\x1F\\x7F-\\x9F]+$";

/// Types that exist only for the document: each has a name and a schema.
macro_rules! described {
    ($($(#[$doc:meta])* $name:ident = $shown:literal: $schema:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T(Schema::Object($schema))
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($shown)
            }
        }
    )*};
}

fn words<W, S: Into<String>>(all: impl IntoIterator<Item = W>, word: impl Fn(W) -> S) -> Object {
    let all: Vec<String> = all.into_iter().map(|one| word(one).into()).collect();
    let example = all.first().cloned();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(all))
        .examples(example.map(|word| json!(word)))
        .build()
}

fn text(description: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .examples([json!(example)])
}

described! {
    /// The status of an order.
    StatusWord = "Status": words(Status::ALL, |status| status.as_str());
    /// The type of an event.
    EventWord = "EventType": words(EventKind::ALL, |kind| kind.as_str());
    /// Who or what caused an event.
    CauseWord = "Cause": words(Cause::ALL, |cause| cause.as_str());
    /// What a clock waits for.
    ClockWord = "ClockKind": words(ClockKind::ALL, |kind| kind.as_str());
    /// The moment from which `receive_after` counts.
    StartWord = "StartsAt": words(
        [StartsAt::Paid, StartsAt::Shipped, StartsAt::Delivered],
        |start| start.as_str(),
    );
    /// A command.
    VerbWord = "Command": words(Verb::PUBLIC, Verb::as_str);
    /// Whether a clock is running or paused.
    ClockStateWord = "ClockState": words(["running", "paused"], |state| state);
    /// Who confirms a receipt.
    ByWord = "ReceivedBy": words(["buyer", "operator"], |by| by);
    /// The shop's own data.
    AnyData = "Data": ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .examples([json!({"cart": 7})])
        .description(Some(
            "Any JSON with at most 4,096 bytes, not counting whitespace between its parts, and \
                at most 64 levels of nesting.",
        ))
        .build();
    /// The name of a list.
    ViewWord = "View": words(ListName::ALL, |list| list.as_str());
    /// An order id.
    OrderIdText = "OrderId": text(
        "The shop's id of an order: 1 to 128 bytes of UTF-8 without control characters. An id is \
            never reused.",
        "A-1",
    )
    .min_length(Some(1))
    .max_length(Some(OrderId::MAX))
    .pattern(Some(NO_CONTROLS))
    .build();
    /// An action name.
    ActionText = "ActionName": text(
        "An action name: 1 to 32 characters of `a-z`, `0-9`, `_` and `-`.",
        "shop",
    )
    .pattern(Some("^[a-z0-9_-]{1,32}$"))
    .build();
    /// An event id.
    EventIdText = "EventId": text(
        "An event id: the percent-encoded order id, a colon, and the order's version.",
        "A-1:3",
    )
    .min_length(Some(1))
    .pattern(Some("^[A-Za-z0-9_%-]+:[0-9]+$"))
    .build();
    /// A time in a request.
    TimeText = "Time": text(
        "A time: RFC 3339 with any offset, from 1970 to 9999. Digits beyond milliseconds are \
            ignored.",
        "2026-11-23T09:00:00+09:00",
    )
    .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
    .build();
    /// A time in a response.
    InstantText = "Instant": text(
        "A time: RFC 3339 in UTC, with milliseconds.",
        "2026-11-23T00:00:00.000Z",
    )
    .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
    .build();
    /// A duration.
    LengthText = "Length": text(
        "A duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`; at most ten years. \
            `7d` is always 168 hours.",
        "24h",
    )
    .pattern(Some("^[0-9]+(ms|s|m|h|d)$"))
    .format(Some(SchemaFormat::Custom("length".to_owned())))
    .build();
}
