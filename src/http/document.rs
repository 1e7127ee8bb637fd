//! The OpenAPI document: made from the routes and the wire types, so that it cannot say anything
//! else than they do.

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

/// What the security scheme is called in the document.
const TOKEN: &str = "token";

/// The frame that the routes are put into.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "autoreceive",
        description = "Closes e-commerce orders on time: placed, paid, silent for the agreed time, RECEIVED once, and the shop told.\n\n\
            Every command is **safe to repeat**: a repeat is recognised by its mark and answered \
            with the order as it is. Times are \
            RFC 3339; out they go in UTC with milliseconds. Lengths of time are texts such as \
            `24h` or `7d` and never calendar \
            arithmetic. Amounts are whole numbers in minor units: 59000 KRW is ₩59,000, 1999 EUR \
            is €19.99. Errors are \
            `application/problem+json` (RFC 9457); their `code` is for programs and stays, their \
            `title` is for people and may change.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact(),
    ),
    components(schemas(Problem, EventView, OrderIdText, ViewWord, ActionText, EventIdText)),
    tags(
        (name = "commands", description = "What happens to orders."),
        (name = "orders", description = "Orders as they are."),
        (name = "actions", description = "What is done about events, and what could not be done."),
        (name = "operations", description = "Figures, health and this document."),
    ),
)]
struct Frame;

/// The document about the routes in `routes`.
pub fn assemble(routes: OpenApi) -> OpenApi {
    let mut document = Frame::openapi();
    document.merge(routes);
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "A token with one of the roles `read`, `write` and `operate`, each of which permits what those before it do. \
         `autoreceive token new` makes one. A service without any configured token accepts every \
         request and listens only on this machine.",
    ));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
    document
}

/// Adds what follows from a route's kind: the role it needs, and the errors that every route of its
/// kind can answer.
pub fn complete(schemas: &[(String, RefOr<Schema>)], paths: &mut Paths, role: Option<Role>) {
    for item in paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            demand(operation, role);
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                // Where no field is required, an empty body stands for an empty object.
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
    let required = |schema: &RefOr<Schema>| matches!(schema, RefOr::T(Schema::Object(object)) if !object.required.is_empty());
    schemas.iter().any(|(name, schema)| names.contains(name) && required(schema))
}

fn demand(operation: &mut Operation, role: Option<Role>) {
    let needs = role.map_or("Open to everybody.".to_owned(), |role| {
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
        "`malformed`: not of the documented form: no JSON, another type, an unknown, doubled or \
            missing field",
    ),
    ("403", "`foreign_page`: asked by a web page of another site"),
    ("408", "`too_slow`: the body did not come in time; nothing was done"),
    ("413", "`too_large`: the body is longer than allowed"),
    ("415", "`unsupported_media_type`: the content-type is another than documented"),
];
const GUARDED: [(&str, &str); 3] = [
    ("401", "`unauthorized`: no valid token came with the request"),
    (
        "403",
        "`role_too_small`: the token's role does not permit it; `foreign_host`: there are no tokens, and another host than this machine \
         was asked for",
    ),
    (
        "429",
        "`too_many_failures`: too many requests without a valid token came from this address; \
            Retry-After says when to try again",
    ),
];
const ENGINE: [(&str, &str); 2] = [
    (
        "500",
        "`internal`, `unreadable`: a mistake of this service, or a stored order that it cannot \
            read",
    ),
    (
        "503",
        "`overloaded`, `stopping`: nothing was done. `store_unavailable`, `timed_out`: it is not known whether something was done. All are \
         safe to repeat; Retry-After says when",
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

/// Adds an error to those that the operation names itself, under the same status.
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
    (status = 200, description = "The OpenAPI document.", body = serde_json::Value, content_type = "application/json"),
))]
pub(super) async fn openapi(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response()
}
