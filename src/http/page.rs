//! The OpenAPI document as a web page.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use super::problem::Problem;
use super::routes::Routes;

/// Path of the API's documentation.
pub const DOCUMENTATION: &str = "/docs";

/// Adds the routes of the page.
pub fn with_page(routes: Routes) -> Routes {
    routes.open(routes!(docs)).open(routes!(docs_file))
}

/// The page can load only files of this service.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// The documentation page.
#[utoipa::path(get, path = "/docs", tag = "operations", responses(
    (status = 303, description = "The page is at `/docs/index.html`."),
))]
async fn docs() -> Redirect {
    Redirect::to("/docs/index.html")
}

/// A file of the documentation page.
#[utoipa::path(get, path = "/docs/{file}", tag = "operations",
    params(("file" = String, Path, description = "The file's name.", example = "index.html")),
    responses(
        (status = 200, description = "The file.", content_type = "*/*"),
        (status = 404, description = "`not_found`: there is no such file"),
    ))]
async fn docs_file(file: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    // Without "none" the page would ask a validator on the internet about the document.
    let config = Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true);
    let found = file
        .ok()
        .and_then(|Path(file)| utoipa_swagger_ui::serve(&file, config.into()).ok().flatten());
    let found =
        found.ok_or_else(|| Problem::not_found("the documentation has no file of this name"))?;
    let headers = [(header::CONTENT_TYPE, found.content_type)];
    Ok((headers, [(header::CONTENT_SECURITY_POLICY, POLICY)], found.bytes.into_owned())
        .into_response())
}
