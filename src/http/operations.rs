//! Statistics, metrics and health.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::body::Json;
use super::problem::Problem;
use super::{Api, convert};
use crate::wire::report::StatsView;
use crate::wire::time::{AdvanceFields, TestClockView, read_advance};

/// Time limit for the store's answer to `/readyz`.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Statistics of the store.
#[utoipa::path(get, path = "/v1/stats", tag = "operations", responses(
    (status = 200, description = "The statistics.", body = StatsView),
))]
pub(super) async fn stats(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let _permit = api.requests.try_acquire()?;
    let engine = api.engine()?;
    let stats = engine.stats().await?;
    Ok(axum::Json(convert::stats(&stats, api.telemetry.intake_state())).into_response())
}

/// Liveness: the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses(
    (status = 200, description = "The process is alive.", body = String,
        content_type = "text/plain", example = "ok\n"),
))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Readiness: the store answers, too.
///
/// The response also says if the store has a test clock, and if the intake has a problem. The API
/// is served without the intake.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "The service is ready.", body = String,
        content_type = "text/plain", example = "ok\n"),
    (status = 503, description = "`store_unavailable`, `timed_out`: the store does not answer"),
))]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<String, Problem> {
    let engine = api.engine()?;
    let ready = tokio::time::timeout(READY_WITHIN, engine.ready());
    ready.await.map_err(|_| Problem::timed_out().of_read())??;
    let mut notes = Vec::new();
    if engine.has_test_clock() {
        notes.push("test clock".to_owned());
    }
    notes.extend(
        api.telemetry
            .intake_state()
            .filter(|intake| !intake.trouble.is_empty())
            .map(|intake| format!("the intake has a problem: {}", intake.trouble)),
    );
    Ok(if notes.is_empty() { "ok\n".to_owned() } else { format!("ok ({})\n", notes.join("; ")) })
}

/// Advance the clock of a test store.
///
/// The clock only moves forward. The route exists only for a store that was created with `serve
/// --test-clock`.
#[utoipa::path(post, path = "/v1/test/clock", tag = "operations",
    request_body(content = AdvanceFields, content_type = "application/json"),
    responses(
        (status = 200, description = "The new time.", body = TestClockView),
        (status = 404, description = "`not_found`: this store has no test clock"),
        (status = 422, description = "`invalid`: `advance` is not a duration, or is too \
            long"),
    ))]
pub(super) async fn advance_clock(
    State(api): State<Arc<Api>>,
    json: Result<Json, Problem>,
) -> Result<Response, Problem> {
    if !api.engine()?.has_test_clock() {
        return Err(Problem::not_found(
            "this store has no test clock; create a new store with `serve --test-clock`",
        ));
    }
    let by = read_advance(&json?.0)?;
    let _permit = api.requests.try_acquire()?;
    let clock = api.engine()?.advance(by).await?;
    Ok(axum::Json(convert::test_clock(clock)).into_response())
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "The metrics in the OpenMetrics text format.", body = String,
        content_type = "application/openmetrics-text"),
))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let format =
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    let stats = api.engine()?.stats().await.ok();
    Ok((format, api.telemetry.render(stats.as_ref())).into_response())
}
