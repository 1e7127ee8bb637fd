//! The flags of `notify-keyspace-events` that switch notifications on in the shop's Redis.

/// A channel for each key (`K`), and events of string commands such as `SET` (`$`).
const NEEDED: [char; 2] = ['K', '$'];
/// Includes all kinds of commands, but no channel.
const ALL: char = 'A';

/// The needed flags that are missing in `set`.
#[must_use]
pub fn missing(set: &str) -> String {
    let is_set = |flag: char| set.contains(flag) || (flag != 'K' && set.contains(ALL));
    NEEDED.into_iter().filter(|&flag| !is_set(flag)).collect()
}

/// The command that adds the missing flags and keeps the others.
#[must_use]
pub fn command(set: &str) -> String {
    format!("CONFIG SET notify-keyspace-events {}", with_missing(set))
}

/// The flags `set` and the missing ones.
#[must_use]
pub fn with_missing(set: &str) -> String {
    format!("{set}{}", missing(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_flags_are_added() {
        for (set, missing_of_it) in [
            ("", "K$"),
            ("Ex", "K$"),
            ("K", "$"),
            ("KA", ""),
            ("A", "K"),
            ("AKE", ""),
            ("K$", ""),
            ("g$E", "K"),
        ] {
            assert_eq!(missing(set), missing_of_it, "{set:?}");
            assert!(with_missing(set).starts_with(set) && missing(&with_missing(set)).is_empty());
        }
        assert_eq!(command("Ex"), "CONFIG SET notify-keyspace-events ExK$");
    }
}
