//! Figures and health.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::body::Json;
use super::problem::Problem;
use crate::wire::report::StatsView;
use crate::wire::time::{ClockView, read_advance};

/// How long the store may take to show that it is there.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// `GET /v1/stats`
pub(super) async fn stats(State(api): State<Api>) -> Result<Response, Problem> {
    let _permit = api.requests.try_acquire()?;
    let stats = api.engine.stats().await?;
    Ok(axum::Json(StatsView::from(&stats)).into_response())
}

/// `GET /healthz`: the process is alive.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store answers too. Whoever looks is told where its time is not the real one.
pub(super) async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    let ready = tokio::time::timeout(READY_WITHIN, api.engine.ready());
    ready.await.map_err(|_| Problem::timed_out())??;
    Ok(if api.engine.has_test_clock() { "ok (test clock)\n" } else { "ok\n" })
}

/// `POST /v1/test/clock`: puts the time forward, on a store that was created for tests; no other has such a route.
pub(super) async fn advance_clock(State(api): State<Api>, json: Result<Json, Problem>) -> Result<Response, Problem> {
    if !api.engine.has_test_clock() {
        return Err(Problem::not_found("there is no test clock here: only `serve --test-clock` on a new store makes one"));
    }
    let by = read_advance(&json?.0)?;
    let _permit = api.requests.try_acquire()?;
    let clock = api.engine.advance(by).await?;
    Ok(axum::Json(ClockView::from(clock)).into_response())
}

/// `GET /metrics`
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let format = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    (format, api.engine.metrics().await).into_response()
}
