//! How the shop's keys are built: something before the order id, something after it.

use autoreceive_domain::OrderId;
use autoreceive_domain::words::WrongText;

/// What the mark of an order begins with.
const MARK: &str = "autoreceive:mark:";
const ODD_MARK: &str = "autoreceive:mark-of:";

/// The keys of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// What stands before the id.
    pub prefix: String,
    /// What stands after it, mostly nothing.
    pub suffix: String,
}

/// Why a key that looks like one of the shop's is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoId {
    /// Some bytes.
    #[error("the id in it is not UTF-8")]
    NotText,
    /// A text that no order id can be.
    #[error("the id in it {0}")]
    Wrong(#[from] WrongText),
}

impl Shape {
    /// The key of an order.
    #[must_use]
    pub fn key(&self, id: &OrderId) -> String {
        [&self.prefix, id.as_str(), &self.suffix].concat()
    }

    /// The order that a key belongs to; none where the key is not of this shape.
    ///
    /// # Errors
    /// Where it is, but has no id that can be one.
    pub fn id(&self, key: &[u8]) -> Option<Result<OrderId, NoId>> {
        let rest =
            key.strip_prefix(self.prefix.as_bytes())?.strip_suffix(self.suffix.as_bytes())?;
        let id =
            std::str::from_utf8(rest).map_err(|_| NoId::NotText).and_then(|text| Ok(text.parse()?));
        Some(id)
    }

    /// A pattern, as `SCAN` and `PSUBSCRIBE` take it, that fits all keys of this shape.
    #[must_use]
    pub fn pattern(&self) -> String {
        [&escaped(&self.prefix), "*", &escaped(&self.suffix)].concat()
    }

    /// Whether a key could be of both shapes.
    #[must_use]
    pub fn overlaps(&self, other: &Shape) -> bool {
        let one_begins = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
        let one_ends = |a: &str, b: &str| a.ends_with(b) || b.ends_with(a);
        one_begins(&self.prefix, &other.prefix) && one_ends(&self.suffix, &other.suffix)
    }
}

/// A text that stands for itself in a pattern.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            matches!(c, '*' | '?' | '[' | ']' | '^' | '\\').then_some('\\').into_iter().chain([c])
        })
        .collect()
}

/// The key of the mark that an order's receipt is ours. It has the hash tag of the status key, so
/// that both lie in one slot of a cluster; where the status key has none, the whole of it is the
/// tag. (A key with a lone closing brace cannot be a tag.)
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
    fn an_id_is_everything_between_prefix_and_suffix() {
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
    fn shapes_overlap_where_one_key_could_be_of_both() {
        let status = shape("trade:status:", "");
        assert!(!status.overlaps(&shape("trade:auto-receive:", "")));
        assert!(status.overlaps(&shape("trade:", "")));
        assert!(status.overlaps(&status));
        assert!(!shape("order:", ":status").overlaps(&shape("order:", ":trigger")));
        assert!(shape("order:", "").overlaps(&shape("order:", ":trigger")));
    }

    #[test]
    fn what_means_something_in_a_pattern_is_escaped() {
        assert_eq!(shape("a*[b]?\\", "c^").pattern(), "a\\*\\[b\\]\\?\\\\*c\\^");
    }

    /// The tag of a key, as the Cluster specification defines it.
    fn tag(key: &str) -> &str {
        let Some((_, rest)) = key.split_once('{') else { return key };
        rest.split_once('}').map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key)
    }

    #[test]
    fn a_mark_lies_in_the_slot_of_its_status_key_and_belongs_to_it_alone() {
        let keys = ["s:A", "s:{u}A", "s:{u}", "s:A{u}B{v}", "s:{", "s:{x", "s:가 나"];
        for key in keys {
            assert_eq!(tag(&mark(key)), tag(key), "{key}");
        }
        let odd = ["s:}", "s:{}", "s:a}b", "s:u}s:{u", "s:{}{u}"];
        let marks: HashSet<String> = keys.iter().chain(&odd).map(|key| mark(key)).collect();
        assert_eq!(marks.len(), keys.len() + odd.len());
    }
}
