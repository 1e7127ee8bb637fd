//! The shape of the shop's keys: a prefix, the order id, a suffix.

use autoreceive_domain::OrderId;
use autoreceive_domain::words::WrongText;

/// The prefix of an order's mark.
const MARK: &str = "autoreceive:mark:";
const ODD_MARK: &str = "autoreceive:mark-of:";

/// The keys of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The part before the id.
    pub prefix: String,
    /// The part after the id, usually empty.
    pub suffix: String,
}

/// Why a key of this shape contains no order id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoId {
    /// The bytes are not UTF-8.
    #[error("its id is not UTF-8")]
    NotText,
    /// The text is not a valid order id.
    #[error("its id {0}")]
    Wrong(#[from] WrongText),
}

impl Shape {
    /// The key of an order.
    #[must_use]
    pub fn key(&self, id: &OrderId) -> String {
        [&self.prefix, id.as_str(), &self.suffix].concat()
    }

    /// The order of a key; `None` if the key has another shape.
    ///
    /// # Errors
    /// If the key has this shape but no valid order id.
    pub fn id(&self, key: &[u8]) -> Option<Result<OrderId, NoId>> {
        let rest =
            key.strip_prefix(self.prefix.as_bytes())?.strip_suffix(self.suffix.as_bytes())?;
        let id =
            std::str::from_utf8(rest).map_err(|_| NoId::NotText).and_then(|text| Ok(text.parse()?));
        Some(id)
    }

    /// The pattern of all keys of this shape, for `SCAN` and `PSUBSCRIBE`.
    #[must_use]
    pub fn pattern(&self) -> String {
        [&escaped(&self.prefix), "*", &escaped(&self.suffix)].concat()
    }

    /// Whether one key could have both shapes.
    #[must_use]
    pub fn overlaps(&self, other: &Shape) -> bool {
        let one_begins = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
        let one_ends = |a: &str, b: &str| a.ends_with(b) || b.ends_with(a);
        one_begins(&self.prefix, &other.prefix) && one_ends(&self.suffix, &other.suffix)
    }
}

/// The text, escaped for a pattern.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            matches!(c, '*' | '?' | '[' | ']' | '^' | '\\').then_some('\\').into_iter().chain([c])
        })
        .collect()
}

/// The key of the mark that we decided an order's receipt. It has the hash tag of the status key,
/// so that both are in one slot of a cluster. A status key without a tag becomes the tag itself,
/// unless it contains a closing brace.
#[must_use]
pub fn mark(status_key: &str) -> String {
    let tag = status_key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty());
    match tag {
        Some(tag) => format!("{MARK}{{{tag}}}{status_key}"),
        None if !status_key.contains('}') => format!("{MARK}{{{status_key}}}"),
        None => format!("{ODD_MARK}{status_key}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn shape(prefix: &str, suffix: &str) -> Shape {
        Shape { prefix: prefix.to_owned(), suffix: suffix.to_owned() }
    }

    #[test]
    fn the_id_is_everything_between_prefix_and_suffix() {
        let status = shape("trade:status:", "");
        for id in ["A-1", "a:b:c", "a b", "{u}:1", "주문", "}", "*", &"x".repeat(128)] {
            let id: OrderId = id.parse().unwrap();
            assert_eq!(status.id(status.key(&id).as_bytes()), Some(Ok(id)));
        }
        assert_eq!(status.id(b"trade:statu"), None);
        assert_eq!(status.id(b"trade:status:"), Some(Err(NoId::Wrong(WrongText::Empty))));
        assert_eq!(status.id(b"trade:status:\xff"), Some(Err(NoId::NotText)));
        assert_eq!(status.id(b"trade:status:a\n"), Some(Err(NoId::Wrong(WrongText::Control(10)))));
        let between = shape("order:", ":status");
        assert_eq!(between.id(b"order:7:status"), Some(Ok("7".parse().unwrap())));
        assert_eq!(between.id(b"order:7:trigger"), None);
        assert_eq!(shape("ab", "bc").id(b"abc"), None, "prefix and suffix do not share a byte");
    }

    #[test]
    fn shapes_overlap_if_one_key_could_have_both() {
        let status = shape("trade:status:", "");
        assert!(!status.overlaps(&shape("trade:auto-receive:", "")));
        assert!(status.overlaps(&shape("trade:", "")));
        assert!(status.overlaps(&status));
        assert!(!shape("order:", ":status").overlaps(&shape("order:", ":trigger")));
        assert!(shape("order:", "").overlaps(&shape("order:", ":trigger")));
    }

    #[test]
    fn special_characters_of_a_pattern_are_escaped() {
        assert_eq!(shape("a*[b]?\\", "c^").pattern(), "a\\*\\[b\\]\\?\\\\*c\\^");
    }

    /// The tag of a key, as the Cluster specification defines it.
    fn tag(key: &str) -> &str {
        let Some((_, rest)) = key.split_once('{') else { return key };
        rest.split_once('}').map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key)
    }

    #[test]
    fn each_status_key_has_its_own_mark_in_the_same_slot() {
        let keys = ["s:A", "s:{u}A", "s:{u}", "s:A{u}B{v}", "s:{", "s:{x", "s:가 나"];
        for key in keys {
            assert_eq!(tag(&mark(key)), tag(key), "{key}");
        }
        let odd = ["s:}", "s:{}", "s:a}b", "s:u}s:{u", "s:{}{u}"];
        let marks: HashSet<String> = keys.iter().chain(&odd).map(|key| mark(key)).collect();
        assert_eq!(marks.len(), keys.len() + odd.len());
    }
}
