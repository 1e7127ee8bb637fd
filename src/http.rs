//! The HTTP API of the engine.
//!
//! | part | does |
//! |---|---|
//! | [`routes`] | the table of routes, each with its role and its OpenAPI entry |
//! | [`commands`] | place and the other commands |
//! | [`orders`] | one order, and pages of orders |
//! | [`bulk`], [`lines`], [`idle_timeout`] | a stream of commands, one per line |
//! | [`operations`] | statistics and health |
//! | [`document`], [`page`] | the OpenAPI document, and its page |
//! | [`actions`], [`action_admin`] | outboxes and dead letters; enable, backfill, move, drop |
//! | [`convert`] | engine types as API types, and back |
//! | [`auth`] | tokens and roles |
//! | [`guard`], [`body`] | checks of every request: foreign web pages, size, time |
//! | [`problem`] | errors; the only place that gives engine results a status code |
//! | [`server`], [`write_timeout`], [`tls`] | connections, their limits, and shutdown |

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use utoipa::openapi::OpenApi;
use utoipa_axum::routes;

use crate::access::{Role, Tokens};
use crate::engine::Engine;
use crate::telemetry::Telemetry;
use crate::wire::command::read_verb;
use auth::Gate;
use problem::{NoStoreYet, Problem};
use routes::Routes;

mod action_admin;
mod actions;
mod auth;
mod body;
mod bulk;
mod commands;
mod convert;
mod document;
mod guard;
mod idle_timeout;
mod lines;
mod operations;
mod orders;
#[cfg_attr(not(feature = "docs"), path = "http/no_page.rs")]
mod page;
mod problem;
mod routes;
mod server;
mod tls;
mod write_timeout;

pub use page::DOCUMENTATION;
pub use server::{listen, serve};
pub use tls::{Tls, TlsError};

/// Limit of concurrent requests, streams of lines not counted. At 10,000 commands per second, this
/// many take a tenth of a second. Further requests are refused at once with a 503, so that no
/// request waits longer than that.
const REQUESTS: usize = 1_024;
/// Limit of concurrent streams of lines. An idle stream costs only its buffers, about 200 KiB at
/// most; the engine's queue bounds the work. A few dozen slow clients must not lock out the others.
const STREAMS: usize = 1_000;
/// Longest time from a request to the start of its response.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Tokens and TLS of the API. The default has neither.
#[derive(Clone, Default)]
pub struct Access {
    /// The accepted tokens.
    pub tokens: Tokens,
    /// The certificate; without it the API speaks plain HTTP.
    pub tls: Option<Tls>,
}

/// State shared by all routes.
struct Api {
    /// Set as soon as the store is open.
    engine: Arc<OnceLock<Engine>>,
    telemetry: Telemetry,
    requests: Semaphore,
    streams: Arc<Semaphore>,
    /// Cancelled at shutdown; streams of lines then end.
    stop: CancellationToken,
    /// The OpenAPI document.
    document: Bytes,
}

impl Api {
    fn new(engine: Arc<OnceLock<Engine>>, telemetry: Telemetry, stop: CancellationToken) -> Api {
        let requests = Semaphore::new(REQUESTS);
        let streams = Arc::new(Semaphore::new(STREAMS));
        Api { engine, telemetry, requests, streams, stop, document: Bytes::new() }
    }

    fn engine(&self) -> Result<&Engine, NoStoreYet> {
        self.engine.get().ok_or(NoStoreYet)
    }
}

/// Every route with the role that it needs, and the OpenAPI document.
fn routes(gate: &Gate) -> (Router<Arc<Api>>, OpenApi) {
    let routes = Routes::behind(gate)
        .needs(Role::Write, routes!(commands::place_new))
        .needs(Role::Write, routes!(commands::place))
        .needs(Role::Write, routes!(commands::pay))
        .needs(Role::Write, routes!(commands::ship))
        .needs(Role::Write, routes!(commands::deliver))
        .needs(Role::Write, routes!(commands::receive))
        .needs(Role::Write, routes!(commands::extend))
        .needs(Role::Write, routes!(commands::hold))
        .needs(Role::Write, routes!(commands::release))
        .needs(Role::Write, routes!(commands::cancel))
        .needs(Role::Write, routes!(commands::refund))
        .needs(Role::Read, routes!(orders::list))
        .needs(Role::Read, routes!(orders::show))
        .needs(Role::Read, routes!(operations::stats))
        .needs(Role::Read, routes!(operations::metrics))
        .needs(Role::Operate, routes!(operations::advance_clock))
        .needs(Role::Read, routes!(actions::list))
        .needs(Role::Operate, routes!(action_admin::enable))
        .needs(Role::Operate, routes!(action_admin::backfill))
        .needs(Role::Operate, routes!(action_admin::relocate))
        .needs(Role::Operate, routes!(action_admin::drop_all))
        .needs(Role::Read, routes!(actions::dead_letters))
        .needs(Role::Read, routes!(actions::dead_letter))
        .needs(Role::Operate, routes!(actions::replay))
        .needs(Role::Operate, routes!(actions::discard))
        .open(routes!(operations::healthz))
        .open(routes!(operations::readyz))
        .open(routes!(document::openapi))
        .needs(Role::Write, routes!(bulk::commands));
    let (router, document) = page::with_page(routes).finish();
    (router, document::assemble(document))
}

/// The routes, with the checks that apply to all of them. They are not router layers, because each
/// layer costs several allocations per request.
#[derive(Clone)]
struct ApiService {
    routes: Router,
}

impl ApiService {
    fn new(mut api: Api, tokens: Tokens) -> ApiService {
        let (routes, document) = routes(&Gate::new(tokens));
        // Serialization cannot fail: the document has only texts and numbers.
        api.document = document.to_json().unwrap_or_default().into();
        let routes = routes
            .method_not_allowed_fallback(wrong_method)
            .fallback(unknown_path)
            .with_state(Arc::new(api));
        ApiService { routes }
    }

    /// Always returns a response, also after a panic or a timeout.
    async fn answer(mut self, request: Request) -> Response {
        let is_read = request.method() == Method::GET;
        let mut response = match guard::refusal(&request) {
            Some(problem) => problem.into_response(),
            None => in_time(self.routes.call(request), is_read).await,
        };
        guard::keep_private(&mut response);
        response
    }
}

/// Stops waiting for a request after [`ANSWER_WITHIN`]. Its command may still be applied.
async fn in_time(
    answering: impl Future<Output = Result<Response, Infallible>>,
    is_read: bool,
) -> Response {
    let answering = AssertUnwindSafe(answering).catch_unwind();
    match tokio::time::timeout(ANSWER_WITHIN, answering).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(_)) => {
            tracing::error!("a request handler panicked; the panic message above says where");
            Problem::internal().into_response()
        }
        Err(_) if is_read => Problem::timed_out().of_read().into_response(),
        Err(_) => Problem::timed_out().into_response(),
    }
}

async fn unknown_path(uri: Uri) -> Problem {
    let parts: Vec<&str> = uri.path().split('/').collect();
    if let ["", "v1", "orders", _, word] = parts.as_slice()
        && let Err(wrong) = read_verb(word)
    {
        return Problem::unknown_command(&wrong);
    }
    let path: String = uri.path().chars().take(200).collect();
    let title = format!("there is no route {path}; see {DOCUMENTATION} for all routes");
    if path.starts_with("/v1/orders/") {
        Problem::no_order_path(title)
    } else {
        Problem::not_found(title)
    }
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let method: String = method.as_str().chars().take(20).collect();
    Problem::method_not_allowed(format!("{path} does not support {method}"))
}

#[cfg(test)]
mod tests;
