//! A build without the page of the OpenAPI document; the document itself is there.

use super::routes::Routes;

/// Where people read what there is.
pub const DOCUMENTATION: &str = "/openapi.json";

/// The same routes.
pub fn with_page(routes: Routes) -> Routes {
    routes
}
