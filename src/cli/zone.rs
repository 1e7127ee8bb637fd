//! Times for people, always shown with their time zone.

use autoreceive_domain::Span;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// Parses the name of a time zone.
pub fn parse(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        format!(
            "{name:?} is not a time zone; expected a name such as Asia/Seoul, Europe/Berlin or UTC"
        )
    })
}

/// A time of the service in `zone`. Any other text is returned unchanged.
pub fn local(value: &Value, zone: &TimeZone) -> String {
    let Some(text) = value.as_str() else { return "–".to_owned() };
    match text.parse::<Timestamp>() {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// The time from `now` to `at`: `in 3h 12m`, `4s ago`.
pub fn distance(at: &Value, now: &Value) -> String {
    let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let (Some(at), Some(now)) = (instant(at), instant(now)) else { return String::new() };
    let length = two_units(at.duration_since(now).as_secs().unsigned_abs());
    if at <= now { format!("{length} ago") } else { format!("in {length}") }
}

/// A length of time in its two largest units. Any other text is returned unchanged.
pub fn length(text: &str) -> String {
    text.parse::<Span>().map_or_else(|_| text.to_owned(), |span| two_units(span.to_std().as_secs()))
}

fn two_units(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_shown_in_the_given_zone() {
        let at = json!("2026-11-23T15:30:00.250Z");
        assert_eq!(local(&at, &parse("Asia/Seoul").unwrap()), "2026-11-24 00:30:00 KST");
        assert_eq!(local(&at, &parse("UTC").unwrap()), "2026-11-23 15:30:00 UTC");
        assert_eq!(local(&Value::Null, &TimeZone::UTC), "–");
        assert!(parse("Asia/Soul").unwrap_err().contains("Asia/Seoul"));
    }

    #[test]
    fn a_distance_is_shown_in_its_two_largest_units() {
        let now = json!("2026-11-23T00:00:00.000Z");
        for (at, expected) in [
            ("2026-11-23T00:00:09.000Z", "in 9s"),
            ("2026-11-23T00:02:05.000Z", "in 2m 5s"),
            ("2026-11-23T03:12:00.000Z", "in 3h 12m"),
            ("2026-11-25T06:59:59.000Z", "in 2d 6h"),
            ("2026-11-22T23:59:56.000Z", "4s ago"),
            ("2026-11-22T23:59:59.900Z", "0s ago"),
        ] {
            assert_eq!(distance(&json!(at), &now), expected);
        }
        assert_eq!((length("86399979ms").as_str(), length("soon").as_str()), ("23h 59m", "soon"));
    }
}
