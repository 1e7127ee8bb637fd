//! Dead letters: as they go out, and which of them are to be replayed or discarded.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::event::{EventView, event_json};
use super::read::{Wrong, read};
use super::schema::{EventIdText, EventWord, InstantText, LengthText, OrderIdText};
use super::time::Instant;
use crate::engine::{LetterFilter, Resolved};
use crate::store::{DeadLetter, DeadPage};

/// The most ids in one request.
pub const MAX_IDS: usize = 200;
/// The longest error text that is searched for, in bytes; longer ones are not kept.
const MAX_ERROR_BYTES: usize = 300;

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetters)]
pub struct LettersView<'a> {
    /// The store's time.
    #[schema(value_type = InstantText)]
    pub now: Instant,
    /// The dead letters, those that were given up first first.
    pub items: Vec<LetterView<'a>>,
    /// What to ask the next page with; left out on the last one. With a filter a page can have few items, or none, and yet
    /// a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1795392000000.A-1:3")]
    pub cursor: Option<&'a str>,
}

/// A dead letter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct LetterView<'a> {
    /// The event's id.
    #[schema(value_type = EventIdText)]
    pub event_id: &'a str,
    /// When it was given up.
    #[schema(value_type = InstantText)]
    pub died_at: Instant,
    /// What happened, and how its attempts went; none where it cannot be read.
    #[serde(flatten)]
    pub content: Option<LetterContent<'a>>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "the entry cannot be read")]
    pub unreadable: Option<String>,
    /// The event as it is sent; only where one dead letter was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = EventView, required = false)]
    pub event: Option<Box<RawValue>>,
}

/// What a dead letter holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterContent)]
pub struct LetterContent<'a> {
    /// What happened.
    #[schema(value_type = EventWord, required = false)]
    pub r#type: &'static str,
    /// To which order.
    #[schema(value_type = OrderIdText, required = false)]
    pub order_id: &'a str,
    /// The order's version.
    #[schema(required = false, example = 3)]
    pub version: u64,
    /// How many attempts failed since it was stored, or last replayed.
    #[schema(required = false, example = 14)]
    pub attempts: u32,
    /// When the first of them was made, or it was replayed.
    #[schema(value_type = InstantText, required = false)]
    pub first_at: Instant,
    /// The last errors, the latest last.
    #[schema(required = false)]
    pub errors: Vec<LetterError<'a>>,
}

/// An attempt's error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptError)]
pub struct LetterError<'a> {
    /// When.
    #[schema(value_type = InstantText)]
    pub at: Instant,
    /// What.
    #[schema(example = "503 Service Unavailable")]
    pub error: &'a str,
}

/// What became of dead letters, as it goes out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Resolved)]
pub struct ResolvedView<'a> {
    /// How many were found.
    #[schema(example = 3)]
    pub matched: u64,
    /// How many of them were replayed or discarded; 0 in a dry run.
    #[schema(example = 3)]
    pub done: u64,
    /// How many of them cannot be read; they can be discarded, but not replayed.
    #[schema(example = 0)]
    pub unreadable: u64,
    /// There is more: send the request again with this cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1795392000000.A-1:3")]
    pub cursor: Option<&'a str>,
}

impl<'a> From<&'a DeadLetter> for LetterView<'a> {
    fn from(letter: &'a DeadLetter) -> LetterView<'a> {
        let content = letter.content.as_ref().ok().map(|(event, history)| LetterContent {
            r#type: event.kind().as_str(),
            order_id: event.0.id.as_str(),
            version: event.0.version,
            attempts: history.attempts,
            first_at: Instant(history.first_at),
            errors: history.errors.iter().map(|(at, error)| LetterError { at: Instant(*at), error }).collect(),
        });
        let unreadable = letter.content.as_ref().err().map(ToString::to_string);
        LetterView { event_id: &letter.letter.id, died_at: Instant(letter.died_at), content, unreadable, event: None }
    }
}

impl<'a> LetterView<'a> {
    /// The same with the event as it is sent.
    #[must_use]
    pub fn with_event(letter: &'a DeadLetter) -> LetterView<'a> {
        let event = letter.content.as_ref().ok().and_then(|(event, _)| RawValue::from_string(event_json(event)).ok());
        LetterView { event, ..LetterView::from(letter) }
    }
}

impl<'a> From<&'a DeadPage> for LettersView<'a> {
    fn from(page: &'a DeadPage) -> LettersView<'a> {
        let items = page.letters.iter().map(LetterView::from).collect();
        LettersView { now: Instant(page.now), items, cursor: page.cursor.as_deref() }
    }
}

impl<'a> From<&'a Resolved> for ResolvedView<'a> {
    fn from(resolved: &'a Resolved) -> ResolvedView<'a> {
        let Resolved { matched, done, unreadable, cursor } = resolved;
        ResolvedView { matched: *matched, done: *done, unreadable: *unreadable, cursor: cursor.as_deref() }
    }
}

/// Which dead letters are meant: `ids`, or `all`, or a filter of `older_than` and `error`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichFields {
    /// Ids of events, at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<EventIdText>>, min_items = 1, max_items = 200)]
    pub ids: Option<Vec<String>>,
    /// Every one: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub all: Option<bool>,
    /// Those that were given up at least so long ago: `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LengthText>)]
    pub older_than: Option<String>,
    /// Those whose last error has this text in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 300, example = "503")]
    pub error: Option<String>,
    /// Only count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub dry_run: Option<bool>,
    /// Go on where the last answer said; not with `ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1795392000000.A-1:3")]
    pub cursor: Option<String>,
}

/// Which dead letters are meant, checked.
#[derive(Debug, PartialEq)]
pub enum Which {
    /// Those of these events.
    Ids(Vec<String>),
    /// Those that fit.
    Matching(LetterFilter, Option<String>),
}

/// Reads which dead letters are meant, and whether they are only to be counted. Nothing said is not all: that would be too
/// easily said by mistake.
///
/// # Errors
/// Where it is not of the form of [`WhichFields`], says nothing, or says two things.
pub fn read_which(json: &[u8]) -> Result<(Which, bool), Wrong> {
    let fields: WhichFields = read(json, &[])?;
    let filter = read_filter(fields.older_than.as_deref(), fields.error.as_deref())?;
    let (all, filtered) = (fields.all == Some(true), filter != LetterFilter::default());
    let which = match (fields.ids, all, filtered) {
        (Some(ids), false, false) if fields.cursor.is_none() && (1..=MAX_IDS).contains(&ids.len()) => Which::Ids(ids),
        (Some(_), false, false) => return Err(Wrong::value("ids", format_args!("must be 1 to {MAX_IDS} event ids, without a cursor"))),
        (None, true, false) | (None, false, true) => Which::Matching(filter, fields.cursor),
        (None, false, false) => {
            let expected = "must be {\"ids\":[\"A-1:3\"]}, {\"all\":true}, or a filter such as {\"older_than\":\"24h\",\"error\":\"503\"}";
            return Err(Wrong::value("body", expected));
        }
        _ => return Err(Wrong::value("body", "names more than one of ids, all and a filter (older_than, error); one is expected")),
    };
    Ok((which, fields.dry_run == Some(true)))
}

/// Reads a filter.
///
/// # Errors
/// Where `older_than` is no length of time, or `error` is empty or longer than any that is kept.
pub fn read_filter(older_than: Option<&str>, error: Option<&str>) -> Result<LetterFilter, Wrong> {
    let span = |text: &str| text.parse().map_err(|wrong| Wrong::value("older_than", format_args!("is wrong: {wrong}")));
    let checked = |text: &str| match text.len() {
        1..=MAX_ERROR_BYTES => Ok(text.to_owned()),
        _ => Err(Wrong::value("error", format_args!("must be 1 to {MAX_ERROR_BYTES} bytes of an error's text"))),
    };
    Ok(LetterFilter { older_than: older_than.map(span).transpose()?, error: error.map(checked).transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_said_in_exactly_one_way() {
        let meant = |json: &str| read_which(json.as_bytes()).map_err(|wrong| wrong.code());
        assert_eq!(meant(r#"{"ids":["A-1:3"],"dry_run":true}"#), Ok((Which::Ids(vec!["A-1:3".to_owned()]), true)));
        assert_eq!(meant(r#"{"all":true,"cursor":"c"}"#), Ok((Which::Matching(LetterFilter::default(), Some("c".to_owned())), false)));
        let filter = LetterFilter { older_than: Some(autoreceive_domain::Span::from_hours(24)), error: Some("503".to_owned()) };
        assert_eq!(meant(r#"{"older_than":"24h","error":"503"}"#), Ok((Which::Matching(filter, None), false)));
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
        assert_eq!((meant(&many), meant(r#"{"al":true}"#), meant("[]")), (Err("invalid"), Err("malformed"), Err("malformed")));
    }
}
