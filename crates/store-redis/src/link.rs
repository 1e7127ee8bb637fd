//! The connections: opened when first used, opened again after a failure, used in turn, so that a large answer on one does
//! not hold up everybody.
//!
//! A connection is given up after any failure, a time-out too: the other end may be gone without a word. What other
//! callers wait for on it still arrives, if it ever does.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, Pipeline, RedisError, ServerError, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::script::Script;

/// Why a call had no answer that can be used.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// It was not sent: there is no connection.
    Unreachable(String),
    /// It was not carried out, and nothing was written.
    Refused(String),
    /// It was sent; nobody knows.
    Unanswered(String),
}

impl Failure {
    pub(super) fn text(self) -> String {
        match self {
            Failure::Unreachable(text) | Failure::Refused(text) | Failure::Unanswered(text) => text,
        }
    }

    /// Whether it can pass by itself: nobody answers, or a server that is still reading its file or busy with a script.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Failure::Unreachable(_) | Failure::Unanswered(_) => true,
            Failure::Refused(text) => ["LOADING", "BUSY ", "TRYAGAIN"].iter().any(|code| text.starts_with(code)),
        }
    }
}

/// What an error answer says.
pub(super) fn server_text(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default()).trim_end().to_owned()
}

pub(super) struct Link {
    client: Client,
    slots: Vec<Slot>,
    turn: AtomicUsize,
    made: AtomicU64,
    /// How often the server was found to be gone.
    lost: AtomicU64,
    timeout: Duration,
}

/// A place for one connection, with its number: later ones have higher numbers.
type Slot = Mutex<Option<(u64, MultiplexedConnection)>>;

impl Link {
    pub(super) fn new(client: Client, connections: usize, timeout: Duration) -> Link {
        let slots = (0..connections).map(|_| Mutex::new(None)).collect();
        Link { client, slots, turn: AtomicUsize::new(0), made: AtomicU64::new(0), lost: AtomicU64::new(0), timeout }
    }

    /// Sends all commands of `pipe` and returns an answer for each, error answers among them.
    pub(super) async fn send(&self, pipe: &Pipeline) -> Result<Vec<Value>, Failure> {
        if pipe.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + self.timeout;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let slot = &self.slots[turn];
        let (number, mut connection) = match timeout_at(deadline, self.connection(slot)).await {
            Ok(connection) => connection?,
            Err(_) => return Err(Failure::Unreachable(format!("no connection within {:?}", self.timeout))),
        };
        let answers = self.exchange(deadline, &mut connection, pipe).await;
        match &answers {
            // The server has gone, and with it every connection made before; not each caller should find that out.
            Err(Failure::Unanswered(_)) if Instant::now() < deadline => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.slots.iter().for_each(|slot| give_up(slot, self.made.load(Ordering::Relaxed)));
            }
            Err(_) => give_up(slot, number),
            Ok(_) => {}
        }
        answers
    }

    /// How often the server was found to be gone: connections from before are not to be trusted.
    pub(super) fn era(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// When a call that begins now is to be answered.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends all commands of `pipe` on a connection, which is of no use after a failure.
    pub(super) async fn exchange(
        &self,
        deadline: Instant,
        connection: &mut MultiplexedConnection,
        pipe: &Pipeline,
    ) -> Result<Vec<Value>, Failure> {
        let failure = match timeout_at(deadline, connection.send_packed_commands(pipe, 0, pipe.len())).await {
            Ok(Ok(answers)) if answers.len() == pipe.len() => return Ok(answers),
            Ok(Ok(_)) => "an answer is missing".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        Err(Failure::Unanswered(failure))
    }

    async fn connection(&self, slot: &Slot) -> Result<(u64, MultiplexedConnection), Failure> {
        let mut held = slot.lock().await;
        if let Some(connection) = held.as_ref() {
            return Ok(connection.clone());
        }
        let connection = self.connect().await?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Ok(held.insert((number, connection)).clone())
    }

    /// A new connection, for the caller alone.
    async fn connect(&self) -> Result<MultiplexedConnection, Failure> {
        // The crate's own limit on answers would be 500 ms; the configured one is kept here.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(Some(self.timeout));
        self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(no_connection)
    }

    /// A new connection by `deadline`, for the caller alone.
    pub(super) async fn connect_by(&self, deadline: Instant) -> Option<MultiplexedConnection> {
        timeout_at(deadline, self.connect()).await.ok()?.ok()
    }

    /// Runs calls of a script, and those again, with its source, that met a server without it: they were not carried out.
    pub(super) async fn run(&self, script: &Script, calls: &Pipeline) -> Vec<Result<Value, Failure>> {
        let mut answers = self.attempt(calls).await;
        let (mut again, mut places) = (Pipeline::new(), Vec::new());
        for (place, call) in calls.cmd_iter().enumerate() {
            if matches!(answers.get(place), Some(Err(Failure::Refused(text))) if text.starts_with("NOSCRIPT")) {
                again.add_command(script.with_source(call));
                places.push(place);
            }
        }
        for (place, answer) in places.into_iter().zip(self.attempt(&again).await) {
            answers[place] = answer;
        }
        answers
    }

    async fn attempt(&self, calls: &Pipeline) -> Vec<Result<Value, Failure>> {
        match self.send(calls).await {
            Ok(answers) => answers.into_iter().map(refusal).collect(),
            Err(failure) => vec![Err(failure); calls.len()],
        }
    }
}

/// A server that does not accept the password or the database's number is there; any other trouble is on the way to it.
fn no_connection(error: RedisError) -> Failure {
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(_) => Failure::Refused(error.to_string()),
        _ => Failure::Unreachable(error.to_string()),
    }
}

/// Forgets the slot's connection where it was made by then. A slot that is locked is getting a new one.
fn give_up(slot: &Slot, until: u64) {
    if let Ok(mut held) = slot.try_lock() {
        held.take_if(|(number, _)| *number <= until);
    }
}

/// An error answer to a script means that nothing was written: each checks everything before its first write.
fn refusal(answer: Value) -> Result<Value, Failure> {
    match answer {
        Value::ServerError(error) => Err(Failure::Refused(server_text(&error))),
        answer => Ok(answer),
    }
}
