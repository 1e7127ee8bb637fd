//! The name of a configured action.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a configured action: 1 to 32 of `a-z 0-9 _ -`. The store keeps its outbox under this
/// name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName(Arc<str>);

/// The text is not an action name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an action name must be 1 to 32 characters of a-z, 0-9, _ and -")]
pub struct NotAnActionName;

impl ActionName {
    /// The longest name, in bytes.
    pub const MAX: usize = 32;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ActionName {
    type Err = NotAnActionName;

    fn from_str(text: &str) -> Result<ActionName, NotAnActionName> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let fits = (1..=ActionName::MAX).contains(&text.len()) && text.bytes().all(is_allowed);
        if fits { Ok(ActionName(text.into())) } else { Err(NotAnActionName) }
    }
}

impl Borrow<str> for ActionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_safe_in_a_key_and_a_path() {
        for good in ["a", "shop-2_x", &"a".repeat(32)] {
            assert_eq!(good.parse::<ActionName>().unwrap().as_str(), good);
        }
        for bad in ["", "Shop", "a b", "a:b", "가", "a/b", &"a".repeat(33)] {
            assert_eq!(bad.parse::<ActionName>(), Err(NotAnActionName), "{bad:?}");
        }
    }
}
