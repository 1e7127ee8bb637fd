//! One line of a bulk request, and its answer.

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

/// The fields of a line that do not belong to the command.
const HEAD: [&str; 2] = ["order_id", "command"];

#[derive(Deserialize)]
struct LineHead {
    order_id: String,
    command: String,
}

/// One line of a bulk request: these two fields and the fields of the command, named as in the
/// command's own route.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"order_id": "A-1", "command": "cancel", "reason": "out of stock"}))
)]
pub struct CommandLine {
    /// The order's id.
    #[cfg_attr(feature = "openapi", schema(value_type = OrderIdText))]
    pub order_id: String,
    /// The command.
    #[cfg_attr(feature = "openapi", schema(value_type = VerbWord))]
    pub command: String,
}

/// A line that cannot be read, with the order it names, if that can be read.
#[derive(Debug)]
pub struct InvalidLine {
    /// The order that the line names.
    pub order_id: Option<OrderId>,
    /// The error.
    pub wrong: InputError,
}

/// Reads a line: `{"order_id":"A-1","command":"pay",…the command's fields}`.
///
/// # Errors
/// It is not of this form, or a value is not valid.
pub fn read_line(json: &[u8]) -> Result<(OrderId, Command), InvalidLine> {
    let without_order = |wrong| InvalidLine { order_id: None, wrong };
    let head: LineHead = read(json, &[]).map_err(without_order)?;
    let id = read_order_id(&head.order_id).map_err(without_order)?;
    match read_verb(&head.command).and_then(|verb| read_command(verb, json, &HEAD)) {
        Ok(command) => Ok((id, command)),
        Err(wrong) => Err(InvalidLine { order_id: Some(id), wrong }),
    }
}

/// The answer to one line of a bulk request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = LineAnswer))]
pub struct LineAnswer {
    /// The line's number, from 1. Blank lines are counted.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub line: u64,
    /// The order that the line names; null if that cannot be read.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<OrderIdText>, required = true))]
    pub order_id: Option<OrderId>,
    /// The result.
    pub result: LineResult,
    /// The order's current status, if the order exists.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[cfg_attr(feature = "openapi", schema(value_type = StatusWord, required = false))]
    pub status: Option<Status>,
    /// The order's current version, if the order exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 2))]
    pub version: Option<u64>,
    /// Why the command was not carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = LineError, required = false))]
    pub error: Option<LineError>,
}

/// The result of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum LineResult {
    /// The command changed the order.
    Changed,
    /// The command was a repeat: it was applied before.
    Unchanged,
    /// The order does not permit the command.
    Rejected,
    /// The line is not a valid command.
    Invalid,
    /// The result is unknown: the command may have been carried out. Repeating it is safe.
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

/// Why the command of a line was not carried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LineError {
    /// The machine-readable reason.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "not_payable"))]
    pub code: Cow<'static, str>,
    /// The reason in words.
    #[cfg_attr(feature = "openapi", schema(example = "order A-1 is CANCELLED and cannot be paid"))]
    pub title: String,
    /// The field with the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "buyer_id"))]
    pub field: Option<String>,
    /// The commands that the order permits now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<VerbWord>, required = false))]
    pub allowed: Option<Vec<Cow<'static, str>>>,
}

impl LineError {
    /// The reason in words, and the permitted commands.
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
    fn the_fields_of_a_line_can_have_any_order() {
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
    fn an_invalid_line_names_its_order_if_that_can_be_read() {
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
