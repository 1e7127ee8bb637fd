//! Small facts that all workers share.

/// A set of facts of one kind: each has a key and a value, both texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Space {
    /// Action → how its endpoint is doing.
    Circuits,
    /// The names of all actions that ever had an entry. [`Operations::stats`](crate::Operations)
    /// counts the queues of these.
    Actions,
    /// Keys that the intake leaves alone.
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

/// A change of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cas<'a> {
    /// Under which key.
    pub key: &'a str,
    /// What must stand there.
    pub expected: Expected<'a>,
    /// The new value; `None` removes the key.
    pub value: Option<&'a str>,
}

/// What must stand under a key for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Whatever stands there, or nothing.
    Anything,
    /// Nothing.
    Nothing,
    /// This value.
    Value(&'a str),
}
