//! What is said when something is wrong: RFC 9457 problem details. The one place that gives engine
//! results a status code.

use std::borrow::Cow;

use autoreceive_domain::decide::Code;
use autoreceive_domain::{Rejection, UnknownPolicy};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::TryAcquireError;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::auth::WINDOW_SECONDS;
use crate::access::Role;
use crate::engine::StoreError;
use crate::engine::SubmitError;
use crate::wire::line::LineError;
use crate::wire::{self, InputError};

/// Why a request was not carried out, with the status code of the answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    said: wire::Problem,
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        wire::Problem::schema()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        wire::Problem::schemas(schemas);
    }
}

const REPEAT: &str = "It is not known whether the command was carried out. Repeating it is safe: \
    nothing happens twice.";
const HOW_TO: &str = "Send it as `Authorization: Bearer ar_…`; the command line takes it from the \
    environment variable AUTORECEIVE_TOKEN.";
const AGAIN: &str = "Nothing was done. Try again in a moment.";
const LATER: &str = "Try again in a moment.";
const ENCODED: &str = "An order's id is percent-encoded in the path: a slash in it is written %2F.";

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: impl Into<String>) -> Problem {
        let said = wire::Problem {
            r#type: "about:blank".into(),
            code: code.into(),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            field: None,
            order_status: None,
            allowed: None,
        };
        Problem { status, said }
    }

    /// Adds what to do about it.
    fn with_detail(mut self, detail: &'static str) -> Problem {
        self.said.detail = Some(detail.into());
        self
    }

    /// The same as the error of a line.
    pub fn of_line(self) -> LineError {
        let wire::Problem { code, title, field, allowed, .. } = self.said;
        LineError { code, title, field, allowed }
    }

    /// There is nothing of that name.
    pub fn not_found(title: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", title)
    }

    /// The path is none of a command: its last word is unknown.
    pub fn unknown_command(wrong: &InputError) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "unknown_command", wrong.to_string())
            .with_detail(ENCODED)
    }

    /// There is nothing at this path below the orders.
    pub fn no_order_path(title: impl Into<String>) -> Problem {
        Problem::not_found(title).with_detail(ENCODED)
    }

    /// There is no such order.
    pub fn no_order(id: &autoreceive_domain::OrderId) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            Code::OrderNotFound.as_str(),
            format!("there is no order {id}"),
        )
    }

    /// No action of that name is configured, or ever had entries.
    pub fn no_action(name: &str) -> Problem {
        let name: String = name.chars().take(40).collect();
        Problem::new(
            StatusCode::NOT_FOUND,
            "action_not_found",
            format!("there is no action {name}"),
        )
    }

    /// What is asked makes sense only for an action that the answering worker is configured with.
    pub fn action_not_configured(name: &str) -> Problem {
        let title = format!(
            "the action {name} is not configured here, so nothing is known of the events that it \
                is given"
        );
        Problem::new(StatusCode::CONFLICT, "action_not_configured", title)
    }

    /// What is asked would take the entries of an action that is at work.
    pub fn action_configured(name: &str) -> Problem {
        let title = format!(
            "the action {name} is configured; take it out of the configuration of every worker \
                first"
        );
        Problem::new(StatusCode::CONFLICT, "action_configured", title)
    }

    /// The action has no dead letter of that event.
    pub fn no_dead_letter(action: &str, event: &str) -> Problem {
        let event: String = event.chars().take(200).collect();
        Problem::new(
            StatusCode::NOT_FOUND,
            "dead_letter_not_found",
            format!("{action} has no dead letter {event}"),
        )
    }

    /// The path is known, but not with this method.
    pub fn method_not_allowed(title: impl Into<String>) -> Problem {
        let detail = "Read with GET, change with POST.";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", title)
            .with_detail(detail)
    }

    /// It does not look like what it should be.
    pub fn malformed(title: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", title)
    }

    /// No valid token came with it. The same is said whatever was asked for, and whatever came in
    /// the token's place.
    pub fn unauthorized() -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "this needs a valid token")
            .with_detail(HOW_TO)
    }

    /// The token does not permit it.
    pub fn role_too_small(needed: Role, has: Role) -> Problem {
        let title = format!(
            "this needs a token with the role {}; the one that was sent has the role {}",
            needed.as_str(),
            has.as_str()
        );
        Problem::new(StatusCode::FORBIDDEN, "role_too_small", title)
    }

    /// Too many requests without a valid token came from its address.
    pub fn too_many_failures() -> Problem {
        let title = "too many requests without a valid token came from this address";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", title).with_detail(AGAIN)
    }

    /// It comes from another site's page.
    pub fn foreign_page() -> Problem {
        Problem::new(
            StatusCode::FORBIDDEN,
            "foreign_page",
            "web pages of other sites cannot change anything here",
        )
    }

    /// It names a host that is not this machine.
    pub fn foreign_host() -> Problem {
        let title = "without tokens this service answers only to localhost and loopback addresses";
        let detail = "Ask for http://localhost or http://127.0.0.1 with its port, or configure \
            tokens (`autoreceive token new`).";
        Problem::new(StatusCode::FORBIDDEN, "foreign_host", title).with_detail(detail)
    }

    /// The body is of another type.
    pub fn wrong_type(expected: &str) -> Problem {
        let title = format!(
            "the content-type must be {expected}: send the header `content-type: {expected}`"
        );
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", title)
    }

    /// The body is too long.
    pub fn too_large(most: usize) -> Problem {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is longer than {most} bytes"),
        )
    }

    /// The body came too slowly.
    pub fn too_slow() -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the request did not come in time")
            .with_detail(AGAIN)
    }

    /// No answer was found in time.
    pub fn timed_out() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "there was no answer in time")
            .with_detail(REPEAT)
    }

    /// The same about a question, which carries nothing out.
    pub fn of_question(self) -> Problem {
        if self.said.detail.as_deref() == Some(REPEAT) { self.with_detail(LATER) } else { self }
    }

    /// A mistake of this program's.
    pub fn internal() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this service made a mistake; its log says more",
        )
    }
}

impl From<InputError> for Problem {
    fn from(wrong: InputError) -> Problem {
        let status = match wrong {
            InputError::Form { .. } => StatusCode::BAD_REQUEST,
            InputError::Value { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut problem = Problem::new(status, wrong.code(), wrong.to_string());
        problem.said.field = wrong.field().map(str::to_owned);
        problem
    }
}

impl From<UnknownPolicy> for Problem {
    fn from(unknown: UnknownPolicy) -> Problem {
        InputError::value("policy", unknown).into()
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Problem {
        let status = match rejection.code {
            Code::OrderNotFound => StatusCode::NOT_FOUND,
            Code::AtInFuture => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::CONFLICT,
        };
        let allowed: Vec<_> =
            rejection.allowed.into_iter().map(|verb| Cow::from(verb.as_str())).collect();
        let mut problem = Problem::new(status, rejection.code.as_str(), rejection.title);
        problem.said.order_status = rejection.status.map(|status| status.as_str().into());
        problem.said.allowed = (!allowed.is_empty()).then_some(allowed);
        problem
    }
}

/// The store has not been opened yet, so there is nobody to carry anything out.
#[derive(Debug)]
pub struct NoStoreYet;

impl From<NoStoreYet> for Problem {
    fn from(_: NoStoreYet) -> Problem {
        let title = "the store is away; this service waits for it";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", title).with_detail(AGAIN)
    }
}

impl From<TryAcquireError> for Problem {
    /// More is asked at the same time than there is room for.
    fn from(_: TryAcquireError) -> Problem {
        SubmitError::Overloaded.into()
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Problem {
        let unavailable = |code, detail| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string())
                .with_detail(detail)
        };
        match &error {
            SubmitError::Overloaded => unavailable("overloaded", AGAIN),
            SubmitError::Stopping => unavailable("stopping", AGAIN),
            SubmitError::Store(why) => store_unavailable(why).with_detail(REPEAT),
            SubmitError::Unreadable(_) => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", error.to_string())
            }
            _ => Problem::internal(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match &error {
            StoreError::Unavailable(why) => store_unavailable(why),
            StoreError::Clock(why) => InputError::value("advance", why).into(),
            StoreError::WrongCursor(_) => {
                InputError::value("cursor", "is none that a page of this view gave out").into()
            }
            _ => Problem::internal(),
        }
    }
}

/// The reason stays in the log: it may name hosts and paths that are nobody's business.
fn store_unavailable(why: &str) -> Problem {
    tracing::debug!(why, "a request was not answered: the store is unavailable");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the store does not answer")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self.said)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(WINDOW_SECONDS))
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            _ => None,
        };
        response
    }
}
