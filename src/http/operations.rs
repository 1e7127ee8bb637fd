//! Figures and health.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::Problem;
use crate::wire::report::StatsView;

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

/// `GET /readyz`: the store answers too.
pub(super) async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    let ready = tokio::time::timeout(READY_WITHIN, api.engine.ready());
    ready.await.map_err(|_| Problem::timed_out())??;
    Ok("ok\n")
}

/// `GET /metrics`
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let format = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    (format, api.engine.metrics().await).into_response()
}
