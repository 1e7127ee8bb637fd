//! Errors as RFC 9457 problem details. This is the only place that gives engine results a status
//! code.

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

/// The error of a request, with the status code of the response.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    body: wire::Problem,
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

const REPEAT: &str = "The command may or may not have been applied. Repeating it is safe: a repeat \
    changes nothing twice.";
const HOW_TO_SEND_A_TOKEN: &str = "Send it as `Authorization: Bearer ar_…`; the command line reads \
    it from the environment variable AUTORECEIVE_TOKEN.";
const NOTHING_DONE: &str = "Nothing was done. Try again in a moment.";
const TRY_AGAIN: &str = "Try again in a moment.";
const ENCODE_IDS: &str = "Percent-encode the order id in the path: write %2F for a slash in it.";
const CONFIGURE_FIRST: &str = "Add the action to the configuration of every worker, restart them, \
    and send the request again.";
const UNCONFIGURE_FIRST: &str = "Remove the action from the configuration of every worker, restart \
    them, and send the request again.";

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: impl Into<String>) -> Problem {
        let body = wire::Problem {
            r#type: "about:blank".into(),
            code: code.into(),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            field: None,
            order_status: None,
            allowed: None,
        };
        Problem { status, body }
    }

    /// Adds what the reader can do.
    fn with_detail(mut self, detail: &'static str) -> Problem {
        self.body.detail = Some(detail.into());
        self
    }

    /// The same error for a line of a stream.
    pub fn of_line(self) -> LineError {
        let wire::Problem { code, title, field, allowed, .. } = self.body;
        LineError { code, title, field, allowed }
    }

    /// Something with the requested name does not exist.
    pub fn not_found(title: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", title)
    }

    /// The last word of the path is not a command.
    pub fn unknown_command(wrong: &InputError) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "unknown_command", wrong.to_string())
            .with_detail(ENCODE_IDS)
    }

    /// There is no such path below `/v1/orders/`.
    pub fn no_order_path(title: impl Into<String>) -> Problem {
        Problem::not_found(title).with_detail(ENCODE_IDS)
    }

    /// There is no order with this id.
    pub fn no_order(id: &autoreceive_domain::OrderId) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            Code::OrderNotFound.as_str(),
            format!("there is no order {id}"),
        )
    }

    /// No action has this name, in the configuration or in the store.
    pub fn no_action(name: &str) -> Problem {
        let name: String = name.chars().take(40).collect();
        Problem::new(
            StatusCode::NOT_FOUND,
            "action_not_found",
            format!("there is no action {name}"),
        )
        .with_detail("`autoreceive actions list` shows all actions.")
    }

    /// The answering worker does not have the action in its configuration.
    pub fn action_not_configured(name: &str) -> Problem {
        let title = format!("action {name} is not configured on the worker that answered");
        Problem::new(StatusCode::CONFLICT, "action_not_configured", title)
            .with_detail(CONFIGURE_FIRST)
    }

    /// Only the entries of an action that is no longer configured can be moved or dropped.
    pub fn action_configured(name: &str) -> Problem {
        let title = format!("action {name} is configured; its entries cannot be moved or dropped");
        Problem::new(StatusCode::CONFLICT, "action_configured", title)
            .with_detail(UNCONFIGURE_FIRST)
    }

    /// The action has no dead letter of this event.
    pub fn no_dead_letter(action: &str, event: &str) -> Problem {
        let event: String = event.chars().take(200).collect();
        Problem::new(
            StatusCode::NOT_FOUND,
            "dead_letter_not_found",
            format!("{action} has no dead letter {event}"),
        )
    }

    /// The route exists, but not with this method.
    pub fn method_not_allowed(title: impl Into<String>) -> Problem {
        let detail = "Use GET to read and POST to change.";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", title)
            .with_detail(detail)
    }

    /// The request does not have the expected form.
    pub fn malformed(title: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", title)
    }

    /// The request has no valid token. The text is always the same, so that it reveals nothing
    /// about the path or the token.
    pub fn unauthorized() -> Problem {
        let title = "this request needs a valid token";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", title)
            .with_detail(HOW_TO_SEND_A_TOKEN)
    }

    /// The token's role does not permit the request.
    pub fn role_too_small(needed: Role, has: Role) -> Problem {
        let title = format!(
            "this request needs a token with the role {}; the token that was sent has the role {}",
            needed.as_str(),
            has.as_str()
        );
        Problem::new(StatusCode::FORBIDDEN, "role_too_small", title)
    }

    /// The client's address sent too many requests without a valid token.
    pub fn too_many_failures() -> Problem {
        let title = "this address sent too many requests without a valid token";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", title)
            .with_detail("Nothing was done. Correct the token, and try again after Retry-After.")
    }

    /// A web page of another site sent the request.
    pub fn foreign_page() -> Problem {
        Problem::new(
            StatusCode::FORBIDDEN,
            "foreign_page",
            "web pages of other sites cannot change anything here",
        )
        .with_detail("Call the API from your server, not from a page.")
    }

    /// The service has no tokens, and the request's host is not this machine.
    pub fn foreign_host() -> Problem {
        let title = "a service without tokens answers only to localhost and loopback addresses";
        let detail = "Use http://localhost or http://127.0.0.1 with the port, or configure tokens \
            (`autoreceive token new`).";
        Problem::new(StatusCode::FORBIDDEN, "foreign_host", title).with_detail(detail)
    }

    /// The body has the wrong content type.
    pub fn wrong_type(expected: &str) -> Problem {
        let title = format!("the request needs the header `content-type: {expected}`");
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", title)
    }

    /// The body is too long.
    pub fn too_large(most: usize) -> Problem {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is longer than {most} bytes"),
        )
        .with_detail("To send many commands, use POST /v1/commands with one command per line.")
    }

    /// The body did not arrive in time.
    pub fn too_slow() -> Problem {
        let title = "the request body did not arrive in time";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", title).with_detail(NOTHING_DONE)
    }

    /// The request was not answered in time.
    pub fn timed_out() -> Problem {
        let title = "the request was not answered in time";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", title).with_detail(REPEAT)
    }

    /// The same error for a request that only reads.
    pub fn of_read(self) -> Problem {
        if self.body.detail.as_deref() == Some(REPEAT) { self.with_detail(TRY_AGAIN) } else { self }
    }

    /// An error in this program.
    pub fn internal() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this service has an internal error; see its log",
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
        problem.body.field = wrong.field().map(str::to_owned);
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
        problem.body.order_status = rejection.status.map(|status| status.as_str().into());
        problem.body.allowed = (!allowed.is_empty()).then_some(allowed);
        problem
    }
}

/// The store is not open yet.
#[derive(Debug)]
pub struct NoStoreYet;

impl From<NoStoreYet> for Problem {
    fn from(_: NoStoreYet) -> Problem {
        let title = "the store is not available yet; the service is waiting for it";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", title)
            .with_detail(NOTHING_DONE)
    }
}

impl From<TryAcquireError> for Problem {
    /// The limit of concurrent requests is reached.
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
            SubmitError::Overloaded => unavailable("overloaded", NOTHING_DONE),
            SubmitError::Stopping => unavailable("stopping", NOTHING_DONE),
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
                InputError::value("cursor", "was not issued by this view").into()
            }
            _ => Problem::internal(),
        }
    }
}

/// The reason is only logged: it may contain host names and paths.
fn store_unavailable(why: &str) -> Problem {
    tracing::debug!(why, "request failed: the store is unavailable");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the store does not answer")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self.body)).into_response();
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
