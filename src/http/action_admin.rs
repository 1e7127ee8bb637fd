//! Actions over time: a receiver enabled again, an action that was added later fed, one that is
//! gone cleared out.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use super::actions::not_text;
use super::body::Json;
use super::problem::Problem;
use super::{Api, convert};
use crate::engine::ActionName;
use crate::wire::action::{
    BackfillFields, BackfilledView, Enabled, MoveFields, RelocatedView, read_backfill, read_move,
};
use crate::wire::schema::ActionText;

/// Let a disabled receiver be attempted again.
///
/// What waited for it goes out, each event with all of its attempts before it. For a receiver that
/// is not disabled nothing changes.
#[utoipa::path(post, path = "/v1/actions/{name}/enable", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as configured.")),
    responses(
        (status = 200, description = "It is enabled.", body = Enabled),
        (status = 404, description = "`action_not_found`: no action of this name is configured or \
            ever was", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn enable(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| not_text())?;
    let _permit = api.requests.try_acquire()?;
    let action = api.action(&name).await?;
    Ok(axum::Json(Enabled { was_disabled: api.engine()?.enable(&action).await? }).into_response())
}

/// Feed an action that was added later.
///
/// Of each order the event that brought it to where it stands is added, under its own id, if the
/// action is given events of its type. Some thousand orders a request. What was added before is not
/// added twice, and what was delivered before is delivered again under the same id.
#[utoipa::path(post, path = "/v1/actions/{name}/backfill", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as configured.")),
    request_body(content = BackfillFields, content_type = "application/json"),
    responses(
        (status = 200, description = "What was done. With a cursor there are more: send the \
            request again with it.", body = BackfilledView),
        (status = 404, description = "`action_not_found`: no action of this name is configured or \
            ever was", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`action_not_configured`: not by the worker that \
            answers", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid`: the cursor is none that a step gave out", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn backfill(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    Json(json): Json,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| not_text())?;
    let cursor = read_backfill(&json)?;
    let _permit = api.requests.try_acquire()?;
    let action = api.action(&name).await?;
    let done = api.engine()?.backfill(&action, cursor.as_deref()).await?;
    let done = done.ok_or_else(|| Problem::action_not_configured(action.as_str()))?;
    Ok(axum::Json(convert::backfilled(done)).into_response())
}

/// Give the entries and dead letters of an action that is no longer configured to another one.
///
/// As they are: with their attempts made, their times, and whatever their types. Some thousand a
/// request, each in exactly one place at any moment.
#[utoipa::path(post, path = "/v1/actions/{name}/move", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as it was configured.")),
    request_body(content = MoveFields, content_type = "application/json"),
    responses(
        (status = 200, description = "What was moved. Send the request again while there is \
            more.", body = RelocatedView),
        (status = 404, description = "`action_not_found`: no action of this name is configured or \
            ever was", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`action_configured`, `action_not_configured`: the one is, \
            or the other is not", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn relocate(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    Json(json): Json,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| not_text())?;
    let to = read_move(&json)?;
    let _permit = api.requests.try_acquire()?;
    let to = api.action(&to).await?;
    if !api.engine()?.has_action(&to) {
        return Err(Problem::action_not_configured(to.as_str()));
    }
    clear_out(&api, &name, Some(&to)).await
}

/// Drop the entries and dead letters of an action that is no longer configured.
///
/// Some thousand a request.
#[utoipa::path(post, path = "/v1/actions/{name}/drop", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as it was configured.")),
    responses(
        (status = 200, description = "What was dropped. Send the request again while there is \
            more.", body = RelocatedView),
        (status = 404, description = "`action_not_found`: no action of this name is configured or \
            ever was", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`action_configured`: it is at work", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn drop_all(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| not_text())?;
    let _permit = api.requests.try_acquire()?;
    clear_out(&api, &name, None).await
}

async fn clear_out(api: &Api, name: &str, to: Option<&ActionName>) -> Result<Response, Problem> {
    let from = api.action(name).await?;
    if api.engine()?.has_action(&from) {
        return Err(Problem::action_configured(from.as_str()));
    }
    Ok(axum::Json(convert::relocated(api.engine()?.relocate(&from, to).await?)).into_response())
}
