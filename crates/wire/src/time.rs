//! Times and durations as text. Requests can use any offset. Responses use UTC with milliseconds.

use autoreceive_domain::{Span, Time};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::read::{InputError, read};
#[cfg(feature = "openapi")]
use crate::schema::{InstantText, LengthText};
use crate::text;

/// The state of a test clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = TestClock))]
pub struct TestClockView {
    /// The store's time.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub now: Time,
    /// How far it is ahead of the real time.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText))]
    pub ahead: Span,
}

/// Advances a test clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AdvanceFields {
    /// The duration to advance by, for example `25h`. `0s` only returns the state.
    #[cfg_attr(feature = "openapi", schema(value_type = LengthText))]
    pub advance: String,
}

/// Reads the duration to advance a test clock by.
///
/// # Errors
/// The JSON does not match [`AdvanceFields`], or the value is not a duration.
pub fn read_advance(json: &[u8]) -> Result<Span, InputError> {
    let fields: AdvanceFields = read(json, &[])?;
    fields
        .advance
        .parse()
        .map_err(|wrong| InputError::value("advance", format_args!("is wrong: {wrong}")))
}

/// Reads a time. Digits beyond milliseconds are ignored.
///
/// # Errors
/// `text` is not RFC 3339 with an offset, or lies outside the years 1970 to 9999.
pub fn read_time(field: &'static str, text: &str) -> Result<Time, InputError> {
    let wrong = || {
        let shown: String = text.chars().take(40).collect();
        InputError::value(
            field,
            format!(
                "{shown:?} is not a time: RFC 3339 with an offset is expected, for example \
                    \"2026-11-23T09:00:00+09:00\", from 1970 to 9999"
            ),
        )
    };
    parse_time(text).ok_or_else(wrong)
}

/// The same without an error message.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let ms = text.parse::<Timestamp>().ok()?.as_millisecond();
    // `Time` clamps to its range. A clamped time must be an error, not another time.
    Some(Time::from_ms(ms)).filter(|time| time.ms() == ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_with_any_offset_comes_back_in_utc_with_milliseconds() {
        for (text, shown) in [
            ("2026-11-23T00:00:00Z", "2026-11-23T00:00:00.000Z"),
            ("2026-11-23T09:00:00.5+09:00", "2026-11-23T00:00:00.500Z"),
            ("2026-11-22T20:00:00.123999-04:00", "2026-11-23T00:00:00.123Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("9999-12-30T21:59:59.999Z", "9999-12-30T21:59:59.999Z"),
        ] {
            assert_eq!(read_time("at", text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn an_invalid_time_is_refused_and_the_error_names_the_field() {
        let far = "9".repeat(5_000);
        for text in [
            "",
            "now",
            "2026-11-23",
            "2026-11-23T00:00:00",
            "1969-12-31T23:59:59.999Z",
            "1763856000",
            "2026-13-01T00:00:00Z",
            &far,
        ] {
            let wrong = read_time("paid_at", text).unwrap_err();
            assert_eq!(wrong.field(), Some("paid_at"), "{text:?}");
            assert!(wrong.to_string().len() < 300, "{wrong}");
        }
    }
}
