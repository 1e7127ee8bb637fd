//! Capped lists of rows.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a list: 1 to 100 of `a-z 0-9 _ - . :`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List(Arc<str>);

/// The text is not a list name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a list name must be 1 to 100 characters of a-z, 0-9, _, -, . and :")]
pub struct NotAList;

impl List {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for List {
    type Err = NotAList;

    fn from_str(text: &str) -> Result<List, NotAList> {
        let is_allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.:".contains(&byte)
        };
        let fits = (1..=100).contains(&text.len()) && text.bytes().all(is_allowed);
        if fits { Ok(List(text.into())) } else { Err(NotAList) }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
