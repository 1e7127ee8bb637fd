//! One command of many, as a line of JSON, and its answer.

use std::borrow::Cow;
use std::fmt;

use autoreceive_domain::{Command, OrderId, Status};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::command::{read_command, read_order_id, read_verb};
use crate::problem::explained;
use crate::read::{InputError, read};
#[cfg(feature = "openapi")]
use crate::schema::{OrderIdText, StatusWord, VerbWord};
use crate::text;

/// Which fields of a line are not the command's own.
const HEAD: [&str; 2] = ["order_id", "command"];

#[derive(Deserialize)]
struct Head {
    order_id: String,
    command: String,
}

/// A line: these two fields, and the command's own beside them, under the names that they have in
/// the command's route.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"order_id": "A-1", "command": "cancel", "reason": "out of stock"})))]
pub struct CommandLine {
    /// Which order.
    #[cfg_attr(feature = "openapi", schema(value_type = OrderIdText))]
    pub order_id: String,
    /// What happens to it.
    #[cfg_attr(feature = "openapi", schema(value_type = VerbWord))]
    pub command: String,
}

/// A line that cannot be read, and the order it names, if that much can be told.
#[derive(Debug)]
pub struct InvalidLine {
    /// Which order it names.
    pub order_id: Option<OrderId>,
    /// What is wrong.
    pub wrong: InputError,
}

/// Reads a line: `{"order_id":"A-1","command":"pay",…the command's fields}`.
///
/// # Errors
/// Where it is not that, or a field has a value that cannot be.
pub fn read_line(json: &[u8]) -> Result<(OrderId, Command), InvalidLine> {
    let nameless = |wrong| InvalidLine { order_id: None, wrong };
    let head: Head = read(json, &[]).map_err(nameless)?;
    let id = read_order_id(&head.order_id).map_err(nameless)?;
    match read_verb(&head.command).and_then(|verb| read_command(verb, json, &HEAD)) {
        Ok(command) => Ok((id, command)),
        Err(wrong) => Err(InvalidLine { order_id: Some(id), wrong }),
    }
}

/// The answer to a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = LineAnswer))]
pub struct LineAnswer {
    /// The line's number, from 1; blank lines count.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub line: u64,
    /// The order it names, if that much can be told.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<OrderIdText>, required = true))]
    pub order_id: Option<OrderId>,
    /// How it went.
    pub result: LineResult,
    /// Where the order stands now, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = StatusWord, required = false))]
    pub status: Option<Status>,
    /// The order's version now, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 2))]
    pub version: Option<u64>,
    /// Why it was not carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = LineError, required = false))]
    pub error: Option<LineError>,
}

/// How a line went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum LineResult {
    /// It changed the order.
    Changed,
    /// It had been carried out before.
    Unchanged,
    /// The order does not permit it.
    Rejected,
    /// It is no command.
    Invalid,
    /// It was not answered; it may or may not have been carried out, and is safe to repeat.
    Unavailable,
}

impl LineResult {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LineResult::Changed => "changed",
            LineResult::Unchanged => "unchanged",
            LineResult::Rejected => "rejected",
            LineResult::Invalid => "invalid",
            LineResult::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for LineResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a line was not carried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LineError {
    /// The reason, for programs.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "not_payable"))]
    pub code: Cow<'static, str>,
    /// The reason, for people.
    #[cfg_attr(feature = "openapi", schema(example = "order A-1 is CANCELLED and cannot be paid"))]
    pub title: String,
    /// The field with the mistake.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "buyer_id"))]
    pub field: Option<String>,
    /// The commands that could be carried out now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<VerbWord>, required = false))]
    pub allowed: Option<Vec<Cow<'static, str>>>,
}

impl LineError {
    /// The reason, for people, and what would be accepted.
    #[must_use]
    pub fn explained(&self) -> String {
        explained(&self.title, None, self.allowed.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Result<(OrderId, Command), InvalidLine> {
        read_line(json.as_bytes())
    }

    #[test]
    fn a_line_is_a_command_whatever_the_order_of_its_fields() {
        for json in [
            r#"{"order_id":"A-1","command":"release","id":"dispute"}"#,
            r#"{"id":"dispute","command":"release","order_id":"A-1"}"#,
        ] {
            let (id, command) = line(json).unwrap();
            assert_eq!(
                (id.as_str(), command),
                ("A-1", Command::Release { id: "dispute".parse().unwrap() })
            );
        }
    }

    #[test]
    fn a_wrong_line_names_its_order_where_it_can() {
        for (json, id, code, field) in [
            (r#"{"order_id":"A-1","command":"due"}"#, Some("A-1"), "invalid", Some("command")),
            (
                r#"{"order_id":"A-1","command":"pay","by":"buyer"}"#,
                Some("A-1"),
                "malformed",
                Some("by"),
            ),
            (
                r#"{"order_id":"A-1","command":"cancel","reason":""}"#,
                Some("A-1"),
                "invalid",
                Some("reason"),
            ),
            (r#"{"order_id":"","command":"pay"}"#, None, "invalid", Some("order_id")),
            (
                r#"{"order_id":"A-1","order_id":"A-2","command":"pay"}"#,
                None,
                "malformed",
                Some("order_id"),
            ),
            (r#"{"order_id":"A-1"}"#, None, "malformed", Some("command")),
            ("garbage", None, "malformed", None),
        ] {
            let error = line(json).unwrap_err();
            assert_eq!(
                (error.wrong.code(), error.wrong.field()),
                (code, field),
                "{json}: {}",
                error.wrong
            );
            assert_eq!(error.order_id.as_ref().map(OrderId::as_str), id, "{json}");
        }
    }
}
