//! Checks that apply to every route.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;

use super::problem::Problem;

/// Refuses a request that could change something and comes from a web page of another site.
pub fn refusal(request: &Request) -> Option<Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    (!reads && !is_own_page(request)).then(Problem::foreign_page)
}

/// Browsers send the page's origin with every request that could change something, also without a
/// body. Other clients send none.
fn is_own_page(request: &Request) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.zip(host(request)).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
}

/// The request's host with its port; `None` for HTTP/1.0, which no browser uses.
fn host(request: &Request) -> Option<&str> {
    let named =
        || request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    request.uri().authority().map(Authority::as_str).or_else(named)
}

/// True if the request's host is a name of this machine for itself. A web page can resolve its own
/// name to a loopback address (DNS rebinding), and would then have the same origin as a service
/// without tokens.
pub fn asks_this_machine(request: &Request) -> bool {
    host(request).is_none_or(is_this_machine)
}

/// True for `localhost`, a name below it, or a loopback address, with or without a port.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
        }
    }
}

/// Keeps responses out of caches, and stops browsers from showing one as a page.
pub fn keep_private(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// True if the content type is one of `types`; its parameters are ignored. A form on a foreign page
/// cannot send any of them.
pub fn has_type(headers: &HeaderMap, types: &[&str]) -> bool {
    let Some(Ok(sent)) = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    let sent = sent.split(';').next().unwrap_or_default().trim();
    types.iter().any(|known| known.eq_ignore_ascii_case(sent))
}
