//! Stands in for [`super::page`] in a build without the documentation page. The document itself is
//! served.

use super::routes::Routes;

/// Path of the API's documentation.
pub const DOCUMENTATION: &str = "/openapi.json";

/// Adds nothing.
pub fn with_page(routes: Routes) -> Routes {
    routes
}
