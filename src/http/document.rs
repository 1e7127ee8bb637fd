//! The OpenAPI document, generated from the routes and the wire types so that it cannot differ from
//! them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, Paths};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, OpenApi, Ref, RefOr, Required, Response as Described, ResponseBuilder,
    Schema,
};

use super::Api;
use super::problem::Problem;
use crate::access::Role;
use crate::wire::event::EventView;
use crate::wire::schema::{ActionText, EventIdText, OrderIdText, ViewWord};

/// Name of the security scheme.
const TOKEN: &str = "token";

/// The document without its routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "autoreceive",
        description = "Closes e-commerce orders on time: after an order is paid and the buyer was \
            silent for the agreed time, it becomes RECEIVED once, and the shop is told.\n\n\
            Every command is **safe to repeat**: a repeat changes nothing and returns the order. \
            Times are RFC 3339; responses use UTC with milliseconds. Lengths of time are texts \
            such as `24h` or `7d`; `1d` is always 24 hours. Amounts are whole numbers in minor \
            units: 59000 KRW is ₩59,000, 1999 EUR is €19.99. Errors are \
            `application/problem+json` (RFC 9457): programs can rely on `code`; `title` is for \
            people and may change.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact(),
    ),
    components(schemas(Problem, EventView, OrderIdText, ViewWord, ActionText, EventIdText)),
    tags(
        (name = "commands", description = "Commands to orders."),
        (name = "orders", description = "One order, and lists of orders."),
        (name = "actions", description = "Outboxes of actions, and dead letters."),
        (name = "operations", description = "Statistics, health and this document."),
    ),
)]
struct EmptyDocument;

/// The whole document, with the paths and schemas of `routes`.
pub fn assemble(routes: OpenApi) -> OpenApi {
    let mut document = EmptyDocument::openapi();
    document.merge(routes);
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "A token with the role `read`, `write` or `operate`; each role includes the ones before \
         it. `autoreceive token new` creates one. A service without tokens accepts every request, \
         and listens only on a loopback address.",
    ));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
    document
}

/// Completes the operations of a route: its role, whether its body is required, the errors that all
/// routes of its kind can return, and the schema of its errors.
pub fn complete(schemas: &[(String, RefOr<Schema>)], paths: &mut Paths, role: Option<Role>) {
    for (path, item) in &mut paths.paths {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            describe_role(operation, role);
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                // If no field is required, an empty body means an empty object.
                body.required = Some(if needs_fields(body, schemas) {
                    Required::True
                } else {
                    Required::False
                });
            }
            for (status, description) in common_errors(path, operation, role.is_some()) {
                add_error(operation, status, description);
            }
            add_problem_schema(operation);
        }
    }
}

fn needs_fields(body: &RequestBody, schemas: &[(String, RefOr<Schema>)]) -> bool {
    let named = |content: &RefOr<Content>| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(named)), .. }) => {
            named.ref_location.rsplit('/').next().map(str::to_owned)
        }
        _ => None,
    };
    let names: Vec<String> = body.content.values().filter_map(named).collect();
    let required = |schema: &RefOr<Schema>| match schema {
        RefOr::T(Schema::Object(object)) => !object.required.is_empty(),
        _ => false,
    };
    schemas.iter().any(|(name, schema)| names.contains(name) && required(schema))
}

fn describe_role(operation: &mut Operation, role: Option<Role>) {
    let needs = role.map_or("Needs no token.".to_owned(), |role| {
        format!("Needs a token with the role `{}`.", role.as_str())
    });
    let said = operation.description.take().map(|text| format!("{text}\n\n")).unwrap_or_default();
    operation.description = Some(format!("{said}{needs}"));
    operation.security = Some(
        role.map(|role| SecurityRequirement::new(TOKEN, [role.as_str()])).into_iter().collect(),
    );
}

/// An error response: its status and its description.
type ErrorText = (&'static str, &'static str);

/// Routes of one action.
const ACTION: [ErrorText; 1] = [("404", "`action_not_found`: no action has or had this name")];
/// Routes of one command.
const COMMAND: [ErrorText; 2] = [
    ("409", "`adopted`: the order follows the shop's keys"),
    (
        "422",
        "`invalid`: a field has an invalid value; `at_in_future`: a time is more than 5 s ahead",
    ),
];
/// Routes with a body.
const BODY: [ErrorText; 5] = [
    (
        "400",
        "`malformed`: the body is not JSON, or a field is unknown, repeated, missing or of the \
            wrong type",
    ),
    ("403", "`foreign_page`: a web page of another site sent the request"),
    ("408", "`too_slow`: the body did not arrive in time; nothing was done"),
    ("413", "`too_large`: the body is too long"),
    ("415", "`unsupported_media_type`: the content-type is not the documented one"),
];
/// Routes that need a token.
const TOKENS: [ErrorText; 3] = [
    ("401", "`unauthorized`: the request has no valid token"),
    (
        "403",
        "`role_too_small`: the token's role does not permit this; `foreign_host`: the service has \
            no tokens, and the request's host is not this machine",
    ),
    (
        "429",
        "`too_many_failures`: this address sent too many requests without a valid token; \
            try again after Retry-After",
    ),
];
/// Routes that use the engine: the same as those that need a token.
const ENGINE: [ErrorText; 2] = [
    ("500", "`internal`: an error in this service; `unreadable`: a stored order cannot be read"),
    (
        "503",
        "`overloaded`, `stopping`: nothing was done; `store_unavailable`, `timed_out`: the command \
            may or may not have been applied. Repeating is always safe; wait for Retry-After",
    ),
];

/// The errors that follow from the kind of a route.
fn common_errors(path: &str, operation: &Operation, needs_token: bool) -> Vec<ErrorText> {
    let mut errors = Vec::new();
    if path.starts_with("/v1/actions/{name}/") {
        errors.extend(ACTION);
    }
    if is_single_command(operation) {
        errors.extend(COMMAND);
    }
    if operation.request_body.is_some() {
        errors.extend(BODY);
    }
    if needs_token {
        errors.extend(TOKENS);
        errors.extend(ENGINE);
    }
    errors
}

/// True for a route of the tag `commands`, apart from the stream of lines.
fn is_single_command(operation: &Operation) -> bool {
    let is_command = operation.tags.iter().flatten().any(|tag| tag == "commands");
    let takes_json = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.contains_key("application/json"),
        _ => false,
    };
    is_command && takes_json
}

/// Adds an error; if the operation lists the same status itself, its text comes first.
fn add_error(operation: &mut Operation, status: &str, description: &str) {
    let known = operation
        .responses
        .responses
        .entry(status.to_owned())
        .or_insert_with(|| RefOr::T(Described::default()));
    if let RefOr::T(response) = known {
        let before = if response.description.is_empty() {
            String::new()
        } else {
            format!("{}; ", response.description)
        };
        response.description = format!("{before}{description}");
    }
}

/// Every error response has a problem as its body.
fn add_problem_schema(operation: &mut Operation) {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let body = ResponseBuilder::new().content("application/problem+json", problem).build();
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
        {
            response.content = body.content.clone();
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses(
    (status = 200, description = "The OpenAPI document.", body = serde_json::Value,
        content_type = "application/json"),
))]
pub(super) async fn openapi(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response()
}
