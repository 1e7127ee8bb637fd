//! The documented backoff: the waits, their jitter and their end.

use autoreceive_domain::Span;
use autoreceive_domain::backoff::{HORIZON, jittered, next_wait};
use proptest::prelude::*;

/// The waits in seconds as they are documented.
fn documented(failed: u32) -> i64 {
    match failed {
        0 | 1 => 5,
        2 => 30,
        3 => 120,
        4 => 600,
        5 => 3_600,
        6 => 10_800,
        _ => 21_600,
    }
}

proptest! {
    #[test]
        fn a_wait_is_the_documented_one_plus_at_most_a_tenth(
        failed in any::<u32>(),
        seed in any::<u64>(),
    ) {
        let wait = next_wait(failed, Span::ZERO, seed).unwrap().ms();
        let base = documented(failed) * 1_000;
        prop_assert!((base..=base * 11 / 10).contains(&wait), "{} ms", wait);
    }

    #[test]
    fn attempts_continue_for_three_days_and_not_longer(seed in any::<u64>()) {
        let mut spent = Span::ZERO;
        let mut waits = Vec::new();
        while let Some(wait) = next_wait(waits.len() as u32 + 1, spent, seed) {
            prop_assert!(waits.len() < 20);
            waits.push(wait);
            spent = Span::from_ms(spent.ms() + wait.ms());
        }
        prop_assert!(spent <= HORIZON && HORIZON.ms() == 72 * 3_600_000);
        prop_assert!(spent > Span::from_hours(72 - 6), "given up after {}", spent);
        prop_assert!(waits.len() >= 16 && waits.len() <= 17, "{} waits", waits.len());
        prop_assert!(waits.iter().take(7).is_sorted());
    }

    #[test]
    fn an_event_is_given_up_if_the_next_wait_would_pass_the_horizon(
        failed in 0..12u32,
        near in -25_000_000..=0i64,
        any_spent in any::<i64>(),
        is_near in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let spent = Span::from_ms(if is_near { HORIZON.ms() + near } else { any_spent });
        let wait = next_wait(failed, spent, seed);
        prop_assert_eq!(wait.is_none(), spent.ms() + documented(failed) * 1_000 > HORIZON.ms());
        prop_assert!(wait.is_none_or(|wait| spent.ms() + wait.ms() <= HORIZON.ms()));
        let base = Span::from_secs(documented(failed));
        let just_left = Span::from_ms(HORIZON.ms() - base.ms());
        prop_assert_eq!(next_wait(failed, just_left, seed), Some(base));
    }

    #[test]
        fn the_same_seed_gives_the_same_wait(
        failed in any::<u32>(),
        seed in any::<u64>(),
        wait in any::<i64>(),
    ) {
        prop_assert_eq!(next_wait(failed, Span::ZERO, seed), next_wait(failed, Span::ZERO, seed));
        let wait = Span::from_ms(wait);
        prop_assert_eq!(jittered(wait, seed), jittered(wait, seed));
        prop_assert!(jittered(wait, seed) >= wait);
    }
}

#[test]
fn without_jitter_17_waits_take_70_hours_12_minutes_and_35_seconds() {
    let mut seconds = 0;
    let mut failed = 1;
    while next_wait(failed, Span::from_secs(seconds), 0).is_some() {
        seconds += documented(failed);
        failed += 1;
    }
    assert_eq!((failed - 1, seconds), (17, 70 * 3_600 + 12 * 60 + 35));
}

#[test]
fn neighbouring_seeds_spread_over_the_whole_tenth() {
    let waits: Vec<i64> =
        (0..1_000).map(|seed| next_wait(7, Span::ZERO, seed).unwrap().ms() - 21_600_000).collect();
    for quarter in 0..4 {
        let range = quarter * 540_000..(quarter + 1) * 540_000;
        let share = waits.iter().filter(|wait| range.contains(*wait)).count();
        assert!((150..350).contains(&share), "{share} of 1,000 waits in quarter {quarter}");
    }
}
