//! Repeats are harmless: a command that succeeded once is `unchanged` from then on.

use autoreceive_domain::{Command, Decision, decide};
use proptest::prelude::*;

use crate::generate::{DAY_MS, Story, a_life, shifted};

fn accepted(story: &Story) -> Vec<Command> {
    let kept = story.taken.iter().filter(|taken| !matches!(taken.decision, Decision::Rejected(_)));
    kept.map(|taken| taken.command.clone()).filter(|command| *command != Command::Due).collect()
}

proptest! {
    #[test]
        fn repeating_all_commands_of_an_order_changes_nothing(
        life in a_life(),
        later in 0..=30 * DAY_MS,
    ) {
        let story = life.live();
        let place = Command::Place(Box::new(life.place.clone()));
        for (i, command) in std::iter::once(&place).chain(&accepted(&story)).enumerate() {
            let now = shifted(story.end, later + i as i64);
            let decision = decide(&story.last, command, now, life.terms());
            prop_assert_eq!(decision, Decision::Unchanged, "{:?}", command);
        }
    }

    #[test]
        fn an_earlier_command_is_unchanged_at_any_later_version(
        life in a_life(),
        later in 0..=30 * DAY_MS,
    ) {
        let story = life.live();
        let mut done = Vec::new();
        for taken in &story.taken {
            for command in &done {
                let now = shifted(taken.now, later);
                let decision = decide(&taken.before, command, now, life.terms());
                prop_assert_eq!(decision, Decision::Unchanged, "{:?}", command);
            }
            if taken.command != Command::Due && !matches!(taken.decision, Decision::Rejected(_)) {
                done.push(taken.command.clone());
            }
        }
    }

    #[test]
    fn a_repeat_with_other_arguments_changes_nothing(life in a_life(), offset in any::<i64>()) {
        for taken in life.live().taken {
            let Some(after) = taken.changed() else { continue };
            let at = Some(shifted(taken.now, offset));
            let other = "quite another word".parse().unwrap();
            let repeat = match &taken.command {
                Command::Pay { .. } => Command::Pay { at },
                Command::Ship { .. } => {
                    Command::Ship { at, carrier: None, tracking: "another".parse().ok() }
                }
                Command::Deliver { .. } => Command::Deliver { at },
                Command::Hold { id, .. } => Command::Hold { id: id.clone(), reason: other },
                Command::Cancel { .. } => Command::Cancel { reason: other },
                Command::Refund { .. } => Command::Refund { reason: Some(other) },
                _ => continue,
            };
            let decision = decide(after, &repeat, taken.now, life.terms());
            prop_assert_eq!(decision, Decision::Unchanged, "{:?}", repeat);
        }
    }
}
