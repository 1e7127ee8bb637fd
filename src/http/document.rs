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
            Times are RFC 3339; responses use UTC with milliseconds. Lengths of time are texts such \
            as `24h` or `7d`; `1d` is always 24 hours. Amounts are whole numbers in minor units: \
            59000 KRW is ₩59,000, 1999 EUR is €19.99. Errors are `application/problem+json` (RFC \
            9457): programs can rely on `code`; `title` is for people and may change.",
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
        "A token with the role `read`, `write` or `operate`; each role includes the ones before it. \
         `autoreceive token new` creates one. A service without tokens accepts every request, and \
         listens only on a loopback address.",
    ));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
    document
}

/// Completes the operations of a route: its role, whether its body is required, and the errors that
/// all routes of its kind can return.
pub fn complete(schemas: &[(String, RefOr<Schema>)], paths: &mut Paths, role: Option<Role>) {
    for item in paths.paths.values_mut() {
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
            let errors = common_errors(operation.request_body.is_some(), role.is_some());
            for (status, description) in errors {
                add_error(operation, status, description);
            }
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

const SENT: [(&str, &str); 5] = [
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
const GUARDED: [(&str, &str); 3] = [
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
const ENGINE: [(&str, &str); 2] = [
    (
        "500",
        "`internal`: an error in this service; `unreadable`: a stored order cannot be read",
    ),
    (
        "503",
        "`overloaded`, `stopping`: nothing was done; `store_unavailable`, `timed_out`: the command \
            may or may not have been applied. Repeating is always safe; wait for Retry-After",
    ),
];

fn common_errors(
    has_body: bool,
    guarded: bool,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let sent = SENT.into_iter().filter(move |_| has_body);
    let guarded = GUARDED.into_iter().chain(ENGINE).filter(move |_| guarded);
    sent.chain(guarded)
}

/// Adds an error; if the operation lists the same status itself, its text comes first.
fn add_error(operation: &mut Operation, status: &str, description: &str) {
    let known = operation
        .responses
        .responses
        .entry(status.to_owned())
        .or_insert_with(|| RefOr::T(error_response()));
    if let RefOr::T(response) = known {
        let before = if response.description.is_empty() {
            String::new()
        } else {
            format!("{}; ", response.description)
        };
        response.description = format!("{before}{description}");
    }
}

fn error_response() -> Described {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().content("application/problem+json", content).build()
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses(
    (status = 200, description = "The OpenAPI document.", body = serde_json::Value,
        content_type = "application/json"),
))]
pub(super) async fn openapi(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response()
}
