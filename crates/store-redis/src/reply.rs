//! Decodes Redis answers. An unexpected answer or an error is reported as an unavailable store; it
//! never panics.

use std::vec::IntoIter;

use autoreceive_domain::record::{self, Unreadable};
use autoreceive_domain::{Order, OrderId, Time};
use autoreceive_redis_connection::redis::Value;

use autoreceive_redis_connection::server_text;
use autoreceive_store::StoreError;

/// The answers to a pipeline, taken one by one.
pub(super) struct Replies(IntoIter<Value>);

impl Replies {
    pub(super) fn new(values: Vec<Value>) -> Replies {
        Replies(values.into_iter())
    }

    fn next(&mut self) -> Result<Value, StoreError> {
        match self.0.next() {
            Some(Value::ServerError(error)) => Err(StoreError::Unavailable(server_text(&error))),
            Some(value) => Ok(value),
            None => Err(strange("nothing")),
        }
    }

    /// An array's elements.
    pub(super) fn list(&mut self) -> Result<Vec<Value>, StoreError> {
        match self.next()? {
            Value::Array(list) | Value::Set(list) => Ok(list),
            other => Err(strange(&format!("{other:?}"))),
        }
    }

    /// An array, whose elements are taken one by one.
    pub(super) fn nested(&mut self) -> Result<Replies, StoreError> {
        self.list().map(Replies::new)
    }

    /// The answer to `TIME`, plus the test clock's offset from the next answer.
    pub(super) fn time(&mut self) -> Result<Time, StoreError> {
        let mut parts = self.nested()?;
        let seconds = parts.integer()?;
        let micros = parts.integer()?;
        let ahead = self.moment()?.map_or(0, Time::ms);
        Ok(Time::from_ms(
            seconds.saturating_mul(1_000).saturating_add(micros / 1_000).saturating_add(ahead),
        ))
    }

    /// A text, or `None`.
    pub(super) fn text(&mut self) -> Result<Option<String>, StoreError> {
        self.next().map(text)
    }

    /// A number, in any encoding.
    pub(super) fn integer(&mut self) -> Result<i64, StoreError> {
        let value = self.next()?;
        number(&value).ok_or_else(|| strange(&format!("{value:?}")))
    }

    /// A count.
    pub(super) fn count(&mut self) -> Result<u64, StoreError> {
        self.integer().map(|count| u64::try_from(count).unwrap_or(0))
    }

    /// A time in milliseconds; `None` for an empty text.
    pub(super) fn moment(&mut self) -> Result<Option<Time>, StoreError> {
        let value = self.next()?;
        Ok(number(&value).map(Time::from_ms))
    }

    /// The next array, if there are more.
    pub(super) fn more(&mut self) -> Option<Result<Replies, StoreError>> {
        if self.0.len() == 0 { None } else { Some(self.nested()) }
    }

    /// A text and a number, if there are more.
    pub(super) fn pair(&mut self) -> Result<Option<(String, i64)>, StoreError> {
        match self.0.len() {
            0 => Ok(None),
            _ => Ok(Some((self.text()?.unwrap_or_default(), self.integer()?))),
        }
    }

    /// Texts. Those that are not UTF-8 were not written by this program and are skipped.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(self.list()?.into_iter().filter_map(text).collect())
    }

    /// Members with their scores, from `WITHSCORES`.
    pub(super) fn scored(&mut self) -> Result<Vec<(String, Time)>, StoreError> {
        let mut list = self.list()?.into_iter();
        let mut scored = Vec::with_capacity(list.len() / 2);
        while let (Some(member), Some(score)) = (list.next(), list.next()) {
            let score = number(&score).ok_or_else(|| strange(&format!("the score {score:?}")))?;
            // Show a member that is not UTF-8 as well as possible, so that it is not hidden.
            let member = match member {
                Value::BulkString(bytes) => String::from_utf8(bytes)
                    .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
                other => format!("{other:?}"),
            };
            scored.push((member, Time::from_ms(score)));
        }
        Ok(scored)
    }

    /// The score of the first member, if there is one.
    pub(super) fn first_time(&mut self) -> Result<Option<Time>, StoreError> {
        Ok(self.scored()?.first().map(|(_, at)| *at))
    }
}

fn strange(what: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "Redis answered {}",
        what.chars().take(120).collect::<String>()
    ))
}

/// A whole number. Scores come as text, large ones in scientific notation.
pub(super) fn number(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Int(number) => return Some(*number),
        Value::Double(number) => return Some(*number as i64),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::SimpleString(text) => text,
        _ => return None,
    };
    text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|number| number as i64))
}

/// Borrows a text.
pub(super) fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Takes a text.
pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Decodes an order from its record; `None` without a record.
pub(super) fn order(id: &OrderId, value: &Value) -> Result<Option<Order>, Unreadable> {
    let wrong = || Unreadable { id: id.to_string(), what: "not a text".to_owned() };
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => {
            record::decode(id, std::str::from_utf8(bytes).map_err(|_| wrong())?).map(Some)
        }
        _ => Err(wrong()),
    }
}
