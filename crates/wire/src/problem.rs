//! Problem details for failed requests, as in RFC 9457.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::schema::{StatusWord, VerbWord};

/// Why a request failed, as in RFC 9457.
///
/// Codes and statuses are plain strings here, so that a client can read the problems of a newer
/// service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(ToSchema),
    schema(description = "Why a request failed, as in RFC 9457.")
)]
pub struct Problem {
    /// Always `about:blank`. See `code`.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = String, required = true, example = "about:blank")
    )]
    pub r#type: Cow<'static, str>,
    /// The machine-readable reason.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = String, required = true, example = "not_shippable")
    )]
    pub code: Cow<'static, str>,
    /// The reason in words.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "order A-1 is CANCELLED and cannot be shipped")
    )]
    pub title: String,
    /// The HTTP status code.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, example = 409))]
    pub status: u16,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            value_type = Option<String>,
            nullable = false,
            example = "Nothing was done. Try again in a moment."
        )
    )]
    pub detail: Option<Cow<'static, str>>,
    /// The field with the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "buyer_id"))]
    pub field: Option<String>,
    /// The order's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = StatusWord, required = false))]
    pub order_status: Option<Cow<'static, str>>,
    /// The commands that the order permits now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<VerbWord>, required = false))]
    pub allowed: Option<Vec<Cow<'static, str>>>,
}

impl Problem {
    /// The title, what to do next, and the permitted commands, as one text.
    #[must_use]
    pub fn explained(&self) -> String {
        explained(&self.title, self.detail.as_deref(), self.allowed.as_deref())
    }
}

/// Joins title, detail and permitted commands into one text.
pub(crate) fn explained(
    title: &str,
    detail: Option<&str>,
    allowed: Option<&[Cow<'static, str>]>,
) -> String {
    let mut said = title.to_owned();
    if let Some(detail) = detail {
        said = format!("{said}. {detail}");
    }
    match allowed {
        Some(allowed) if !allowed.is_empty() => {
            format!("{said} (possible now: {})", allowed.join(", "))
        }
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_a_newer_service_is_read_if_it_has_a_title() {
        let read = |json: &str| serde_json::from_str::<Problem>(json);
        let problem = read(r#"{"title":"no","detail":"Wait.","allowed":["pay","fly"]}"#).unwrap();
        assert_eq!(problem.explained(), "no. Wait. (possible now: pay, fly)");
        assert_eq!(read(r#"{"title":"no","new":1}"#).unwrap().explained(), "no");
        assert!(read("{}").is_err());
    }
}
