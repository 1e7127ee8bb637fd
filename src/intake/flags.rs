//! What the shop's Redis must be told for it to tell of changed keys: `notify-keyspace-events`.

/// What is needed: a channel for each key (`K`), and the commands on strings (`$`), of which `SET`
/// is one.
const NEEDED: [char; 2] = ['K', '$'];
/// `A` stands for all kinds of commands (and for no kind of channel).
const ALL: char = 'A';

/// The flags that `set` lacks.
#[must_use]
pub fn missing(set: &str) -> String {
    let is_set = |flag: char| set.contains(flag) || (flag != 'K' && set.contains(ALL));
    NEEDED.into_iter().filter(|&flag| !is_set(flag)).collect()
}

/// The command that adds what is missing and takes nothing away.
#[must_use]
pub fn command(set: &str) -> String {
    format!("CONFIG SET notify-keyspace-events {}", with_missing(set))
}

/// The flags with those that are missing.
#[must_use]
pub fn with_missing(set: &str) -> String {
    format!("{set}{}", missing(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_added() {
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
