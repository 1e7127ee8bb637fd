//! Repeats are harmless: what was answered with success once is answered `unchanged` ever after.

use autoreceive_domain::{Command, Decision, decide};
use proptest::prelude::*;

use crate::generate::{DAY_MS, Story, a_life, shifted};

fn accepted(story: &Story) -> Vec<Command> {
    let kept = story.taken.iter().filter(|taken| !matches!(taken.decision, Decision::Rejected(_)));
    kept.map(|taken| taken.command.clone()).filter(|command| *command != Command::Due).collect()
}

proptest! {
    #[test]
    fn a_whole_list_of_commands_replayed_leaves_the_order_as_it_was(life in a_life(), later in 0..=30 * DAY_MS) {
        let story = life.live();
        let place = Command::Place(Box::new(life.place.clone()));
        for (i, command) in std::iter::once(&place).chain(&accepted(&story)).enumerate() {
            let now = shifted(story.end, later + i as i64);
            prop_assert_eq!(decide(&story.last, command, now, life.terms()), Decision::Unchanged, "{:?}", command);
        }
    }

    #[test]
    fn any_version_answers_an_earlier_command_with_unchanged(life in a_life(), later in 0..=30 * DAY_MS) {
        let story = life.live();
        let mut done = Vec::new();
        for taken in &story.taken {
            for command in &done {
                let decision = decide(&taken.before, command, shifted(taken.now, later), life.terms());
                prop_assert_eq!(decision, Decision::Unchanged, "{:?}", command);
            }
            if taken.command != Command::Due && !matches!(taken.decision, Decision::Rejected(_)) {
                done.push(taken.command.clone());
            }
        }
    }

    #[test]
    fn a_repeat_is_known_by_its_mark_whatever_else_it_says(life in a_life(), offset in any::<i64>()) {
        for taken in life.live().taken {
            let Some(after) = taken.changed() else { continue };
            let at = Some(shifted(taken.now, offset));
            let other = "quite another word".parse().unwrap();
            let repeat = match &taken.command {
                Command::Pay { .. } => Command::Pay { at },
                Command::Ship { .. } => Command::Ship { at, carrier: None, tracking: "another".parse().ok() },
                Command::Deliver { .. } => Command::Deliver { at },
                Command::Hold { id, .. } => Command::Hold { id: id.clone(), reason: other },
                Command::Cancel { .. } => Command::Cancel { reason: other },
                Command::Refund { .. } => Command::Refund { reason: Some(other) },
                _ => continue,
            };
            prop_assert_eq!(decide(after, &repeat, taken.now, life.terms()), Decision::Unchanged, "{:?}", repeat);
        }
    }
}
