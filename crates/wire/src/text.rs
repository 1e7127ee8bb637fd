//! The domain's parsed values as texts in JSON, for `#[serde(with = "text")]`: written as they are
//! shown, and parsed where they come in.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use autoreceive_domain::command::Verb;
use autoreceive_domain::words::Currency;
use autoreceive_domain::{ActionName, Cause, ClockKind, EventKind, OrderId, PolicyName, Revision, Span, StartsAt, Status, Text, Time};
use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

use crate::time::parse_time;

/// A value that is a text in JSON.
pub(crate) trait AsText: Sized {
    /// What is expected where a text is none of these.
    const EXPECTED: &'static str;

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    fn parse(text: &str) -> Option<Self>;
}

/// Values that are kept as text, or have a fixed one: nothing has to be formatted.
macro_rules! texts {
    ($([$($generic:tt)*] $type:ty: $expected:literal, $parse:expr;)*) => {$(
        impl<$($generic)*> AsText for $type {
            const EXPECTED: &'static str = $expected;

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }

            fn parse(text: &str) -> Option<Self> {
                $parse(text)
            }
        }
    )*};
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

texts! {
    [] OrderId: "an order's id", parsed;
    [const MAX: usize] Text<MAX>: "a short text without control characters", parsed;
    [] Currency: "three capital letters", parsed;
    [] PolicyName: "a policy's name", parsed;
    [] Revision: "a policy's revision", parsed;
    [] ActionName: "an action's name", parsed;
    [] Status: "an order's status", parsed;
    [] EventKind: "an event's type", parsed;
    [] Cause: "a cause", |text| Cause::ALL.into_iter().find(|cause| cause.as_str() == text);
    [] ClockKind: "a clock's kind", |text| ClockKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    [] StartsAt: "the start of a clock", StartsAt::parse;
    [] Verb: "a command", Verb::parse;
}

impl AsText for Time {
    const EXPECTED: &'static str = "a time as in RFC 3339, from 1970 to 9999";

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }

    fn parse(text: &str) -> Option<Time> {
        parse_time(text)
    }
}

impl AsText for Span {
    const EXPECTED: &'static str = "a length of time such as \"24h\"";

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }

    fn parse(text: &str) -> Option<Span> {
        parsed(text)
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: AsText> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
        T::parse(text).ok_or_else(wrong)
    }
}

pub(crate) fn serialize<T: AsText, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write(serializer)
}

pub(crate) fn deserialize<'de, T: AsText, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(Reader(PhantomData))
}

/// One value among others, where serde asks for a type of its own.
struct One<T>(T);

impl<T: AsText> serde::Serialize for One<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<'de, T: AsText> serde::Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<One<T>, D::Error> {
        deserialize(deserializer).map(One)
    }
}

/// The same for values that can be missing.
pub(crate) mod option {
    use serde::Deserialize;
    use serde::de::Deserializer;
    use serde::ser::Serializer;

    use super::{AsText, One};

    pub(crate) fn serialize<T: AsText, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.write(serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: AsText, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        Ok(Option::<One<T>>::deserialize(deserializer)?.map(|One(value)| value))
    }
}

/// The same for lists.
pub(crate) mod list {
    use serde::Deserialize;
    use serde::de::Deserializer;
    use serde::ser::Serializer;

    use super::{AsText, One};

    pub(crate) fn serialize<T: AsText, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(One))
    }

    pub(crate) fn deserialize<'de, T: AsText, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        let values = Vec::<One<T>>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|One(value)| value).collect())
    }
}
