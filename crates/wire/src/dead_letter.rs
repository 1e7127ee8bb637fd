//! Dead letters: as they go out, and which of them are to be replayed or discarded.

use autoreceive_domain::{EventKind, OrderId, Span, Time};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::event::EventView;
use crate::read::{InputError, read};
#[cfg(feature = "openapi")]
use crate::schema::{EventIdText, EventWord, InstantText, LengthText, OrderIdText};
use crate::text;

/// The most ids in one request.
pub const MAX_IDS: usize = 200;
/// The longest error text that is searched for, in bytes; longer ones are not kept.
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
    /// The dead letters, those that were given up first first.
    pub items: Vec<DeadLetterView>,
    /// What to ask the next page with; left out on the last one. With a filter a page can have few
    /// items, or none, and yet a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "1795392000000.A-1:3"))]
    pub cursor: Option<String>,
}

/// A dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = DeadLetter))]
pub struct DeadLetterView {
    /// The event's id.
    #[cfg_attr(feature = "openapi", schema(value_type = EventIdText))]
    pub event_id: String,
    /// When it was given up.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub died_at: Time,
    /// What happened, and how its attempts went; none where it cannot be read.
    #[serde(flatten)]
    pub content: Option<DeadLetterContent>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(nullable = false, example = "the entry cannot be read")
    )]
    pub unreadable: Option<String>,
    /// The event as it is sent; only where one dead letter was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventView, required = false))]
    pub event: Option<EventView>,
}

/// What a dead letter holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = DeadLetterContent))]
pub struct DeadLetterContent {
    /// What happened.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventWord, required = false))]
    pub r#type: EventKind,
    /// To which order.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = OrderIdText, required = false))]
    pub order_id: OrderId,
    /// The order's version.
    #[cfg_attr(feature = "openapi", schema(required = false, example = 3))]
    pub version: u64,
    /// How many attempts failed since it was stored, or last replayed.
    #[cfg_attr(feature = "openapi", schema(required = false, example = 14))]
    pub attempts: u32,
    /// When the first of them was made, or it was replayed.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText, required = false))]
    pub first_at: Time,
    /// The last errors, the latest last.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub errors: Vec<AttemptError>,
}

/// An attempt's error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = AttemptError))]
pub struct AttemptError {
    /// When.
    #[serde(with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = InstantText))]
    pub at: Time,
    /// What.
    #[cfg_attr(feature = "openapi", schema(example = "503 Service Unavailable"))]
    pub error: String,
}

/// What became of dead letters, as it goes out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Resolved))]
pub struct ResolvedView {
    /// How many were found.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub matched: u64,
    /// How many of them were replayed or discarded; 0 in a dry run.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub done: u64,
    /// How many of them cannot be read; they can be discarded, but not replayed.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub unreadable: u64,
    /// There is more: send the request again with this cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "1795392000000.A-1:3"))]
    pub cursor: Option<String>,
}

/// Which dead letters are meant: `ids`, or `all`, or a filter of `older_than` and `error`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WhichFields {
    /// Ids of events, at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<EventIdText>>, min_items = 1, max_items = 200))]
    pub ids: Option<Vec<String>>,
    /// Every one: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub all: Option<bool>,
    /// Those that were given up at least so long ago: `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<LengthText>))]
    pub older_than: Option<String>,
    /// Those whose last error has this text in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 300, example = "503"))]
    pub error: Option<String>,
    /// Only count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub dry_run: Option<bool>,
    /// Go on where the last answer said; not with `ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "1795392000000.A-1:3"))]
    pub cursor: Option<String>,
}

/// Conditions on dead letters; without one, all are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeadLetterFilter {
    /// Those that were given up at least so long ago.
    pub older_than: Option<Span>,
    /// Those whose last error has this text in it.
    pub error: Option<String>,
}

/// Which dead letters are meant, checked.
#[derive(Debug, PartialEq)]
pub enum WhichDeadLetters {
    /// Those of these events.
    Ids(Vec<String>),
    /// Those that fit, from where an earlier answer said.
    Matching(DeadLetterFilter, Option<String>),
}

/// Reads which dead letters are meant, and whether they are only to be counted. Nothing said is not
/// all: that would be too easily said by mistake.
///
/// # Errors
/// Where it is not of the form of [`WhichFields`], says nothing, or says two things.
pub fn read_which(json: &[u8]) -> Result<(WhichDeadLetters, bool), InputError> {
    let fields: WhichFields = read(json, &[])?;
    let filter = read_filter(fields.older_than.as_deref(), fields.error.as_deref())?;
    let (all, filtered) = (fields.all == Some(true), filter != DeadLetterFilter::default());
    let which = match (fields.ids, all, filtered) {
        (Some(ids), false, false)
            if fields.cursor.is_none() && (1..=MAX_IDS).contains(&ids.len()) =>
        {
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

/// Reads a filter.
///
/// # Errors
/// Where `older_than` is no length of time, or `error` is empty or longer than any that is kept.
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
    fn what_is_meant_is_said_in_exactly_one_way() {
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
            r#"{"ids":["a"],"cursor":"c"}"#,
            r#"{"ids":["a"],"all":true}"#,
            r#"{"all":true,"error":"x"}"#,
            r#"{"older_than":"soon"}"#,
            r#"{"error":""}"#,
        ] {
            assert_eq!(meant(json), Err("invalid"), "{json}");
        }
        let many = serde_json::json!({"ids": vec!["a"; MAX_IDS + 1]}).to_string();
        assert_eq!(
            (meant(&many), meant(r#"{"al":true}"#), meant("[]")),
            (Err("invalid"), Err("malformed"), Err("malformed"))
        );
    }
}
