//! Orders as they are: one, and pages of many.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::commands::Target;
use super::problem::Problem;
use super::{Api, convert};
use crate::wire::report::{PageView, read_list_name};
use crate::wire::schema::{OrderIdText, ViewWord};
use crate::wire::{OrderView, InputError};

/// One order.
///
/// The times it carries, its clock, its holds, and the terms it was placed under.
#[utoipa::path(get, path = "/v1/orders/{order_id}", tag = "orders",
    params(("order_id" = OrderIdText, Path, description = "The shop's id of the order, \
        percent-encoded.")),
    responses(
        (status = 200, description = "The order.", body = OrderView),
        (status = 400, description = "`malformed`: the id is not percent-encoded UTF-8", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`order_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid`: the id cannot be one", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Target(id): Target,
) -> Result<Response, Problem> {
    let _permit = api.requests.try_acquire()?;
    let shown =
        api.engine()?.show(&id).await.map_err(|error| Problem::from(error).of_question())?;
    let (order, terms) = shown.ok_or_else(|| Problem::no_order(&id))?;
    Ok(axum::Json(OrderView::with_terms(&order, &terms)).into_response())
}

/// What a page is asked with.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Which orders: `upcoming` are those with a clock that runs, the nearest first; `overdue`
    /// those whose clock has run out and that should have moved on already; `held` those that a
    /// hold has stopped.
    #[param(value_type = ViewWord, required = true, example = "upcoming")]
    view: Option<String>,
    /// Where to go on: the `cursor` of an earlier page of the same view. The first page without it.
    #[param(value_type = String, required = false)]
    cursor: Option<String>,
    /// The most orders on the page.
    #[param(value_type = u16, required = false, minimum = 1, maximum = 200, default = 50, example = 50)]
    limit: Option<String>,
}

/// A page of orders.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(PageQuery), responses(
    (status = 200, description = "The page.", body = PageView),
    (status = 400, description = "`malformed`: an unknown or doubled parameter", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "`invalid`: a parameter has a value that cannot be", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| InputError::form(rejection.body_text()))?;
    let (view, limit) = (read_list_name(query.view.as_deref())?, read_limit(query.limit.as_deref())?);
    let _permit = api.requests.try_acquire()?;
    let page = api.engine()?.page(convert::view(view), query.cursor.as_deref(), limit).await?;
    Ok(axum::Json(convert::page(page)).into_response())
}

pub(super) fn read_limit(limit: Option<&str>) -> Result<usize, InputError> {
    let expected = || InputError::value("limit", "must be a whole number from 1 to 200");
    limit.map_or(Ok(50), |limit| {
        limit.parse().ok().filter(|n| (1..=200).contains(n)).ok_or_else(expected)
    })
}
