//! The outboxes of actions, and their dead letters: listed, shown, replayed, discarded.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Api;
use super::body::Json;
use super::orders::read_limit;
use super::problem::Problem;
use crate::store::{ActionName, ActionStats, Resolution};
use crate::wire::Wrong;
use crate::wire::letter::{ActionItem, ActionsView, LetterView, LettersView, ResolvedView, Which, read_filter, read_which};
use crate::wire::time::Instant;

/// `GET /v1/actions`
pub(super) async fn list(State(api): State<Api>) -> Result<Response, Problem> {
    let _permit = api.requests.try_acquire()?;
    let stats = api.engine.stats().await?;
    let configured = |action: &ActionStats| api.engine.has_action(&action.name);
    let actions = stats.actions.iter().map(|action| ActionItem { configured: configured(action), figures: action.into() }).collect();
    Ok(axum::Json(ActionsView { now: Instant(stats.now), actions }).into_response())
}

impl Api {
    /// The action that a path names.
    async fn action(&self, name: &str) -> Result<ActionName, Problem> {
        self.engine.action(name).await?.ok_or_else(|| Problem::no_action(name))
    }
}

/// What a page is asked with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LettersQuery {
    /// From an earlier page of this action.
    cursor: Option<String>,
    /// The most dead letters, 1 to 200; 50 without it.
    limit: Option<String>,
    /// Only those that were given up at least so long ago: `24h`.
    older_than: Option<String>,
    /// Only those whose last error has this text in it.
    error: Option<String>,
}

/// `GET /v1/actions/{name}/dead-letters`
pub(super) async fn dead_letters(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<LettersQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| not_text())?;
    let Query(query) = query.map_err(|rejection| Wrong::form(rejection.body_text()))?;
    let (filter, limit) = (read_filter(query.older_than.as_deref(), query.error.as_deref())?, read_limit(query.limit.as_deref())?);
    let _permit = api.requests.try_acquire()?;
    let action = api.action(&name).await?;
    let page = api.engine.dead_letters(&action, &filter, query.cursor.as_deref(), limit).await?;
    Ok(axum::Json(LettersView::from(&page)).into_response())
}

/// `GET /v1/actions/{name}/dead-letters/{event_id}`
pub(super) async fn dead_letter(State(api): State<Api>, path: Result<Path<(String, String)>, PathRejection>) -> Result<Response, Problem> {
    let Path((name, event)) = path.map_err(|_| not_text())?;
    let _permit = api.requests.try_acquire()?;
    let action = api.action(&name).await?;
    let found = api.engine.dead_letters_of(&action, std::slice::from_ref(&event)).await?;
    let letter = found.first().ok_or_else(|| Problem::no_dead_letter(&action, &event))?;
    Ok(axum::Json(LetterView::with_event(letter)).into_response())
}

/// `POST /v1/actions/{name}/dead-letters/replay`
pub(super) async fn replay(api: State<Api>, path: Result<Path<String>, PathRejection>, json: Json) -> Result<Response, Problem> {
    resolve(api, path, json, Resolution::Replay).await
}

/// `POST /v1/actions/{name}/dead-letters/discard`
pub(super) async fn discard(api: State<Api>, path: Result<Path<String>, PathRejection>, json: Json) -> Result<Response, Problem> {
    resolve(api, path, json, Resolution::Discard).await
}

async fn resolve(
    State(api): State<Api>,
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
        Which::Ids(events) => api.engine.resolve_events(&action, &events, how).await?,
        Which::Matching(filter, cursor) => api.engine.resolve_matching(&action, &filter, cursor.as_deref(), how).await?,
    };
    Ok(axum::Json(ResolvedView::from(&resolved)).into_response())
}

fn not_text() -> Problem {
    Problem::malformed("the path is not percent-encoded UTF-8")
}
