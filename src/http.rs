//! The HTTP API: a door to the engine.
//!
//! | part | does |
//! |---|---|
//! | [`orders`] | place, the other commands, one order, pages |
//! | [`bulk`], [`lines`] | many commands, as lines, streamed in both directions |
//! | [`operations`] | figures and health |
//! | [`actions`] | the outboxes of actions, and their dead letters |
//! | [`guard`], [`body`] | what is let in: nothing from foreign web pages, not too much, not too slow |
//! | [`problem`] | what is said when something is wrong: the one place that gives engine results a status code |
//! | [`server`], [`patience`] | connections, their limits, and their end |

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, map_response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::engine::Engine;
use problem::Problem;

mod actions;
mod body;
mod bulk;
mod guard;
mod lines;
mod operations;
mod orders;
mod patience;
mod problem;
mod server;

pub use server::serve;

/// The most requests that are worked on at a time, streams of lines aside. Each holds one small command, and more than
/// these would only wait for the engine's batches: the next is told at once to come again.
const REQUESTS: usize = 4_096;
/// The most streams of lines at a time; each holds up to [`bulk::IN_FLIGHT`] commands.
const STREAMS: usize = 32;
/// How long a request may take, streams of lines aside.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What the routes share.
#[derive(Clone)]
struct Api {
    engine: Engine,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Ends the reading of lines.
    stop: CancellationToken,
}

/// The routes on `engine`. Streams of lines end when `stop` is cancelled.
pub fn router(engine: Engine, stop: CancellationToken) -> Router {
    routes(Api { engine, requests: Arc::new(Semaphore::new(REQUESTS)), streams: Arc::new(Semaphore::new(STREAMS)), stop })
}

fn routes(api: Api) -> Router {
    let single = Router::new()
        .route("/v1/orders", post(orders::place).get(orders::list))
        .route("/v1/orders/{id}", get(orders::show))
        .route("/v1/orders/{id}/{command}", post(orders::command))
        .route("/v1/stats", get(operations::stats))
        .route("/v1/test/clock", post(operations::advance_clock))
        .route("/v1/actions", get(actions::list))
        .route("/v1/actions/{name}/dead-letters", get(actions::dead_letters))
        .route("/v1/actions/{name}/dead-letters/replay", post(actions::replay))
        .route("/v1/actions/{name}/dead-letters/discard", post(actions::discard))
        .route("/v1/actions/{name}/dead-letters/{event_id}", get(actions::dead_letter))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .layer(from_fn(guard::answer_in_time));
    Router::new()
        .route("/v1/commands", post(bulk::commands))
        .merge(single)
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(from_fn(guard::refuse_foreign_pages))
        .layer(map_response(guard::keep_private))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .with_state(api)
}

async fn unknown_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::not_found(format!("there is nothing at {path}"))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let (path, method): (String, String) = (uri.path().chars().take(200).collect(), method.as_str().chars().take(20).collect());
    Problem::method_not_allowed(format!("{path} does not answer {method}"))
}

#[cfg(test)]
mod tests;
