//! Key-value pairs, and live workers. Every test uses its own keys and names, so all tests can run
//! on one register.

use futures_util::future::join_all;

use super::kit::hours;
use crate::*;
use autoreceive_domain::{Span, Time};

/// Every test of the part, one after another, on one register.
pub async fn all(register: &dyn Register) {
    crate::__register_tests! { __call_each register }
}

fn set<'a>(key: &'a str, expected: Expected<'a>, value: &'a str) -> Cas<'a> {
    Cas { key, expected, value: Some(value) }
}

async fn value(register: &dyn Register, space: Space, key: &str) -> Option<String> {
    let (_, mut found) = register.get(space, &[key.to_owned()]).await.unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

async fn change(register: &dyn Register, change: Cas<'_>) -> bool {
    let made = register.compare_and_set(Space::Circuits, &[change]).await.unwrap();
    assert_eq!(made.len(), 1);
    made[0]
}

pub async fn a_value_is_set_only_if_the_expected_one_is_there(register: &dyn Register) {
    let known = || value(register, Space::Circuits, "cas");
    assert_eq!(known().await, None);
    assert!(!change(register, set("cas", Expected::Value("a"), "b")).await, "there is no value");
    assert!(
        !change(register, set("cas", Expected::Value(""), "b")).await,
        "a missing value is not an empty value"
    );
    assert_eq!(known().await, None);
    assert!(change(register, set("cas", Expected::Nothing, "a")).await);
    assert!(!change(register, set("cas", Expected::Nothing, "b")).await);
    assert!(!change(register, set("cas", Expected::Value("A"), "b")).await);
    assert_eq!(known().await.as_deref(), Some("a"));
    assert!(change(register, set("cas", Expected::Value("a"), "b")).await);
    assert_eq!(known().await.as_deref(), Some("b"));
    assert!(change(register, set("cas", Expected::Anything, "c")).await);
    assert_eq!(known().await.as_deref(), Some("c"));
    assert!(
        change(register, set("cas-any", Expected::Anything, "d")).await,
        "a missing value matches Anything"
    );
    assert!(change(register, set("cas", Expected::Value("c"), "c")).await, "the same value again");
}

pub async fn a_value_is_removed_only_if_the_expected_one_is_there(register: &dyn Register) {
    let remove = |expected| Cas { key: "removed", expected, value: None };
    assert!(!change(register, remove(Expected::Value("a"))).await);
    assert!(change(register, remove(Expected::Nothing)).await, "a key that is missing already");
    for expected in [Expected::Value("a"), Expected::Anything] {
        assert!(change(register, set("removed", Expected::Nothing, "a")).await);
        assert!(!change(register, remove(Expected::Nothing)).await);
        assert!(!change(register, remove(Expected::Value("b"))).await);
        assert_eq!(value(register, Space::Circuits, "removed").await.as_deref(), Some("a"));
        assert!(change(register, remove(expected)).await);
        assert_eq!(value(register, Space::Circuits, "removed").await, None);
    }
    assert!(change(register, remove(Expected::Anything)).await);
}

/// An empty value is a value.
pub async fn an_empty_value_is_kept(register: &dyn Register) {
    assert!(change(register, set("empty", Expected::Nothing, "")).await);
    assert_eq!(value(register, Space::Circuits, "empty").await.as_deref(), Some(""));
    assert!(!change(register, set("empty", Expected::Nothing, "a")).await);
    assert!(change(register, set("empty", Expected::Value(""), "a")).await);
}

pub async fn the_changes_of_one_call_are_independent(register: &dyn Register) {
    let changes = [
        set("own-1", Expected::Nothing, "a"),
        set("own-2", Expected::Value("x"), "b"),
        set("own-3", Expected::Nothing, "c"),
        set("own-3", Expected::Nothing, "late"),
        set("own-3", Expected::Value("c"), "d"),
    ];
    let made = register.compare_and_set(Space::Circuits, &changes).await.unwrap();
    assert_eq!(made, [true, false, true, false, true]);
    let keys = ["own-3", "own-2", "own-1", "own-3"].map(str::to_owned);
    let (_, found) = register.get(Space::Circuits, &keys).await.unwrap();
    let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, [Some("d"), None, Some("a"), Some("d")]);
    assert_eq!(register.compare_and_set(Space::Circuits, &[]).await, Ok(Vec::new()));
    assert_eq!(register.get(Space::Circuits, &[]).await.unwrap().1, Vec::new());
}

pub async fn each_space_has_keys_of_its_own(register: &dyn Register) {
    for space in Space::ALL {
        assert_eq!(value(register, space, "space").await, None, "{space:?}");
        let mine = set("space", Expected::Nothing, space.as_str());
        assert_eq!(register.compare_and_set(space, &[mine]).await, Ok(vec![true]));
    }
    for space in Space::ALL {
        assert_eq!(value(register, space, "space").await.as_deref(), Some(space.as_str()));
    }
}

pub async fn any_key_and_value_is_kept_unchanged(register: &dyn Register) {
    let texts = [
        "a", "A", "a ", "a:b", "{a}", "'", "\"", "%", "\\", "*", "a\tb\nc", "주문", "📦", "0",
        "-1", "null",
    ];
    let long = "x".repeat(3_000);
    let texts: Vec<&str> = texts.into_iter().chain([long.as_str()]).collect();
    let keys: Vec<String> = texts.iter().map(|text| format!("any-{text}")).collect();
    let changes: Vec<Cas> =
        keys.iter().zip(&texts).map(|(key, text)| set(key, Expected::Nothing, text)).collect();
    let made = register.compare_and_set(Space::Remembered, &changes).await.unwrap();
    assert_eq!(made, vec![true; texts.len()]);
    let (_, found) = register.get(Space::Remembered, &keys).await.unwrap();
    assert!(found.iter().map(Option::as_deref).eq(texts.iter().copied().map(Some)));
    for (key, text) in keys.iter().zip(&texts) {
        let changes = [set(key, Expected::Value(text), "changed")];
        assert_eq!(
            register.compare_and_set(Space::Remembered, &changes).await,
            Ok(vec![true]),
            "{text:?}"
        );
    }
}

/// More keys than one statement or script may be able to name.
pub async fn thousands_of_values_are_changed_in_one_call(register: &dyn Register) {
    let keys: Vec<String> = (0..9_000).map(|i| format!("many: history 주문 {i}")).collect();
    let (some, others) = keys.split_at(4_000);
    let sets: Vec<Cas> = some.iter().map(|key| set(key, Expected::Anything, "1")).collect();
    let made = register.compare_and_set(Space::Remembered, &sets).await.unwrap();
    assert_eq!(made, vec![true; 4_000]);
    let (_, found) = register.get(Space::Remembered, &keys).await.unwrap();
    assert_eq!(found.len(), 9_000);
    assert!(found[..4_000].iter().all(|value| value.as_deref() == Some("1")));
    assert!(found[4_000..].iter().all(Option::is_none));
    let gone = some[..2_000].iter().chain(others);
    let removals: Vec<Cas> =
        gone.map(|key| Cas { key, expected: Expected::Anything, value: None }).collect();
    let made = register.compare_and_set(Space::Remembered, &removals).await.unwrap();
    assert_eq!(made, vec![true; 7_000]);
    let (_, found) = register.get(Space::Remembered, &keys).await.unwrap();
    assert!(
        found.iter().enumerate().all(|(i, value)| value.is_some() == (2_000..4_000).contains(&i))
    );
}

pub async fn only_one_of_many_writers_changes_a_value(register: &dyn Register) {
    for round in 0..20 {
        let (key, before) = (format!("race-{}", round % 4), format!("{}", round / 4));
        let values: Vec<String> = (0..16).map(|i| format!("{round}-{i}")).collect();
        let expected = if round < 4 { Expected::Nothing } else { Expected::Value(&before) };
        let race = values.iter().map(|value| change(register, set(&key, expected, value)));
        let won = join_all(race).await;
        let winners: Vec<&String> =
            values.iter().zip(&won).filter(|(_, won)| **won).map(|(value, _)| value).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(value(register, Space::Circuits, &key).await.as_ref(), Some(winners[0]));
        let next = format!("{}", round / 4 + 1);
        assert!(change(register, set(&key, Expected::Value(winners[0]), &next)).await);
    }
}

/// A counter that many writers increment with `compare_and_set` is exact.
pub async fn no_change_of_a_value_is_lost_among_many_writers(register: &dyn Register) {
    let raise = |_| async {
        let mut raised = 0;
        while raised < 10 {
            let before = value(register, Space::Circuits, "counter").await;
            let next = before.as_deref().map_or(0, |text| text.parse::<u32>().unwrap()) + 1;
            let expected = before.as_deref().map_or(Expected::Nothing, Expected::Value);
            raised +=
                u32::from(change(register, set("counter", expected, &next.to_string())).await);
        }
    };
    join_all((0..8).map(raise)).await;
    assert_eq!(value(register, Space::Circuits, "counter").await.as_deref(), Some("80"));
}

/// The live workers whose names begin with `prefix`.
async fn heartbeat(register: &dyn Register, me: &str, within: Span, prefix: &str) -> Vec<String> {
    let living = register.heartbeat(me, within).await.unwrap();
    assert!(living.is_sorted());
    living.into_iter().filter(|name| name.starts_with(prefix)).collect()
}

pub async fn live_workers_are_listed_in_order(register: &dyn Register) {
    assert_eq!(heartbeat(register, "alive-2", hours(1), "alive-").await, ["alive-2"]);
    assert_eq!(heartbeat(register, "alive-1", hours(1), "alive-").await, ["alive-1", "alive-2"]);
    assert_eq!(heartbeat(register, "alive-2", hours(1), "alive-").await, ["alive-1", "alive-2"]);
}

pub async fn a_worker_without_a_recent_heartbeat_is_left_out(register: &dyn Register) {
    heartbeat(register, "silent-1", hours(1), "silent-").await;
    let time = || async { register.get(Space::Circuits, &[]).await.unwrap().0 };
    let begun = time().await;
    while time().await <= begun.after(Span::from_ms(20)) {
        tokio::task::yield_now().await;
    }
    assert_eq!(heartbeat(register, "silent-2", Span::from_ms(10), "silent-").await, ["silent-2"]);
    heartbeat(register, "silent-1", Span::from_ms(10), "silent-").await;
    assert_eq!(
        heartbeat(register, "silent-2", hours(1), "silent-").await,
        ["silent-1", "silent-2"]
    );
}

pub async fn a_worker_that_left_is_removed_immediately(register: &dyn Register) {
    heartbeat(register, "left-1", hours(1), "left-").await;
    heartbeat(register, "left-2", hours(1), "left-").await;
    register.leave("left-1").await.unwrap();
    register.leave("left-never-came").await.unwrap();
    assert_eq!(heartbeat(register, "left-2", hours(1), "left-").await, ["left-2"]);
    assert_eq!(heartbeat(register, "left-1", hours(1), "left-").await, ["left-1", "left-2"]);
}

pub async fn a_register_returns_its_time(register: &dyn Register) {
    let first = register.get(Space::Circuits, &[]).await.unwrap().0;
    let second = register.get(Space::Actions, &["time".to_owned()]).await.unwrap().0;
    assert!(second >= first && second < first.after(hours(1)));
    // 1 January 2026, in milliseconds, not seconds.
    assert!(first > Time::from_ms(1_767_225_600_000));
}
