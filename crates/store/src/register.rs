//! Key-value pairs that all workers share.

/// A namespace of key-value pairs. Keys and values are texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Space {
    /// Action → the state of its endpoint.
    Circuits,
    /// The names of all actions that ever had an entry. [`Operations::stats`](crate::Operations)
    /// counts their queues.
    Actions,
    /// Keys that the intake ignores.
    Remembered,
}

impl Space {
    /// Every space.
    pub const ALL: [Space; 3] = [Space::Circuits, Space::Actions, Space::Remembered];

    /// The space's name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Space::Circuits => "circuits",
            Space::Actions => "actions",
            Space::Remembered => "remembered",
        }
    }
}

/// A conditional change of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cas<'a> {
    /// The key.
    pub key: &'a str,
    /// The value that must be there.
    pub expected: Expected<'a>,
    /// The new value; `None` removes the key.
    pub value: Option<&'a str>,
}

/// The condition for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected<'a> {
    /// No condition.
    Anything,
    /// The key has no value.
    Nothing,
    /// The key has this value.
    Value(&'a str),
}
