//! The body of a single command: JSON, short, and sent without delay.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use futures_util::StreamExt;

use super::guard::has_type;
use super::problem::Problem;

/// The most bytes of a command.
const MOST: usize = 64 * 1024;
/// How much more is read before the connection is broken.
const THROWN_AWAY: usize = 1024 * 1024;
/// How long a command may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// The JSON text of a command's fields. A request without a body has none: `{}`.
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

/// Reads all of a short body. Of a longer one a little more is read and thrown away: most clients
/// write everything before they read, and would find the connection broken in place of the answer.
async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut left = MOST + THROWN_AWAY;
    if body.size_hint().lower() > left as u64 {
        return Err(Problem::too_large(MOST));
    }
    let (mut bytes, mut fits, mut chunks) = (Vec::new(), true, body.into_data_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("the body broke off"))?;
        left = left.checked_sub(chunk.len()).ok_or_else(|| Problem::too_large(MOST))?;
        fits &= bytes.len() + chunk.len() <= MOST;
        if fits {
            bytes.extend_from_slice(&chunk);
        }
    }
    if fits { Ok(bytes) } else { Err(Problem::too_large(MOST)) }
}
