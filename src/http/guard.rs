//! What is let in, and how long it may take.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ANSWER_WITHIN;
use super::problem::Problem;

/// Refuses to change anything for a web page of another site. Every browser names the page's origin with such a request, a
/// command without a body among them, and no other client names one.
pub async fn refuse_foreign_pages(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || is_own_page(request.headers()) { next.run(request).await } else { Problem::foreign_page().into_response() }
}

fn is_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    origin.zip(host).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
}

/// Gives up a request that is not answered in time. What was asked may still be carried out.
pub async fn answer_in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timed_out().into_response(),
    }
}

/// Orders are nobody else's business: no proxy keeps an answer, and no browser takes one for a page.
pub async fn keep_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether the content type is one of `types`, whatever its parameters. Forms of foreign pages can send none of ours.
pub fn has_type(headers: &HeaderMap, types: &[&str]) -> bool {
    let Some(Ok(sent)) = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str) else { return false };
    let sent = sent.split(';').next().unwrap_or_default().trim();
    types.iter().any(|known| known.eq_ignore_ascii_case(sent))
}
