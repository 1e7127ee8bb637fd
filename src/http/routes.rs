//! The table of routes. Every route has a role (or is open) and an entry in the OpenAPI document.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::Api;
use super::auth::Gate;
use super::document;
use crate::access::Role;

/// Routes and their documentation. Add a route with [`Routes::needs`] or [`Routes::open`] and
/// `routes!(handler)`.
pub struct Routes {
    router: OpenApiRouter<Arc<Api>>,
    gate: Gate,
}

impl Routes {
    /// An empty table; `gate` checks the tokens.
    pub fn behind(gate: &Gate) -> Routes {
        Routes { router: OpenApiRouter::new(), gate: gate.clone() }
    }

    /// Adds a route that needs at least `role`.
    pub fn needs(
        self,
        role: Role,
        (schemas, mut paths, methods): UtoipaMethodRouter<Arc<Api>>,
    ) -> Routes {
        let Routes { router, gate } = self;
        document::complete(&schemas, &mut paths, Some(role));
        let gate_of_route = gate.clone();
        let methods = methods.route_layer(from_fn(move |request: Request, next: Next| {
            let refusal = gate_of_route.refusal(&request, role);
            async move {
                match refusal {
                    None => next.run(request).await,
                    Some(problem) => problem.into_response(),
                }
            }
        }));
        Routes { router: router.routes((schemas, paths, methods)), gate }
    }

    /// Adds a route that needs no token. It must reveal nothing about any order.
    pub fn open(self, (schemas, mut paths, methods): UtoipaMethodRouter<Arc<Api>>) -> Routes {
        document::complete(&schemas, &mut paths, None);
        Routes { router: self.router.routes((schemas, paths, methods)), gate: self.gate }
    }

    /// The routes and their OpenAPI document.
    pub fn finish(self) -> (Router<Arc<Api>>, OpenApi) {
        self.router.split_for_parts()
    }
}
