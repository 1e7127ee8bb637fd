//! One order: placed, commanded, shown. And pages of many.

use std::sync::Arc;

use autoreceive_domain::{Command, Order, OrderId};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Api;
use super::body::Json;
use super::problem::Problem;
use crate::engine::ReplyOutcome;
use crate::store::View;
use crate::wire::command::{read_command, read_order_id, read_place, read_verb};
use crate::wire::report::PageView;
use crate::wire::{OrderView, Wrong};

impl Api {
    /// Carries out a command. Returns the order as it left it, and whether it changed anything.
    async fn carry_out(&self, id: OrderId, command: Command) -> Result<(bool, Arc<Order>), Problem> {
        let _permit = self.requests.try_acquire()?;
        let reply = self.engine.submit(id, command).await?;
        let changed = match reply.outcome {
            ReplyOutcome::Changed => true,
            ReplyOutcome::Unchanged => false,
            ReplyOutcome::Rejected(rejection) => return Err(rejection.into()),
        };
        reply.order.map(|(order, _)| (changed, order)).ok_or_else(Problem::internal)
    }
}

/// `POST /v1/orders`
pub(super) async fn place(State(api): State<Api>, Json(json): Json) -> Result<Response, Problem> {
    let (id, command) = read_place(&json, api.engine.policies())?;
    let (changed, order) = api.carry_out(id, command).await?;
    let status = if changed { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, axum::Json(OrderView::new(&order))).into_response())
}

/// `POST /v1/orders/{id}/{command}`
pub(super) async fn command(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    Json(json): Json,
) -> Result<Response, Problem> {
    let Path((id, word)) = path.map_err(|_| not_text())?;
    let verb = read_verb(&word).map_err(|wrong| Problem::unknown_command(&wrong))?;
    let id = read_order_id(&id)?;
    let command = read_command(verb, &json, &[], api.engine.policies())?;
    let (_, order) = api.carry_out(id, command).await?;
    Ok(axum::Json(OrderView::new(&order)).into_response())
}

/// `GET /v1/orders/{id}`
pub(super) async fn show(State(api): State<Api>, path: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|_| not_text())?;
    let id = read_order_id(&id)?;
    let _permit = api.requests.try_acquire()?;
    let (order, terms) = api.engine.show(&id).await?.ok_or_else(|| Problem::no_order(&id))?;
    Ok(axum::Json(OrderView::with_terms(&order, &terms)).into_response())
}

fn not_text() -> Problem {
    Problem::from(Wrong::Form { field: Some("order_id".to_owned()), message: "order_id is not percent-encoded UTF-8".to_owned() })
}

/// What a page is asked with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// `upcoming`, `overdue` or `held`.
    view: Option<String>,
    /// From an earlier page of the view.
    cursor: Option<String>,
    /// The most orders, 1 to 200; 50 without it.
    limit: Option<String>,
}

/// `GET /v1/orders?view=…`
pub(super) async fn list(State(api): State<Api>, query: Result<Query<PageQuery>, QueryRejection>) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Wrong::form(rejection.body_text()))?;
    let (view, limit) = (read_view(query.view.as_deref())?, read_limit(query.limit.as_deref())?);
    let _permit = api.requests.try_acquire()?;
    let page = api.engine.page(view, query.cursor.as_deref(), limit).await?;
    Ok(axum::Json(PageView::from(&page)).into_response())
}

fn read_view(view: Option<&str>) -> Result<View, Wrong> {
    [View::Upcoming, View::Overdue, View::Held]
        .into_iter()
        .find(|known| view == Some(known.to_string().as_str()))
        .ok_or_else(|| Wrong::value("view", "is required and must be one of upcoming, overdue, held"))
}

pub(super) fn read_limit(limit: Option<&str>) -> Result<usize, Wrong> {
    let expected = || Wrong::value("limit", "must be a whole number from 1 to 200");
    limit.map_or(Ok(50), |limit| limit.parse().ok().filter(|n| (1..=200).contains(n)).ok_or_else(expected))
}
