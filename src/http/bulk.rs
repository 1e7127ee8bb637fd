//! Many commands, one per line, streamed in both directions: answers are sent in order while
//! further lines arrive.
//!
//! Lines are queued with the engine one after another, so the commands of one order are applied in
//! the order of their lines. Up to [`IN_FLIGHT`] answers are awaited at once. If the engine's queue
//! is full, no further line is read.

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
use super::idle_timeout::idle_timeout;
use super::lines::{BodyLine, LINE_BYTES, Lines};
use super::problem::Problem;
use crate::engine::{Engine, PendingReply, ReplyOutcome, SubmitError};
use crate::wire::InputError;
use crate::wire::line::{CommandLine, InvalidLine, LineAnswer, LineResult, read_line};

/// Limit of lines that are read but not yet answered, per stream.
pub const IN_FLIGHT: usize = 1_024;
/// Limit of answers in one chunk of the response.
const ANSWERS_PER_CHUNK: usize = 256;

/// Many commands.
///
/// One command per line, streamed in both directions. Each line is an object with `order_id`,
/// `command` and the command's own fields. Each gets one line as its answer, in order, while
/// further lines arrive. The commands of one order are applied in the order of their lines. A bad
/// line does not affect the others. A line has at most 65,536 bytes; the number of lines is not
/// limited.
#[utoipa::path(post, path = "/v1/commands", tag = "commands",
    request_body(content = CommandLine, content_type = "application/x-ndjson",
        description = "One command per line."),
    responses((status = 200, description = "One answer per line.", body = LineAnswer,
        content_type = "application/x-ndjson")))]
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
    let (chunks, received) = mpsc::channel(1);
    tokio::spawn(send(answers(engine, lines), chunks, permit, api.streams.clone()));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(until_end(received)))
        .into_response())
}

/// Sends the answers, then [`None`] as the end mark. Releases `permit` after the last answer, or
/// when the client reads nothing for too long.
async fn send(
    answers: impl Stream<Item = Bytes>,
    chunks: mpsc::Sender<Option<Bytes>>,
    permit: OwnedSemaphorePermit,
    streams: Arc<Semaphore>,
) {
    let mut answers = pin!(answers);
    while let Some(chunk) = answers.next().await {
        tokio::select! {
            sent = chunks.send(Some(chunk)) => if sent.is_err() { return },
            () = idle_timeout(&streams) => return,
        }
    }
    drop(permit);
    let _ = chunks.send(None).await;
}

/// The response body. Fails if the end mark is missing, so that a client sees that answers are
/// missing.
fn until_end(
    received: mpsc::Receiver<Option<Bytes>>,
) -> impl Stream<Item = Result<Bytes, io::Error>> {
    stream::try_unfold(received, |mut received| async {
        let chunk = received.recv().await.ok_or(io::ErrorKind::TimedOut)?;
        Ok(chunk.map(|chunk| (chunk, received)))
    })
}

fn answers(engine: Arc<Engine>, lines: Lines) -> impl Stream<Item = Bytes> {
    let lines =
        stream::unfold(lines, |mut lines| async { lines.next().await.map(|line| (line, lines)) });
    lines
        .then(move |(number, line)| begin(engine.clone(), number, line))
        .map(StartedLine::finish)
        .buffered(IN_FLIGHT)
        .ready_chunks(ANSWERS_PER_CHUNK)
        .map(|answers| answers.concat().into())
}

/// A line whose command is queued, or whose answer is already an error.
struct StartedLine {
    number: u64,
    id: Option<OrderId>,
    state: Result<PendingReply, LineFailure>,
}

impl StartedLine {
    fn failed(number: u64, failure: LineFailure) -> StartedLine {
        StartedLine { number, id: None, state: Err(failure) }
    }
}

/// The reason why a line was not applied.
struct LineFailure {
    result: LineResult,
    problem: Problem,
}

async fn begin(engine: Arc<Engine>, number: u64, line: BodyLine) -> StartedLine {
    let failure = match line {
        BodyLine::Text(text) => return begin_text(&engine, number, &text).await,
        BodyLine::TooLong => LineFailure::invalid(too_long()),
        BodyLine::TooSlow => LineFailure::unavailable(Problem::too_slow()),
        BodyLine::Stopping => SubmitError::Stopping.into(),
    };
    StartedLine::failed(number, failure)
}

async fn begin_text(engine: &Engine, number: u64, text: &[u8]) -> StartedLine {
    match read_line(text) {
        Ok((id, command)) => {
            let state = engine.enqueue(id.clone(), command).await.map_err(LineFailure::from);
            StartedLine { number, id: Some(id), state }
        }
        Err(InvalidLine { order_id, wrong }) => {
            StartedLine { number, id: order_id, state: Err(LineFailure::invalid(wrong)) }
        }
    }
}

fn too_long() -> InputError {
    InputError::value("line", format_args!("is longer than {LINE_BYTES} bytes; shorten `data`"))
}

impl LineFailure {
    fn invalid(wrong: InputError) -> LineFailure {
        LineFailure { result: LineResult::Invalid, problem: wrong.into() }
    }

    fn unavailable(problem: Problem) -> LineFailure {
        LineFailure { result: LineResult::Unavailable, problem }
    }
}

impl From<SubmitError> for LineFailure {
    fn from(error: SubmitError) -> LineFailure {
        LineFailure::unavailable(error.into())
    }
}

impl StartedLine {
    /// Waits for the answer.
    async fn finish(self) -> Vec<u8> {
        let reply = match self.state {
            Ok(pending) => pending.await.map_err(LineFailure::from),
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
    // Serialization cannot fail: the answer has only texts and numbers.
    let mut text = serde_json::to_vec(&answer).unwrap_or_default();
    text.push(b'\n');
    text
}
