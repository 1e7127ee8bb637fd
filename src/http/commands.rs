//! Commands to orders, one route each.

use std::sync::Arc;

use autoreceive_domain::command::Verb;
use autoreceive_domain::{Command, Order, OrderId};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::body::Json;
use super::problem::Problem;
use crate::engine::ReplyOutcome;
use crate::wire::command::{
    AtFields, CancelFields, ExtendFields, HoldFields, NewOrder, PlaceFields, ReceiveFields,
    RefundFields, ReleaseFields, ShipFields, read_command, read_order_id, read_place,
};
use crate::wire::schema::OrderIdText;
use crate::wire::{InputError, OrderView};

/// The order id in the path.
pub(super) struct Target(pub OrderId);

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Target, Problem> {
        let path: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        let Path(id) = path.map_err(|_| not_text())?;
        Ok(Target(read_order_id(&id)?))
    }
}

fn not_text() -> Problem {
    Problem::from(InputError::Form {
        field: Some("order_id".to_owned()),
        message: "order_id is not percent-encoded UTF-8".to_owned(),
    })
}

impl Api {
    /// Applies a command. Returns whether the order changed, and the order after it.
    async fn apply(&self, id: OrderId, command: Command) -> Result<(bool, Arc<Order>), Problem> {
        let _permit = self.requests.try_acquire()?;
        let reply = self.engine()?.submit(id, command).await?;
        let changed = match reply.outcome {
            ReplyOutcome::Changed => true,
            ReplyOutcome::Unchanged => false,
            ReplyOutcome::Rejected(rejection) => return Err(rejection.into()),
            ReplyOutcome::UnknownPolicy(unknown) => return Err(unknown.into()),
        };
        reply.order.map(|(order, _)| (changed, order)).ok_or_else(Problem::internal)
    }

    async fn command(&self, id: OrderId, verb: Verb, json: &[u8]) -> Result<Response, Problem> {
        let command = read_command(verb, json, &[])?;
        let (_, order) = self.apply(id, command).await?;
        Ok(axum::Json(OrderView::from(&*order)).into_response())
    }
}

/// Place an order.
///
/// Placing the same order again changes nothing and returns the order.
#[utoipa::path(post, path = "/v1/orders", tag = "commands",
    request_body(content = NewOrder, content_type = "application/json"),
    responses(
        (status = 201, description = "The new order.", body = OrderView),
        (status = 200, description = "The order was placed before; it is unchanged.",
            body = OrderView),
        (status = 409, description = "`order_exists`: an order with other fields has this id; ids \
            are never reused"),
    ))]
pub(super) async fn place_new(
    State(api): State<Arc<Api>>,
    Json(json): Json,
) -> Result<Response, Problem> {
    let (id, command) = read_place(&json)?;
    let (changed, order) = api.apply(id, command).await?;
    let status = if changed { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, axum::Json(OrderView::from(&*order))).into_response())
}

/// Place an order under the id in the path.
///
/// The same as `POST /v1/orders` in all other respects.
#[utoipa::path(post, path = "/v1/orders/{order_id}/place", tag = "commands",
    params(("order_id" = OrderIdText, Path, description = "The shop's id of the order, \
        percent-encoded.")),
    request_body(content = PlaceFields, content_type = "application/json"),
    responses(
        (status = 200, description = "The order as it is now.", body = OrderView),
        (status = 409, description = "`order_exists`: an order with other fields has this id; ids \
            are never reused"),
    ))]
pub(super) async fn place(
    State(api): State<Arc<Api>>,
    Target(id): Target,
    Json(json): Json,
) -> Result<Response, Problem> {
    api.command(id, Verb::Place, &json).await
}

/// The route of a command: its path, its fields, and the reasons for a 409.
macro_rules! command {
    (
        $(#[$doc:meta])*
        $name:ident, $verb:ident, $path:literal, $fields:ident, $conflict:literal
    ) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "commands",
            params(("order_id" = OrderIdText, Path, description = "The shop's id of the order, \
                percent-encoded.")),
            request_body(content = $fields, content_type = "application/json"),
            responses(
                (status = 200, description = "The order after the command. A repeat changes \
                    nothing.", body = OrderView),
                (status = 404, description = "`order_not_found`: there is no order with this id; \
                    place it first"),
                (status = 409, description = $conflict),
            ))]
        pub(super) async fn $name(
            State(api): State<Arc<Api>>,
            Target(id): Target,
            Json(json): Json,
        ) -> Result<Response, Problem> {
            api.command(id, Verb::$verb, &json).await
        }
    };
}

command!(
    /// Report the payment.
    ///
    /// Starts the receive clock if the policy has `starts_at = "paid"`. If the order was cancelled
    /// unpaid, the payment is recorded once as late (event `order.late_payment`), so that the shop
    /// can pay it back.
    pay, Pay, "/v1/orders/{order_id}/pay", AtFields,
    "`not_payable`: the order's status does not permit it; `allowed` lists what it does"
);
command!(
    /// Report the shipment.
    ship, Ship, "/v1/orders/{order_id}/ship", ShipFields,
    "`not_shippable`: the order's status does not permit it; `allowed` lists what it does"
);
command!(
    /// Report the delivery.
    deliver, Deliver, "/v1/orders/{order_id}/deliver", AtFields,
    "`not_deliverable`: the order's status does not permit it; `allowed` lists what it does"
);
command!(
    /// Confirm the receipt at once.
    ///
    /// Releases all holds.
    receive, Receive, "/v1/orders/{order_id}/receive", ReceiveFields,
    "`not_receivable`: the order's status does not permit it; `allowed` lists what it does"
);
command!(
    /// Give the buyer more time.
    ///
    /// Moves the deadline by the policy's `extend_by`, at most `max_extensions` times. Repeating a
    /// `number` changes nothing; the next number is the order's `extensions` plus one.
    extend, Extend, "/v1/orders/{order_id}/extend", ExtendFields,
    "`not_extendable`: no receive clock is running; `extension_limit`: all extensions are used; \
        `extension_out_of_order`: the number skips one"
);
command!(
    /// Stop the clock, for example for a dispute.
    ///
    /// An order can have several holds; the clock continues when the last one is released.
    hold, Hold, "/v1/orders/{order_id}/hold", HoldFields,
    "`not_holdable`: the order's status does not permit it; `too_many_holds`: an order can have \
        10 holds in all"
);
command!(
    /// Release a hold.
    ///
    /// After the last release the clock continues, with at least the policy's `release_grace` left.
    release, Release, "/v1/orders/{order_id}/release", ReleaseFields,
    "`not_held`: the order never had a hold of this id"
);
command!(
    /// Cancel the order before its shipment.
    cancel, Cancel, "/v1/orders/{order_id}/cancel", CancelFields,
    "`not_cancellable`: the order's status does not permit it; `allowed` lists what it does"
);
command!(
    /// Report that the money was paid back.
    refund, Refund, "/v1/orders/{order_id}/refund", RefundFields,
    "`not_refundable`: the order's status does not permit it; `allowed` lists what it does"
);
