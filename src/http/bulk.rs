//! Many commands as lines, streamed in both directions: answers go out, in order, while lines still
//! come in.
//!
//! Lines are queued with the engine one after another, so the commands of one order are carried out
//! in the order of their lines; only the answers are waited for side by side. Where the engine's
//! queue is full, no further line is read.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use autoreceive_domain::{Order, OrderId};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Api;
use super::guard::has_type;
use super::idle_timeout::dawdled;
use super::lines::{Line, Lines, MOST};
use super::problem::Problem;
use crate::engine::{Engine, Pending, ReplyOutcome, SubmitError};
use crate::wire::InputError;
use crate::wire::line::{CommandLine, LineAnswer, LineResult, InvalidLine, read_line};

/// The most lines of a stream that are read and not yet answered.
pub const IN_FLIGHT: usize = 1_024;
/// The most answers that go out in one piece.
const TOGETHER: usize = 256;

/// Many commands.
///
/// Commands as lines, streamed in both directions: each line is an object with `order_id`,
/// `command` and the command's own fields, and is answered by a line, in order, while others still
/// come in. The commands of one order are carried out in the order of their lines. One bad line
/// harms no other. A line has at most 65,536 bytes; there may be any number of them.
#[utoipa::path(post, path = "/v1/commands", tag = "commands",
    request_body(content = CommandLine, content_type = "application/x-ndjson", description = "One command a line."),
    responses((status = 200, description = "One answer a line.", body = LineAnswer, content_type = "application/x-ndjson")))]
pub(super) async fn commands(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    if !has_type(request.headers(), &["application/x-ndjson", "application/json"]) {
        return Err(Problem::wrong_type("application/x-ndjson"));
    }
    let engine = Arc::new(api.engine()?.clone());
    let permit = api.streams.clone().try_acquire_owned()?;
    let lines = Lines::new(request.into_body(), api.streams.clone(), api.stop.clone());
    let (going_out, taken) = mpsc::channel(1);
    tokio::spawn(send(answers(engine, lines), going_out, permit, api.streams.clone()));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(until_end(taken)))
        .into_response())
}

/// Sends answers as they are taken, and [`None`] after the last. The stream has its place until
/// then, unless its client takes none for too long.
async fn send(
    answers: impl Stream<Item = Bytes>,
    going_out: mpsc::Sender<Option<Bytes>>,
    place: OwnedSemaphorePermit,
    places: Arc<Semaphore>,
) {
    let mut answers = pin!(answers);
    while let Some(chunk) = answers.next().await {
        tokio::select! {
            sent = going_out.send(Some(chunk)) => if sent.is_err() { return },
            () = dawdled(&places) => return,
        }
    }
    drop(place);
    let _ = going_out.send(None).await;
}

/// The body of the answer, which breaks off where its end was not reached, so that nobody takes a
/// part for all.
fn until_end(taken: mpsc::Receiver<Option<Bytes>>) -> impl Stream<Item = Result<Bytes, io::Error>> {
    stream::try_unfold(taken, |mut taken| async {
        let chunk = taken.recv().await.ok_or(io::ErrorKind::TimedOut)?;
        Ok(chunk.map(|chunk| (chunk, taken)))
    })
}

fn answers(engine: Arc<Engine>, lines: Lines) -> impl Stream<Item = Bytes> {
    let lines =
        stream::unfold(lines, |mut lines| async { lines.next().await.map(|line| (line, lines)) });
    lines
        .then(move |(number, line)| begin(engine.clone(), number, line))
        .map(Begun::finish)
        .buffered(IN_FLIGHT)
        .ready_chunks(TOGETHER)
        .map(|answers| answers.concat().into())
}

/// A line whose command was queued, or that needs no engine.
struct Begun {
    number: u64,
    id: Option<OrderId>,
    state: Result<Pending, Failure>,
}

/// Why a line was not carried out.
struct Failure {
    result: LineResult,
    problem: Problem,
}

async fn begin(engine: Arc<Engine>, number: u64, line: Line) -> Begun {
    let text = match line {
        Line::Text(text) => text,
        Line::TooLong => {
            return Begun { number, id: None, state: Err(Failure::invalid(too_long())) };
        }
        Line::TooSlow => {
            return Begun {
                number,
                id: None,
                state: Err(Failure::unavailable(Problem::too_slow())),
            };
        }
        Line::Stopping => {
            return Begun { number, id: None, state: Err(SubmitError::Stopping.into()) };
        }
    };
    match read_line(&text) {
        Ok((id, command)) => {
            let state = engine.enqueue(id.clone(), command).await.map_err(Failure::from);
            Begun { number, id: Some(id), state }
        }
        Err(InvalidLine { order_id, wrong }) => {
            Begun { number, id: order_id, state: Err(Failure::invalid(wrong)) }
        }
    }
}

fn too_long() -> InputError {
    InputError::value("line", format_args!("has more than {MOST} bytes"))
}

impl Failure {
    fn invalid(wrong: InputError) -> Failure {
        Failure { result: LineResult::Invalid, problem: wrong.into() }
    }

    fn unavailable(problem: Problem) -> Failure {
        Failure { result: LineResult::Unavailable, problem }
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Failure {
        Failure::unavailable(error.into())
    }
}

impl Begun {
    /// The answer, when there is one.
    async fn finish(self) -> Vec<u8> {
        let reply = match self.state {
            Ok(pending) => pending.await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        let (number, id) = (self.number, self.id);
        match reply {
            Err(failure) => answer(number, id, None, failure.result, Some(failure.problem)),
            Ok(reply) => {
                let order = reply.order.as_ref().map(|(order, _)| order);
                match reply.outcome {
                    ReplyOutcome::Changed => answer(number, id, order, LineResult::Changed, None),
                    ReplyOutcome::Unchanged => {
                        answer(number, id, order, LineResult::Unchanged, None)
                    }
                    ReplyOutcome::Rejected(rejection) => {
                        answer(number, id, order, LineResult::Rejected, Some(rejection.into()))
                    }
                    ReplyOutcome::UnknownPolicy(unknown) => {
                        answer(number, id, None, LineResult::Invalid, Some(unknown.into()))
                    }
                }
            }
        }
    }
}

fn answer(
    line: u64,
    order_id: Option<OrderId>,
    order: Option<&Arc<Order>>,
    result: LineResult,
    problem: Option<Problem>,
) -> Vec<u8> {
    let status = order.map(|order| order.status);
    let version = order.map(|order| order.version);
    let error = problem.map(Problem::of_line);
    let answer = LineAnswer { line, order_id, result, status, version, error };
    // Texts and numbers cannot fail to become JSON.
    let mut text = serde_json::to_vec(&answer).unwrap_or_default();
    text.push(b'\n');
    text
}
