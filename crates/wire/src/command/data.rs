//! `data`: the shop's own JSON. It is kept exactly, except for whitespace between its parts.

use autoreceive_domain::words::Data;
use serde_json::Value;

use crate::read::InputError;

/// The maximum nesting of `data`. In an event it lies four levels deeper, and many parsers stop at
/// 100 or 128.
const MAX_DEPTH: usize = 64;

/// Reads `data` from JSON text. Numbers keep their digits and objects keep their order, because the
/// text is not rewritten.
///
/// # Errors
/// It is longer than 4,096 bytes, nested deeper than 64 levels, or has a string or number that
/// strict parsers refuse.
pub(super) fn read_data(json: &str) -> Result<Data, InputError> {
    let (compact, depth) = compacted(json);
    if depth > MAX_DEPTH {
        return Err(InputError::value(
            "data",
            format_args!("is nested {depth} levels deep; at most {MAX_DEPTH} are allowed"),
        ));
    }
    let data = Data::new(&compact).map_err(|error| InputError::value("data", error))?;
    // `RawValue` accepts half a surrogate pair and 1e999. Strict parsers at the endpoint would
    // refuse them.
    serde_json::from_str::<Value>(&compact)
        .map_err(|error| InputError::value("data", format_args!("cannot be parsed: {error}")))?;
    Ok(data)
}

/// JSON text without whitespace between its parts, and its nesting depth.
fn compacted(json: &str) -> (String, usize) {
    let mut compact = String::with_capacity(json.len());
    let mut depth = 0usize;
    let mut deepest = 0;
    let mut in_string = false;
    let mut escaped = false;
    for c in json.chars() {
        if in_string {
            in_string = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
        } else {
            match c {
                ' ' | '\t' | '\n' | '\r' => continue,
                '"' => in_string = true,
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        compact.push(c);
    }
    (compact, deepest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn data_loses_only_its_whitespace() {
        for (json, kept) in [
            (
                " { \"b\" : 1 , \"a\" : [ 1.10 , 12345678901234567890123 ] } ",
                "{\"b\":1,\"a\":[1.10,12345678901234567890123]}",
            ),
            (r#""a \" b \\" "#, r#""a \" b \\""#),
            ("\t true\r\n", "true"),
            (r#"{"한 글":"\u00e9 🙂"}"#, r#"{"한 글":"\u00e9 🙂"}"#),
        ] {
            assert_eq!(read_data(json).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn data_that_strict_parsers_refuse_is_refused() {
        let long = format!("\"{}\"", "x".repeat(4_095));
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        for json in [r#""\ud800""#, "1e999", &long, &deep] {
            let wrong = read_data(json).unwrap_err();
            assert_eq!((wrong.code(), wrong.field()), ("invalid", Some("data")), "{json:.20}");
        }
        assert!(read_data(&format!("\"{}\"", "x".repeat(4_094))).is_ok());
        assert!(read_data(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
    }

    proptest! {
        #[test]
        fn compact_text_has_the_same_value(
            key: String,
            text: String,
            number: f64,
            blanks in "[ \t\r\n]{0,3}",
        ) {
            let value = serde_json::json!({ key: [text, number, null, {"": []}] });
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let pretty = format!("{blanks}{pretty}{blanks}");
            prop_assert_eq!(compacted(&pretty).0, serde_json::to_string(&value).unwrap());
        }
    }
}
