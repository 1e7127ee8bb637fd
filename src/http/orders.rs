//! One order, and pages of orders.

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
use crate::wire::{InputError, OrderView};

/// One order.
///
/// Its status, times, clock and holds, and the terms it was placed under.
#[utoipa::path(get, path = "/v1/orders/{order_id}", tag = "orders",
    params(("order_id" = OrderIdText, Path, description = "The shop's id of the order, \
        percent-encoded.")),
    responses(
        (status = 200, description = "The order.", body = OrderView),
        (status = 400, description = "`malformed`: the id is not percent-encoded UTF-8"),
        (status = 404, description = "`order_not_found`: there is no order with this id"),
        (status = 422, description = "`invalid`: this is not a valid order id"),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Target(id): Target,
) -> Result<Response, Problem> {
    let _permit = api.requests.try_acquire()?;
    let shown = api.engine()?.show(&id).await.map_err(|error| Problem::from(error).of_read())?;
    let (order, terms) = shown.ok_or_else(|| Problem::no_order(&id))?;
    Ok(axum::Json(OrderView::with_terms(&order, &terms)).into_response())
}

/// The query of a page of orders.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `upcoming`: orders with a running clock, the next deadline first. `overdue`: orders whose
    /// deadline has passed but was not handled yet. `held`: orders stopped by a hold.
    #[param(value_type = ViewWord, required = true, example = "upcoming")]
    view: Option<String>,
    /// The `cursor` of an earlier page of the same view. Without it, the first page.
    #[param(value_type = String, required = false)]
    cursor: Option<String>,
    /// Maximum number of orders on the page.
    #[param(value_type = u16, required = false, minimum = 1, maximum = 200, default = 50,
        example = 50)]
    limit: Option<String>,
}

/// A page of orders.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(PageQuery), responses(
    (status = 200, description = "The page.", body = PageView),
    (status = 400, description = "`malformed`: a parameter is unknown or repeated"),
    (status = 422, description = "`invalid`: a parameter has an invalid value"),
))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| InputError::form(rejection.body_text()))?;
    let view = read_list_name(query.view.as_deref())?;
    let limit = read_limit(query.limit.as_deref())?;
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
