//! The outboxes of actions and their dead letters: list, show, replay, discard.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::Json;
use super::orders::read_limit;
use super::problem::Problem;
use super::{Api, convert};
use crate::engine::{ActionName, ActionStats, Resolution};
use crate::wire::InputError;
use crate::wire::action::{ActionItem, Actions};
use crate::wire::dead_letter::{
    DeadLetterView, DeadLetters, ResolvedView, WhichDeadLetters, WhichFields, read_filter,
    read_which,
};
use crate::wire::schema::{ActionText, EventIdText, LengthText};

/// The outboxes of all actions.
///
/// Lists the actions in the configuration of the answering worker, and all others that still have
/// entries or dead letters.
#[utoipa::path(get, path = "/v1/actions", tag = "actions", responses(
    (status = 200, description = "The outboxes.", body = Actions),
))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let _permit = api.requests.try_acquire()?;
    let engine = api.engine()?;
    let stats = engine.actions().await?;
    let configured = |action: &ActionStats| engine.has_action(&action.name);
    let actions = stats
        .actions
        .iter()
        .map(|action| ActionItem {
            configured: configured(action),
            figures: convert::action(action),
        })
        .collect();
    Ok(axum::Json(Actions { now: stats.now, actions }).into_response())
}

impl Api {
    /// The action with the name in the path.
    pub(super) async fn action(&self, name: &str) -> Result<ActionName, Problem> {
        self.engine()?.action(name).await?.ok_or_else(|| Problem::no_action(name))
    }
}

/// The query of a page of dead letters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadLettersQuery {
    /// The `cursor` of an earlier page of this action. Without it, the first page.
    #[param(value_type = String, required = false)]
    cursor: Option<String>,
    /// Maximum number of dead letters on the page.
    #[param(value_type = u16, required = false, minimum = 1, maximum = 200, default = 50,
        example = 50)]
    limit: Option<String>,
    /// Only events that failed for good at least this long ago, for example `24h`.
    #[param(value_type = LengthText, required = false)]
    older_than: Option<String>,
    /// Only events whose last error contains this text.
    #[param(value_type = String, required = false, min_length = 1, max_length = 300,
        example = "503")]
    error: Option<String>,
}

/// A page of dead letters.
///
/// Events that failed for good, the oldest failure first. Only `discard` removes one.
#[utoipa::path(get, path = "/v1/actions/{name}/dead-letters", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as configured."),
        DeadLettersQuery),
    responses(
        (status = 200, description = "The page.", body = DeadLetters),
        (status = 400, description = "`malformed`: the path is not percent-encoded UTF-8, or a \
            parameter is unknown or repeated"),
        (status = 422, description = "`invalid`: a parameter has an invalid value"),
    ))]
pub(super) async fn dead_letters(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<DeadLettersQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| not_text())?;
    let Query(query) = query.map_err(|rejection| InputError::form(rejection.body_text()))?;
    let filter = read_filter(query.older_than.as_deref(), query.error.as_deref())?;
    let limit = read_limit(query.limit.as_deref())?;
    let _permit = api.requests.try_acquire()?;
    let action = api.action(&name).await?;
    let page = api
        .engine()?
        .dead_letters(&action, &convert::filter(filter), query.cursor.as_deref(), limit)
        .await?;
    Ok(axum::Json(convert::dead_letters(page)).into_response())
}

/// One dead letter, with its event as it is sent.
#[utoipa::path(get, path = "/v1/actions/{name}/dead-letters/{event_id}", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as configured."),
        ("event_id" = EventIdText, Path, description = "The event's id.")),
    responses(
        (status = 200, description = "The dead letter.", body = DeadLetterView),
        (status = 400, description = "`malformed`: the path is not percent-encoded UTF-8"),
        (status = 404, description = "`dead_letter_not_found`: the action has no dead letter of \
            this event"),
    ))]
pub(super) async fn dead_letter(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((name, event)) = path.map_err(|_| not_text())?;
    let _permit = api.requests.try_acquire()?;
    let action = api.action(&name).await?;
    let found = api.engine()?.dead_letters_of(&action, std::slice::from_ref(&event)).await?;
    let letter = found.first().ok_or_else(|| Problem::no_dead_letter(action.as_str(), &event))?;
    Ok(axum::Json(convert::dead_letter_with_event(letter)).into_response())
}

/// Send dead letters again.
///
/// Each keeps its event id. Choose them with `ids`, with `all`, or with `older_than` and `error`.
#[utoipa::path(post, path = "/v1/actions/{name}/dead-letters/replay", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as configured.")),
    request_body(content = WhichFields, content_type = "application/json"),
    responses(
        (status = 200, description = "The result of this step. If it has a `cursor`, send the \
            request again with it.", body = ResolvedView),
        (status = 422, description = "`invalid`: no selection, more than one, or a field with an \
            invalid value"),
    ))]
pub(super) async fn replay(
    api: State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    json: Json,
) -> Result<Response, Problem> {
    resolve(api, path, json, Resolution::Replay).await
}

/// Remove dead letters for good.
///
/// Choose them with `ids`, with `all`, or with `older_than` and `error`.
#[utoipa::path(post, path = "/v1/actions/{name}/dead-letters/discard", tag = "actions",
    params(("name" = ActionText, Path, description = "The action's name, as configured.")),
    request_body(content = WhichFields, content_type = "application/json"),
    responses(
        (status = 200, description = "The result of this step. If it has a `cursor`, send the \
            request again with it.", body = ResolvedView),
        (status = 422, description = "`invalid`: no selection, more than one, or a field with an \
            invalid value"),
    ))]
pub(super) async fn discard(
    api: State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    json: Json,
) -> Result<Response, Problem> {
    resolve(api, path, json, Resolution::Discard).await
}

async fn resolve(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    Json(json): Json,
    how: Resolution,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| not_text())?;
    let (which, dry_run) = read_which(&json)?;
    let how = (!dry_run).then_some(how);
    let _permit = api.requests.try_acquire()?;
    let action = api.action(&name).await?;
    let resolved = match which {
        WhichDeadLetters::Ids(events) => {
            api.engine()?.resolve_events(&action, &events, how).await?
        }
        WhichDeadLetters::Matching(filter, cursor) => {
            let filter = convert::filter(filter);
            api.engine()?.resolve_matching(&action, &filter, cursor.as_deref(), how).await?
        }
    };
    Ok(axum::Json(convert::resolved(resolved)).into_response())
}

pub(super) fn not_text() -> Problem {
    Problem::malformed("the path is not percent-encoded UTF-8")
}
