//! Administration of actions: enable, backfill, move, drop.

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

/// Enable a disabled endpoint.
///
/// Waiting events are sent again, each with all of its attempts left. Nothing changes if the
/// endpoint is not disabled.
#[utoipa::path(post, path = "/v1/actions/{name}/enable", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as configured.")),
    responses(
        (status = 200, description = "The endpoint is enabled.", body = Enabled),
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

/// Backfill an action that was added later.
///
/// Adds the last status event of each order, under its own id, if the action's `on` lists its type.
/// One request covers a few thousand orders. An event that is already in the outbox is skipped; an
/// event that was delivered before is delivered again under the same id.
#[utoipa::path(post, path = "/v1/actions/{name}/backfill", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as configured.")),
    request_body(content = BackfillFields, content_type = "application/json"),
    responses(
        (status = 200, description = "The result of this step. If it has a `cursor`, send the \
            request again with it.", body = BackfilledView),
        (status = 409, description = "`action_not_configured`: the answering worker does not \
            have the action in its configuration"),
        (status = 422, description = "`invalid`: the cursor was not issued by a \
            backfill step"),
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

/// Move the entries and dead letters of an action that is no longer configured to another action.
///
/// They keep their attempts, times and types. One request moves a few thousand; each entry is in
/// exactly one outbox at any time.
#[utoipa::path(post, path = "/v1/actions/{name}/move", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as it was configured.")),
    request_body(content = MoveFields, content_type = "application/json"),
    responses(
        (status = 200, description = "What was moved. Send the request again while `more` is \
            true.", body = RelocatedView),
        (status = 409, description = "`action_configured`: the action is still configured; \
            `action_not_configured`: the target action is not"),
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
/// One request drops a few thousand.
#[utoipa::path(post, path = "/v1/actions/{name}/drop", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as it was configured.")),
    responses(
        (status = 200, description = "What was dropped. Send the request again while `more` is \
            true.", body = RelocatedView),
        (status = 409, description = "`action_configured`: the action is still configured"),
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
