//! The body of a single command: JSON, limited in size and time.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use futures_util::StreamExt;

use super::guard::has_type;
use super::problem::Problem;

/// Limit of a body in bytes.
const BODY_BYTES: usize = 64 * 1024;
/// Bytes beyond the limit that are read and discarded before the connection is closed.
const DISCARDED_BYTES: usize = 1024 * 1024;
/// Time limit for the whole body.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// The JSON text of a command's fields; `{}` if the request has no body.
pub struct Json(pub Vec<u8>);

impl<S: Sync> FromRequest<S> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Json, Problem> {
        let typed = has_type(request.headers(), &["application/json"]);
        if !typed && request.headers().contains_key(header::CONTENT_TYPE) {
            return Err(Problem::wrong_type("application/json"));
        }
        let read = tokio::time::timeout(ARRIVES_WITHIN, read(request.into_body()));
        match read.await.map_err(|_| Problem::too_slow())?? {
            empty if empty.trim_ascii().is_empty() => Ok(Json(b"{}".to_vec())),
            _ if !typed => Err(Problem::wrong_type("application/json")),
            json => Ok(Json(json)),
        }
    }
}

/// Reads the whole body. A body over the limit is read a little further and discarded: most clients
/// read only after they have written everything, and would otherwise see a closed connection in
/// place of the response.
async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut left = BODY_BYTES + DISCARDED_BYTES;
    if body.size_hint().lower() > left as u64 {
        return Err(Problem::too_large(BODY_BYTES));
    }
    let mut bytes = Vec::new();
    let mut fits = true;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("the body is incomplete"))?;
        left = left.checked_sub(chunk.len()).ok_or_else(|| Problem::too_large(BODY_BYTES))?;
        fits &= bytes.len() + chunk.len() <= BODY_BYTES;
        if fits {
            bytes.extend_from_slice(&chunk);
        }
    }
    if fits { Ok(bytes) } else { Err(Problem::too_large(BODY_BYTES)) }
}
