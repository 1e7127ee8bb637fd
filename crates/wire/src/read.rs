//! Strict reading of JSON objects: an unknown, doubled or missing field is a mistake, and a mistake
//! is told by its field.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess,
    Visitor,
};
use serde_json::error::Category;

/// The longest text of a mistake, in characters; a mistake quotes what was sent.
const MESSAGE_CHARS: usize = 400;

/// The fields that hold lengths of time.
const LENGTHS: [&str; 3] = ["receive_after", "older_than", "advance"];

/// What is wrong with something that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// It has not the form that is expected: no JSON, another type, a field too many or too few.
    #[error("{message}")]
    Form {
        /// Where, if it can be told.
        field: Option<String>,
        /// What was found and what was expected.
        message: String,
    },
    /// It has the form, but a value that cannot be.
    #[error("{field} {message}")]
    Value {
        /// Where.
        field: &'static str,
        /// What was found and what was expected.
        message: String,
    },
}

impl InputError {
    /// A form that is not the expected one.
    #[must_use]
    pub fn form(message: impl fmt::Display) -> InputError {
        InputError::Form { field: None, message: shortened(&message.to_string()) }
    }

    /// A wrong value of `field`.
    #[must_use]
    pub fn value(field: &'static str, message: impl fmt::Display) -> InputError {
        InputError::Value { field, message: shortened(&message.to_string()) }
    }

    /// Where the mistake is, if it can be told.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            InputError::Form { field, .. } => field.as_deref(),
            InputError::Value { field, .. } => Some(field),
        }
    }

    /// The mistake's code: `malformed` or `invalid`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            InputError::Form { .. } => "malformed",
            InputError::Value { .. } => "invalid",
        }
    }
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// Reads a JSON object, passing over the fields named in `hidden`, which somebody else reads.
///
/// # Errors
/// [`InputError::Form`] where it is not JSON, not an object, or not of the form of `T`.
pub fn read<T: DeserializeOwned>(json: &[u8], hidden: &[&str]) -> Result<T, InputError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = T::deserialize(Object { inner: &mut deserializer, hidden })
        .and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| explain::<T>(json, hidden, &error))
}

/// Says where a mistake is. Following the path costs time, so it is done only where there is a
/// mistake.
fn explain<T: DeserializeOwned>(
    json: &[u8],
    hidden: &[&str],
    error: &serde_json::Error,
) -> InputError {
    if json.trim_ascii().is_empty() {
        return InputError::form("an empty text is not JSON; a JSON object is expected");
    }
    if error.classify() != Category::Data {
        return InputError::form(format_args!("this is not JSON: {error}"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let field =
        serde_path_to_error::deserialize::<_, T>(Object { inner: &mut deserializer, hidden })
            .err()
            .and_then(|error| first_field(error.path()));
    // Who is told the field need not count lines and columns, least of all those of the {} that an
    // empty body stands for.
    let said = error.to_string();
    let said = said
        .strip_suffix(&format!(" at line {} column {}", error.line(), error.column()))
        .unwrap_or(&said);
    match field {
        Some(field) => InputError::Form {
            message: shortened(&format!("{field}: {said}{}", example(&field))),
            field: Some(field),
        },
        None => InputError::Form { field: quoted_field(said), message: shortened(said) },
    }
}

/// How the value of a field is written that is often sent as a number.
fn example(field: &str) -> &'static str {
    if LENGTHS.contains(&field) {
        "; a length of time is written as \"24h\" or \"86400s\""
    } else {
        ""
    }
}

/// The field that a mistake of the object as a whole is about; no path leads to it.
fn quoted_field(error: &str) -> Option<String> {
    let rest = ["missing field `", "duplicate field `"]
        .into_iter()
        .find_map(|start| error.strip_prefix(start))?;
    rest.split_once('`').map(|(field, _)| field.to_owned())
}

fn first_field(path: &serde_path_to_error::Path) -> Option<String> {
    path.iter().find_map(|segment| match segment {
        serde_path_to_error::Segment::Map { key } => Some(shortened(key)),
        _ => None,
    })
}

/// Hands out an object's fields but the hidden ones. Unlike serde's own reading of a struct it
/// accepts no array.
struct Object<'h, D> {
    inner: D,
    hidden: &'h [&'h str],
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Fields { inner: visitor, hidden: self.hidden })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Fields<'h, I> {
    inner: I,
    hidden: &'h [&'h str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Fields<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Fields { inner: map, hidden: self.hidden })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.inner.next_key::<Cow<'de, str>>()? {
            if !self.hidden.contains(&key.as_ref()) {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.inner.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}

/// Reads an object of the form of `T` whose field `name` stands beside those of `T`.
pub(crate) fn read_beside<'de, T, D>(
    deserializer: D,
    name: &'static str,
) -> Result<(String, T), D::Error>
where
    T: serde::Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Taking<T>(&'static str, std::marker::PhantomData<T>);

    impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for Taking<T> {
        type Value = (String, T);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(String, T), A::Error> {
            let mut taken = None;
            let others = Others { inner: map, name: self.0, taken: &mut taken };
            let fields = T::deserialize(MapAccessDeserializer::new(others))?;
            let taken = taken.ok_or_else(|| serde::de::Error::missing_field(self.0))?;
            Ok((taken, fields))
        }
    }

    deserializer.deserialize_map(Taking(name, std::marker::PhantomData))
}

/// Hands out an object's fields but one, which is kept.
struct Others<'t, A> {
    inner: A,
    name: &'static str,
    taken: &'t mut Option<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Others<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.inner.next_key::<Cow<'de, str>>()? {
            if key != self.name {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            if self.taken.replace(self.inner.next_value()?).is_some() {
                return Err(serde::de::Error::duplicate_field(self.name));
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}

/// The largest number up to which every whole one can be told from its neighbours where it is
/// written as `1.0` or `1e3`.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// A whole number in any range, so that one outside the allowed range is told as a wrong value, not
/// as a wrong form.
pub(super) fn whole(
    field: &'static str,
    number: &serde_json::Number,
    min: u64,
    max: u64,
) -> Result<u64, InputError> {
    let expected = || {
        InputError::value(
            field,
            format_args!("is {number}; a whole number from {min} to {max} is expected"),
        )
    };
    let written_with_point = || {
        number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=EXACT).contains(n)).map(|n| n as u64)
    };
    number
        .as_u64()
        .or_else(written_with_point)
        .filter(|n| (min..=max).contains(n))
        .ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        at: Option<String>,
    }

    fn wrong(json: &str) -> InputError {
        read::<Sample>(json.as_bytes(), &["command"]).unwrap_err()
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point_or_an_exponent() {
        let whole =
            |text: &str| whole("amount", &text.parse().unwrap(), 0, 9_007_199_254_740_991).ok();
        for (text, number) in [
            ("59000.0", 59_000),
            ("5.9e4", 59_000),
            ("-0.0", 0),
            ("9007199254740991.0", 9_007_199_254_740_991),
        ] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in ["0.5", "-1.0", "-1", "9007199254740992", "9007199254740992.0", "1e300"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn hidden_fields_are_passed_over_wherever_they_stand() {
        let sample: Sample =
            read(br#" {"command":[1,{"name":2}],"name":"n","at":null} "#, &["command"]).unwrap();
        assert_eq!((sample.name.as_str(), sample.at), ("n", None));
    }

    #[test]
    fn a_mistake_in_the_form_is_told_with_its_field() {
        for (json, field, part) in [
            (r#"{"name":5}"#, "name", "expected a string"),
            (r#"{"name":"n","at":{}}"#, "at", "expected a string"),
            (r#"{"name":"n","nmae":1}"#, "nmae", "unknown field"),
            (r#"{"name":"n","name":"m"}"#, "name", "duplicate field"),
            ("{}", "name", "missing field"),
        ] {
            let wrong = wrong(json);
            assert_eq!((wrong.field(), wrong.code()), (Some(field), "malformed"), "{json}");
            assert!(
                wrong.to_string().contains(part) && !wrong.to_string().contains("column"),
                "{json}: {wrong}"
            );
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = "[".repeat(100_000);
        let deep_inside = format!(r#"{{"name":{}"#, "[".repeat(100_000));
        for json in [
            "",
            " ",
            "nul",
            "{",
            "[\"n\"]",
            "null",
            "5",
            "\"n\"",
            r#"{"name":"n"} x"#,
            r#"{"name":"n"}{}"#,
            "{'name':1}",
            &deep,
            &deep_inside,
        ] {
            assert_eq!(wrong(json).code(), "malformed", "{json:.40}");
        }
        assert!(read::<Sample>(b"{\"name\":\"\xff\"}", &[]).is_err());
    }

    #[test]
    fn a_mistake_is_told_briefly_however_long_the_text_is() {
        let long = "x".repeat(60_000);
        assert!(wrong(&format!(r#"{{"{long}":1}}"#)).to_string().len() < 1_000);
        assert!(wrong(&format!(r#"{{"name":{{"{long}":1}}}}"#)).to_string().len() < 1_000);
    }
}
