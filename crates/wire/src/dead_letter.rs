//! Dead letters, and their selection for replay or discard.

use autoreceive_domain::{EventKind, OrderId, Span, Time};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::event::EventView;
use crate::read::{InputError, read};
#[cfg(feature = "openapi")]
use crate::schema::{EventIdText, EventWord, InstantText, LengthText, OrderIdText};
use crate::text;

/// The maximum number of ids in one request.
pub const MAX_IDS: usize = 200;
/// The longest error text to search for, in bytes. Longer texts are not kept.
const MAX_ERROR_BYTES: usize = 300;

/// A page of dead letters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = DeadLetters))]
pub struct DeadLetters {
    /// The store's time.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub now: Time,
    /// The dead letters, the oldest first.
    pub items: Vec<DeadLetterView>,
    /// The cursor for the next page; omitted on the last page. With a filter, a page can have few
    /// or no items and still have a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "1795392000000.A-1:3"))]
    pub cursor: Option<String>,
}

/// A dead letter: an event whose attempts were given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = DeadLetter))]
pub struct DeadLetterView {
    /// The event's id.
    #[cfg_attr(feature = "openapi", schema(value_type = EventIdText))]
    pub event_id: String,
    /// When it became a dead letter.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub died_at: Time,
    /// Its event and its attempts; missing if it cannot be read.
    #[serde(flatten)]
    pub content: Option<DeadLetterContent>,
    /// Why it cannot be read, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(nullable = false, example = "the entry cannot be read")
    )]
    pub unreadable: Option<String>,
    /// The event as it is sent. Only in the response for a single dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventView, required = false))]
    pub event: Option<EventView>,
}

/// The content of a dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = DeadLetterContent))]
pub struct DeadLetterContent {
    /// The event's type.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventWord, required = false))]
    pub r#type: EventKind,
    /// The order's id.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = OrderIdText, required = false))]
    pub order_id: OrderId,
    /// The order's version after the event.
    #[cfg_attr(feature = "openapi", schema(required = false, example = 3))]
    pub version: u64,
    /// Number of failed attempts since it was stored or last replayed.
    #[cfg_attr(feature = "openapi", schema(required = false, example = 14))]
    pub attempts: u32,
    /// When the first of these attempts was made, or when it was replayed.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub first_at: Time,
    /// The last errors, the most recent last.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub errors: Vec<AttemptError>,
}

/// The error of an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = AttemptError))]
pub struct AttemptError {
    /// When the attempt failed.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub at: Time,
    /// The error text.
    #[cfg_attr(feature = "openapi", schema(example = "503 Service Unavailable"))]
    pub error: String,
}

/// The result of one replay or discard step.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Resolved))]
pub struct ResolvedView {
    /// Number of dead letters that match.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub matched: u64,
    /// Number of dead letters replayed or discarded; 0 in a dry run.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub done: u64,
    /// Number of matching dead letters that cannot be read. They can be discarded but not replayed.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub unreadable: u64,
    /// Present if there is more: send the request again with this cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "1795392000000.A-1:3"))]
    pub cursor: Option<String>,
}

/// Selects dead letters: by `ids`, `all`, or a filter of `older_than` and `error`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WhichFields {
    /// Event ids, at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<Vec<EventIdText>>, min_items = 1, max_items = 200)
    )]
    pub ids: Option<Vec<String>>,
    /// `true` selects every dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub all: Option<bool>,
    /// Selects those that have been dead letters for at least this long: `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<LengthText>))]
    pub older_than: Option<String>,
    /// Selects those whose last error contains this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 300, example = "503"))]
    pub error: Option<String>,
    /// `true` only counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub dry_run: Option<bool>,
    /// The `cursor` of the previous response. Not allowed with `ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "1795392000000.A-1:3"))]
    pub cursor: Option<String>,
}

/// A filter on dead letters. An empty filter matches all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeadLetterFilter {
    /// Those that have been dead letters for at least this long.
    pub older_than: Option<Span>,
    /// Those whose last error contains this text.
    pub error: Option<String>,
}

/// A valid selection of dead letters.
#[derive(Debug, PartialEq)]
pub enum WhichDeadLetters {
    /// The dead letters with these event ids.
    Ids(Vec<String>),
    /// The dead letters that match the filter, from the cursor on.
    Matching(DeadLetterFilter, Option<String>),
}

/// Reads a selection of dead letters, and whether it is a dry run. An empty selection is an error,
/// not "all": that would be too easy to send by mistake.
///
/// # Errors
/// The JSON does not match [`WhichFields`], or selects in no way or in two ways.
pub fn read_which(json: &[u8]) -> Result<(WhichDeadLetters, bool), InputError> {
    let fields: WhichFields = read(json, &[])?;
    let filter = read_filter(fields.older_than.as_deref(), fields.error.as_deref())?;
    let (all, filtered) = (fields.all == Some(true), filter != DeadLetterFilter::default());
    let which = match (fields.ids, all, filtered) {
        (Some(ids), false, false)
            if fields.cursor.is_none() && (1..=MAX_IDS).contains(&ids.len()) =>
        {
            if let Some(id) = ids.iter().find(|id| !looks_like_event_id(id)) {
                let shown: String = id.chars().take(60).collect();
                let wrong = "is not an event id; expected one such as \"A-1:3\"";
                return Err(InputError::value("ids", format_args!("{shown:?} {wrong}")));
            }
            WhichDeadLetters::Ids(ids)
        }
        (Some(_), false, false) => {
            return Err(InputError::value(
                "ids",
                format_args!("must be 1 to {MAX_IDS} event ids, without a cursor"),
            ));
        }
        (None, true, false) | (None, false, true) => {
            WhichDeadLetters::Matching(filter, fields.cursor)
        }
        (None, false, false) => {
            let expected = "must be {\"ids\":[\"A-1:3\"]}, {\"all\":true}, or a filter such as \
                {\"older_than\":\"24h\",\"error\":\"503\"}";
            return Err(InputError::value("body", expected));
        }
        _ => {
            return Err(InputError::value(
                "body",
                "names more than one of ids, all and a filter (older_than, error); one is expected",
            ));
        }
    };
    Ok((which, fields.dry_run == Some(true)))
}

/// Whether a text has the form of an event id, as the API's schema describes it. An id of that form
/// that no event has selects nothing.
fn looks_like_event_id(text: &str) -> bool {
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"_%-".contains(&byte);
    text.rsplit_once(':').is_some_and(|(order, version)| {
        let is_version = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
        is_version && !order.is_empty() && order.bytes().all(is_encoded)
    })
}

/// Reads a filter.
///
/// # Errors
/// `older_than` is not a duration, or `error` is empty or longer than 300 bytes.
pub fn read_filter(
    older_than: Option<&str>,
    error: Option<&str>,
) -> Result<DeadLetterFilter, InputError> {
    let span = |text: &str| {
        text.parse()
            .map_err(|wrong| InputError::value("older_than", format_args!("is wrong: {wrong}")))
    };
    let checked = |text: &str| match text.len() {
        1..=MAX_ERROR_BYTES => Ok(text.to_owned()),
        _ => Err(InputError::value(
            "error",
            format_args!("must be 1 to {MAX_ERROR_BYTES} bytes of an error's text"),
        )),
    };
    Ok(DeadLetterFilter {
        older_than: older_than.map(span).transpose()?,
        error: error.map(checked).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_selected_in_exactly_one_way() {
        let meant = |json: &str| read_which(json.as_bytes()).map_err(|wrong| wrong.code());
        assert_eq!(
            meant(r#"{"ids":["A-1:3"],"dry_run":true}"#),
            Ok((WhichDeadLetters::Ids(vec!["A-1:3".to_owned()]), true))
        );
        assert_eq!(
            meant(r#"{"all":true,"cursor":"c"}"#),
            Ok((
                WhichDeadLetters::Matching(DeadLetterFilter::default(), Some("c".to_owned())),
                false
            ))
        );
        let filter = DeadLetterFilter {
            older_than: Some(autoreceive_domain::Span::from_hours(24)),
            error: Some("503".to_owned()),
        };
        assert_eq!(
            meant(r#"{"older_than":"24h","error":"503"}"#),
            Ok((WhichDeadLetters::Matching(filter, None), false))
        );
        for json in [
            "{}",
            r#"{"all":false}"#,
            r#"{"dry_run":true}"#,
            r#"{"cursor":"c"}"#,
            r#"{"ids":[]}"#,
            r#"{"ids":["A-1:3","0:0*"]}"#,
            r#"{"ids":["A-1"]}"#,
            r#"{"ids":[":3"]}"#,
            r#"{"ids":["a"],"cursor":"c"}"#,
            r#"{"ids":["a"],"all":true}"#,
            r#"{"all":true,"error":"x"}"#,
            r#"{"older_than":"soon"}"#,
            r#"{"error":""}"#,
        ] {
            assert_eq!(meant(json), Err("invalid"), "{json}");
        }
        let many = serde_json::json!({"ids": vec!["A-1:3"; MAX_IDS + 1]}).to_string();
        assert_eq!(
            (meant(&many), meant(r#"{"al":true}"#), meant("[]")),
            (Err("invalid"), Err("malformed"), Err("malformed"))
        );
    }
}
