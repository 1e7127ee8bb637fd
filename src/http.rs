//! The HTTP API: a door to the engine.
//!
//! | part | does |
//! |---|---|
//! | [`routes`] | the table of routes: who may use each, and what is said about it in the document |
//! | [`commands`] | place and the other commands |
//! | [`orders`] | one order, and pages of many |
//! | [`bulk`], [`lines`], [`idle_timeout`] | many commands, as lines, streamed in both directions; how long that may take |
//! | [`operations`], [`document`], [`page`] | figures and health; what OpenAPI says, and its page |
//! | [`actions`], [`upkeep`] | the outboxes of actions, their dead letters, and actions over time |
//! | [`convert`] | engine types as API types, and back |
//! | [`auth`] | who is let in: tokens and roles |
//! | [`guard`], [`body`] | what is let in: nothing from foreign web pages, not too much, not too slow |
//! | [`problem`] | what is said when something is wrong: the one place that gives engine results a status code |
//! | [`server`], [`patience`], [`tls`] | connections, their limits, and their end |

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

/// The most requests that are worked on at a time, streams of lines aside. A service that carries
/// 10,000 commands a second has this many done in a tenth of a second; the next is told at once to
/// come again, and does not wait longer than that.
const REQUESTS: usize = 1_024;
/// The most streams of lines at a time. One that dawdles costs its buffers only, some 200 KiB at
/// worst: what is carried out at a time is bounded by the engine's queue. A few dozen slow clients
/// must not keep all others out.
const STREAMS: usize = 1_000;
/// How long a request may take until its answer begins.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Who may use the API, and how it is spoken to. By default everybody may, unencrypted.
#[derive(Clone, Default)]
pub struct Access {
    /// The tokens that are accepted.
    pub tokens: Tokens,
    /// The certificate, where TLS is spoken.
    pub tls: Option<Tls>,
}

/// What the routes share.
struct Api {
    /// Set as soon as the store is open.
    engine: Arc<OnceLock<Engine>>,
    telemetry: Telemetry,
    requests: Semaphore,
    streams: Arc<Semaphore>,
    /// Ends the reading of lines.
    stop: CancellationToken,
    /// The OpenAPI document.
    document: Bytes,
}

impl Api {
    fn new(engine: Arc<OnceLock<Engine>>, telemetry: Telemetry, stop: CancellationToken) -> Api {
        let (requests, streams) = (Semaphore::new(REQUESTS), Arc::new(Semaphore::new(STREAMS)));
        Api { engine, telemetry, requests, streams, stop, document: Bytes::new() }
    }

    fn engine(&self) -> Result<&Engine, NoStoreYet> {
        self.engine.get().ok_or(NoStoreYet)
    }
}

/// Every route, with who may use it and what the document says about it.
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

/// The routes, and what holds for all of them. It is done here and not by layers of the router:
/// each of those would take a handful of allocations for every request.
#[derive(Clone)]
struct Front {
    routes: Router,
}

impl Front {
    fn new(mut api: Api, tokens: Tokens) -> Front {
        let (routes, document) = routes(&Gate::new(tokens));
        // A document is texts and numbers, which cannot fail to become JSON.
        api.document = document.to_json().unwrap_or_default().into();
        let routes = routes
            .method_not_allowed_fallback(wrong_method)
            .fallback(unknown_path)
            .with_state(Arc::new(api));
        Front { routes }
    }

    /// Answers a request, whatever happens.
    async fn answer(mut self, request: Request) -> Response {
        let is_question = request.method() == Method::GET;
        let mut response = match guard::refusal(&request) {
            Some(problem) => problem.into_response(),
            None => in_time(self.routes.call(request), is_question).await,
        };
        guard::keep_private(&mut response);
        response
    }
}

/// Gives up a request that is not answered in time. What was asked may still be carried out.
async fn in_time(
    answering: impl Future<Output = Result<Response, Infallible>>,
    is_question: bool,
) -> Response {
    let answering = AssertUnwindSafe(answering).catch_unwind();
    match tokio::time::timeout(ANSWER_WITHIN, answering).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(_)) => {
            tracing::error!(
                "a request met a mistake in this program; the panic message above says where"
            );
            Problem::internal().into_response()
        }
        Err(_) if is_question => Problem::timed_out().of_question().into_response(),
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
    let title = format!("there is nothing at {path}; {DOCUMENTATION} shows what there is");
    if path.starts_with("/v1/orders/") {
        Problem::no_order_path(title)
    } else {
        Problem::not_found(title)
    }
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let (path, method): (String, String) =
        (uri.path().chars().take(200).collect(), method.as_str().chars().take(20).collect());
    Problem::method_not_allowed(format!("{path} does not answer {method}"))
}

#[cfg(test)]
mod tests;
