//! The state of an action's endpoint, shared by all workers: since when every attempt fails, and
//! whether the endpoint was disabled for that.

use std::fmt;
use std::str::FromStr;

use crate::time::{Span, Time};

/// The state of an endpoint. A success resets everything except `enabled_at`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Circuit {
    /// The first event that failed.
    pub suspect: Option<String>,
    /// When a second event failed, too. A single failing event may be a poison event and says
    /// nothing about the endpoint.
    pub failing_since: Option<Time>,
    /// When it was disabled, if it is.
    pub disabled_at: Option<Time>,
    /// When it was last enabled. Earlier attempts do not count.
    pub enabled_at: Option<Time>,
}

/// The outcomes of a series of attempts: whether one succeeded, and which events failed after the
/// last success.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttemptOutcomes {
    /// Whether an attempt succeeded.
    pub success: bool,
    /// The first event that failed after the last success.
    pub failed: Option<String>,
    /// Whether a second event failed after the last success.
    pub others: bool,
}

impl AttemptOutcomes {
    /// Adds the outcome of one attempt.
    pub fn add(&mut self, event: &str, success: bool) {
        if success {
            *self = AttemptOutcomes { success: true, ..AttemptOutcomes::default() };
        } else if let Some(first) = &self.failed {
            self.others |= first != event;
        } else {
            self.failed = Some(event.to_owned());
        }
    }

    /// The outcomes of this series followed by `later`.
    #[must_use]
    pub fn then(self, later: AttemptOutcomes) -> AttemptOutcomes {
        match (later.success, &self.failed, &later.failed) {
            (true, ..) | (_, None, _) => {
                AttemptOutcomes { success: self.success || later.success, ..later }
            }
            (false, Some(_), None) => self,
            (false, Some(first), Some(next)) => {
                AttemptOutcomes { others: self.others || later.others || first != next, ..self }
            }
        }
    }
}

impl Circuit {
    /// The state after `seen`. The endpoint is disabled once more than one event has been failing
    /// for `disable_after`; `None` means never. A disabled endpoint stays disabled, whatever
    /// in-flight attempts return.
    #[must_use]
    pub fn after(&self, seen: &AttemptOutcomes, now: Time, disable_after: Option<Span>) -> Circuit {
        if self.disabled_at.is_some() {
            return self.clone();
        }
        let mut next = if seen.success {
            Circuit { enabled_at: self.enabled_at, ..Circuit::default() }
        } else {
            self.clone()
        };
        let Some(failed) = &seen.failed else { return next };
        let others = seen.others || next.suspect.as_ref().is_some_and(|suspect| suspect != failed);
        next.suspect.get_or_insert_with(|| failed.clone());
        if others || next.failing_since.is_some() {
            let since = *next.failing_since.get_or_insert(now);
            next.disabled_at =
                disable_after.filter(|after| now.since(since) >= *after).map(|_| now);
        }
        next
    }

    /// The state of an endpoint that was just enabled.
    #[must_use]
    pub fn enabled(now: Time) -> Circuit {
        Circuit { enabled_at: Some(now), ..Circuit::default() }
    }
}

impl fmt::Display for Circuit {
    /// `failing_since|disabled_at|enabled_at|suspect`, as stores keep it. Times are in
    /// milliseconds; a missing value is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in [self.failing_since, self.disabled_at, self.enabled_at] {
            match at {
                Some(at) => write!(f, "{}|", at.ms())?,
                None => f.write_str("|")?,
            }
        }
        f.write_str(self.suspect.as_deref().unwrap_or_default())
    }
}

/// The text is not a stored circuit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a stored endpoint state: failing_since|disabled_at|enabled_at|suspect is expected"
)]
pub struct NotACircuit(String);

impl FromStr for Circuit {
    type Err = NotACircuit;

    fn from_str(text: &str) -> Result<Circuit, NotACircuit> {
        let read = || {
            let [failing, disabled, enabled, suspect] =
                text.splitn(4, '|').collect::<Vec<_>>().try_into().ok()?;
            let at = |text: &str| match text {
                "" => Some(None),
                digits => digits.parse().ok().map(|ms| Some(Time::from_ms(ms))),
            };
            let suspect = Some(suspect).filter(|id| !id.is_empty()).map(str::to_owned);
            Some(Circuit {
                suspect,
                failing_since: at(failing)?,
                disabled_at: at(disabled)?,
                enabled_at: at(enabled)?,
            })
        };
        read().ok_or_else(|| NotACircuit(text.chars().take(60).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THREE_DAYS: Option<Span> = Some(Span::THREE_DAYS);

    fn hour(hour: i64) -> Time {
        Time::from_ms(1_800_000_000_000 + hour * 3_600_000)
    }

    fn seen(attempts: &[(&str, bool)]) -> AttemptOutcomes {
        let mut seen = AttemptOutcomes::default();
        for (event, success) in attempts {
            seen.add(event, *success);
        }
        seen
    }

    #[test]
    fn an_endpoint_that_always_fails_is_disabled_after_the_time_and_not_before() {
        let mut circuit = Circuit::default();
        for h in 0..72 {
            circuit = circuit.after(&seen(&[("a", false), ("b", false)]), hour(h), THREE_DAYS);
            assert_eq!(
                (circuit.failing_since, circuit.disabled_at),
                (Some(hour(0)), None),
                "after {h} h"
            );
        }
        let quiet = circuit.after(&AttemptOutcomes::default(), hour(80), THREE_DAYS);
        assert_eq!(quiet.disabled_at, None, "no attempt, no change");
        let disabled = circuit.after(&seen(&[("c", false)]), hour(72), THREE_DAYS);
        assert_eq!(disabled.disabled_at, Some(hour(72)));
        assert_eq!(disabled.after(&seen(&[("d", true)]), hour(73), THREE_DAYS), disabled);
        assert_eq!(
            circuit.after(&seen(&[("c", false)]), hour(999), None).disabled_at,
            None,
            "without disable_after, never"
        );
    }

    #[test]
    fn one_success_restarts_the_time() {
        let failing =
            Circuit::default().after(&seen(&[("a", false), ("b", false)]), hour(0), THREE_DAYS);
        let again =
            failing.after(&seen(&[("c", true), ("a", false), ("b", false)]), hour(71), THREE_DAYS);
        assert_eq!((again.failing_since, again.disabled_at), (Some(hour(71)), None));
        assert_eq!(
            failing.after(&seen(&[("a", false), ("b", true)]), hour(71), THREE_DAYS),
            Circuit::default()
        );
    }

    #[test]
    fn one_poison_event_never_disables_the_endpoint() {
        let mut circuit = Circuit::default();
        for h in 0..200 {
            circuit =
                circuit.after(&seen(&[("poison", false), ("poison", false)]), hour(h), THREE_DAYS);
        }
        assert_eq!(
            (circuit.suspect.as_deref(), circuit.failing_since, circuit.disabled_at),
            (Some("poison"), None, None)
        );
        let two = circuit.after(&seen(&[("b", false)]), hour(200), THREE_DAYS);
        assert_eq!(
            (two.failing_since, two.disabled_at),
            (Some(hour(200)), None),
            "the time counts from the failure of a second event"
        );
    }

    proptest! {
        #[test]
        fn a_series_gives_the_same_result_in_one_part_or_two(
            attempts in prop::collection::vec(("[ab]", prop::bool::weighted(0.2)), 0..12),
            cut in 0..12_usize,
        ) {
            let attempts: Vec<(&str, bool)> =
                attempts.iter().map(|(event, success)| (event.as_str(), *success)).collect();
            let (early, late) = attempts.split_at(cut.min(attempts.len()));
            prop_assert_eq!(seen(early).then(seen(late)), seen(&attempts));
            let start = Circuit::default();
            let after = |circuit: &Circuit, attempts| {
                circuit.after(&seen(attempts), hour(1), THREE_DAYS)
            };
            prop_assert_eq!(after(&after(&start, early), late), after(&start, &attempts));
        }

        #[test]
        fn a_circuit_is_read_as_it_was_written(
            suspect in prop::option::of("[!-~]{1,20}"),
            times in prop::array::uniform3(prop::option::of(0_i64..2_000_000_000_000)),
        ) {
            let [failing_since, disabled_at, enabled_at] = times.map(|at| at.map(Time::from_ms));
            let circuit = Circuit { suspect, failing_since, disabled_at, enabled_at };
            prop_assert_eq!(circuit.to_string().parse(), Ok(circuit));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Circuit>();
        }
    }
}
