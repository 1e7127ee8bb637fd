//! Backoff: the waits between failed attempts, as a readable list.

use crate::time::Span;

/// The waits after the first, second, … failed attempt, in seconds: 5 s, 30 s, 2 min, 10 min, 1 h,
/// 3 h, 6 h, then every 6 h. Without jitter the last attempt comes 70 h 12 min 35 s after the
/// first.
const WAITS_SECONDS: [i64; 7] = [5, 30, 120, 600, 3_600, 10_800, 21_600];

/// How long attempts of an event continue before it becomes a dead letter.
pub const HORIZON: Span = Span::THREE_DAYS;

/// The wait after failed attempt number `failed` (from 1), `spent` after the first attempt. `None`
/// if the wait would pass the horizon: the event becomes a dead letter. Jitter adds up to a tenth,
/// by `seed`, but never passes the horizon.
#[must_use]
pub fn next_wait(failed: u32, spent: Span, seed: u64) -> Option<Span> {
    let index = usize::try_from(failed.saturating_sub(1)).unwrap_or(usize::MAX);
    let base = Span::from_secs(*WAITS_SECONDS.get(index).unwrap_or(&21_600));
    let left = Span::from_ms(HORIZON.ms() - spent.ms());
    if base > left {
        return None;
    }
    Some(jittered(base, seed ^ u64::from(failed)).min(left))
}

/// `wait` plus up to a tenth of it. The result is never shorter, so a `Retry-After` is respected.
#[must_use]
pub fn jittered(wait: Span, seed: u64) -> Span {
    let tenth = wait.ms() / 10 + 1;
    Span::from_ms(wait.ms() + (mix(seed) % tenth.unsigned_abs()) as i64)
}

/// SplitMix64's finaliser: spreads neighbouring seeds over all values. (Steele, Lea, Flood 2014.)
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_the_documented_one_within_a_tenth() {
        let documented = [5, 30, 120, 600, 3_600, 10_800, 21_600, 21_600, 21_600];
        for (i, seconds) in documented.into_iter().enumerate() {
            for seed in 0..200 {
                let wait = next_wait(i as u32 + 1, Span::ZERO, seed).unwrap().ms();
                assert!(
                    (seconds * 1_000..=seconds * 1_100).contains(&wait),
                    "attempt {} waited {wait} ms",
                    i + 1
                );
            }
        }
    }

    #[test]
    fn after_72_hours_no_further_attempt_is_made() {
        let mut spent = Span::ZERO;
        let mut failed = 1;
        while let Some(wait) = next_wait(failed, spent, 42) {
            spent = Span::from_ms(spent.ms() + wait.ms());
            failed += 1;
        }
        assert!(spent <= HORIZON && spent > Span::from_hours(65), "{spent}");
        assert!((17..=18).contains(&failed), "{failed}");
    }
}
