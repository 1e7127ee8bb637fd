//! Strict reading of JSON objects. An unknown, duplicate or missing field is an error, and each
//! error names its field.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess,
    Visitor,
};
use serde_json::error::Category;

/// The longest error message, in characters. A message quotes the input.
const MESSAGE_CHARS: usize = 400;

/// The fields that hold durations.
const LENGTHS: [&str; 3] = ["receive_after", "older_than", "advance"];

/// An error in a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The form is wrong: not JSON, a wrong type, or an unknown or missing field.
    #[error("{message}")]
    Form {
        /// The field, if it is known.
        field: Option<String>,
        /// The value found and the value expected.
        message: String,
    },
    /// The form is right, but a value is not valid.
    #[error("{field} {message}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value found and the value expected.
        message: String,
    },
}

impl InputError {
    /// An error in the form.
    #[must_use]
    pub fn form(message: impl fmt::Display) -> InputError {
        InputError::Form { field: None, message: shortened(&message.to_string()) }
    }

    /// An invalid value of `field`.
    #[must_use]
    pub fn value(field: &'static str, message: impl fmt::Display) -> InputError {
        InputError::Value { field, message: shortened(&message.to_string()) }
    }

    /// The field with the error, if it is known.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            InputError::Form { field, .. } => field.as_deref(),
            InputError::Value { field, .. } => Some(field),
        }
    }

    /// The error's code: `malformed` or `invalid`.
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

/// Reads a JSON object. Fields named in `hidden` are ignored, because the caller reads them.
///
/// # Errors
/// [`InputError::Form`] if it is not JSON, not an object, or does not match `T`.
pub fn read<T: DeserializeOwned>(json: &[u8], hidden: &[&str]) -> Result<T, InputError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = T::deserialize(Object { inner: &mut deserializer, hidden })
        .and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| explain::<T>(json, hidden, &error))
}

/// Finds the field with the error. This costs time, so it is done only after an error.
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
    // The field says enough. Line and column would only confuse, above all for an empty body,
    // which stands for {}.
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

/// An example for fields that are often sent as a number by mistake.
fn example(field: &str) -> &'static str {
    if LENGTHS.contains(&field) { "; write a duration as \"24h\" or \"86400s\"" } else { "" }
}

/// The field in an error about the whole object. Such an error has no path.
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

/// Reads an object without its hidden fields. Unlike serde's own struct reading, it accepts no
/// array.
struct Object<'h, D> {
    inner: D,
    hidden: &'h [&'h str],
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(VisibleFields { inner: visitor, hidden: self.hidden })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

struct VisibleFields<'h, I> {
    inner: I,
    hidden: &'h [&'h str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for VisibleFields<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(VisibleFields { inner: map, hidden: self.hidden })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for VisibleFields<'_, A> {
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

/// Reads the text field `name` and the fields of `T` from one object.
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

/// Passes an object's fields on, except one, which it keeps.
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

/// 2^53 − 1: the largest whole number that is exact if written as `1.0` or `1e3`.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Reads a whole number from `min` to `max`. A number outside is an invalid value, not a wrong
/// form.
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
    fn hidden_fields_are_ignored_at_any_position() {
        let sample: Sample =
            read(br#" {"command":[1,{"name":2}],"name":"n","at":null} "#, &["command"]).unwrap();
        assert_eq!((sample.name.as_str(), sample.at), ("n", None));
    }

    #[test]
    fn an_error_in_the_form_names_its_field() {
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
    fn json_that_is_not_an_object_is_refused() {
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
    fn an_error_message_is_short_for_any_input() {
        let long = "x".repeat(60_000);
        assert!(wrong(&format!(r#"{{"{long}":1}}"#)).to_string().len() < 1_000);
        assert!(wrong(&format!(r#"{{"name":{{"{long}":1}}}}"#)).to_string().len() < 1_000);
    }
}
