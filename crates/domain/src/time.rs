//! Instants and durations, both in milliseconds. No calendar is used, so a day is always 24 hours.

use std::fmt;
use std::str::FromStr;

/// An instant: milliseconds since the Unix epoch, from 1970-01-01T00:00Z to 9999-12-30T22:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(i64);

/// A duration in milliseconds, from 0 to ten years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span(i64);

/// 9999-12-30T22:00:00Z, the last millisecond that jiff can show in every time zone.
const LAST_MS: i64 = 253_402_207_200_000;
const TEN_YEARS_MS: i64 = 3_653 * 24 * 3_600 * 1_000;

impl Time {
    /// The instant `ms` milliseconds after the Unix epoch, clamped to the valid range.
    #[must_use]
    pub fn from_ms(ms: i64) -> Time {
        Time(ms.clamp(0, LAST_MS))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.0
    }

    /// This instant, `span` later.
    #[must_use]
    pub fn after(self, span: Span) -> Time {
        Time::from_ms(self.0.saturating_add(span.0))
    }

    /// This instant, `span` earlier.
    #[must_use]
    pub fn before(self, span: Span) -> Time {
        Time::from_ms(self.0.saturating_sub(span.0))
    }

    /// The duration from `earlier` to this instant; zero if this instant is not later.
    #[must_use]
    pub fn since(self, earlier: Time) -> Span {
        Span::from_ms(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// Zero.
    pub const ZERO: Span = Span(0);
    /// The longest duration: ten years.
    pub const LONGEST: Span = Span(TEN_YEARS_MS);
    /// Three days.
    pub const THREE_DAYS: Span = Span(72 * 3_600_000);
    /// Ten seconds.
    pub const TEN_SECONDS: Span = Span(10_000);
    /// Five seconds.
    pub const FIVE_SECONDS: Span = Span(5_000);

    /// A duration of `ms` milliseconds, clamped to the valid range (0 to ten years).
    #[must_use]
    pub const fn from_ms(ms: i64) -> Span {
        // `clamp` is not a const function.
        if ms < 0 {
            Span(0)
        } else if ms > TEN_YEARS_MS {
            Span(TEN_YEARS_MS)
        } else {
            Span(ms)
        }
    }

    /// A duration of `seconds`.
    #[must_use]
    pub fn from_secs(seconds: i64) -> Span {
        Span::from_ms(seconds.saturating_mul(1_000))
    }

    /// A duration of `hours`.
    #[must_use]
    pub fn from_hours(hours: i64) -> Span {
        Span::from_secs(hours.saturating_mul(3_600))
    }

    /// The duration in milliseconds.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.0
    }

    /// The same duration as a standard library type.
    #[must_use]
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.unsigned_abs())
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC with milliseconds: `2026-11-23T00:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A `Time` lies between 1970 and 9999, which jiff can represent.
        let instant =
            jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{instant:.3}")
    }
}

const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl fmt::Display for Span {
    /// In the largest unit that divides it: `7d`, `36h`, `90s`, `1500ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = UNITS
            .into_iter()
            .find(|(_, size)| self.0 != 0 && self.0 % size == 0)
            .unwrap_or(("s", 1_000));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// The text is not a duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a duration: write a whole number with one of ms, s, m, h, d, for example \
        \"90s\", \"24h\" or \"7d\" (at most 3653d)"
)]
pub struct NotASpan(pub String);

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Span, NotASpan> {
        let fail = || NotASpan(text.chars().take(40).collect());
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(fail)?;
        let ms = number.parse::<i64>().ok().and_then(|n| n.checked_mul(size)).ok_or_else(fail)?;
        if ms > TEN_YEARS_MS { Err(fail()) } else { Ok(Span(ms)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_and_written_in_its_largest_unit() {
        for (text, ms, back) in [
            ("24h", 86_400_000, "1d"),
            ("90s", 90_000, "90s"),
            ("36h", 129_600_000, "36h"),
            ("0s", 0, "0s"),
            ("5ms", 5, "5ms"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.ms(), span.to_string().as_str()), (ms, back));
        }
    }

    #[test]
    fn an_instant_is_shown_in_utc_with_milliseconds() {
        let shown = |ms| Time::from_ms(ms).to_string();
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(1_795_392_000_001), "2026-11-23T00:00:00.001Z");
        assert_eq!(shown(i64::MAX), "9999-12-30T22:00:00.000Z");
    }

    #[test]
    fn a_text_that_is_not_a_duration_is_refused() {
        for text in
            ["", "24", "h", "-1h", "1.5h", "1w", "99999999999999999999s", "4000d", "1 h", "１h"]
        {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }
}
