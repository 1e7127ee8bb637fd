//! Shared connections to one server.
//!
//! A connection is dropped after any failure or time-out, because the server may be gone without
//! notice. Answers for other callers on it can still arrive.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use tokio::sync::Mutex;
use tokio::time::timeout_at;

use crate::connect::Connector;
use crate::failure::server_text;
use crate::{
    Address, Deadline, DedicatedConnection, Failure, Options, OptionsError, PatternSubscription,
    Script,
};

/// A bounded number of connections to one server. Callers share them in turn. Each is opened when
/// first used, and opened again after a failure or a time-out.
pub struct Link {
    connector: Connector,
    slots: Vec<ConnectionSlot>,
    turn: AtomicUsize,
    made: AtomicU64,
    lost: AtomicU64,
    timeout: Duration,
}

/// One connection with its number; newer connections have higher numbers.
type ConnectionSlot = Mutex<Option<(u64, MultiplexedConnection)>>;

impl Link {
    /// A link to the server at `address`. Opens no connection yet.
    ///
    /// # Errors
    /// If the authorities' certificates cannot be used.
    pub fn new(address: &Address, options: Options) -> Result<Link, OptionsError> {
        let connector = Connector::new(address, &options)?;
        let slots = (0..options.connections).map(|_| Mutex::new(None)).collect();
        Ok(Link {
            connector,
            slots,
            turn: AtomicUsize::new(0),
            made: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            timeout: options.timeout,
        })
    }

    /// The deadline of a call that starts now.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout)
    }

    /// How often connections to the server were lost. Do not use a dedicated connection from an
    /// earlier era.
    #[must_use]
    pub fn era(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Sends all commands of `pipe` and returns one answer for each, error answers included.
    ///
    /// # Errors
    /// See [`Failure`]. No command is ever sent twice.
    pub async fn send(&self, pipe: &Pipeline) -> Result<Vec<Value>, Failure> {
        self.send_by(self.deadline(), pipe).await
    }

    /// Runs calls of `script`. If the server does not have the script, the calls were not carried
    /// out and are sent again with the source.
    ///
    /// Returns one answer for each call. An error answer is [`Failure::Refused`].
    pub async fn run(&self, script: &Script, calls: &Pipeline) -> Vec<Result<Value, Failure>> {
        let deadline = self.deadline();
        let mut answers = self.attempt(deadline, calls).await;
        let mut again = Pipeline::new();
        let mut indexes = Vec::new();
        for (index, call) in calls.cmd_iter().enumerate() {
            if answers.get(index).is_some_and(lacks_script) {
                again.add_command(script.with_source(call));
                indexes.push(index);
            }
        }
        for (index, answer) in indexes.into_iter().zip(self.attempt(deadline, &again).await) {
            answers[index] = answer;
        }
        answers
    }

    /// Opens a connection for one caller, in addition to the shared ones.
    ///
    /// # Errors
    /// If it cannot be opened by the deadline.
    pub async fn connect_by(&self, deadline: Deadline) -> Result<DedicatedConnection, Failure> {
        self.connector.open(deadline).await.map(DedicatedConnection::new)
    }

    /// Subscribes to the channels that match `pattern`, on a separate connection.
    ///
    /// # Errors
    /// If the subscription is not confirmed by the deadline.
    pub async fn subscribe_by(
        &self,
        deadline: Deadline,
        pattern: &str,
    ) -> Result<PatternSubscription, Failure> {
        let connection = self.connector.open_pubsub(deadline).await?;
        PatternSubscription::begin(connection, deadline, pattern).await
    }

    async fn attempt(&self, deadline: Deadline, calls: &Pipeline) -> Vec<Result<Value, Failure>> {
        match self.send_by(deadline, calls).await {
            Ok(answers) => answers.into_iter().map(or_refusal).collect(),
            Err(failure) => vec![Err(failure); calls.len()],
        }
    }

    async fn send_by(&self, deadline: Deadline, pipe: &Pipeline) -> Result<Vec<Value>, Failure> {
        // An empty pipeline needs no connection.
        if pipe.is_empty() {
            return Ok(Vec::new());
        }
        let slot = &self.slots[self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
        let (number, mut connection) = self.connection(slot, deadline).await?;
        let answers = exchange(&mut connection, deadline, pipe).await;
        match &answers {
            Ok(_) => {}
            Err(failure) if failure.timed_out() => give_up(slot, number),
            // The server is gone, and all connections with it. Drop all, so that not every caller
            // fails once.
            Err(_) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                let made = self.made.load(Ordering::Relaxed);
                for slot in &self.slots {
                    give_up(slot, made);
                }
            }
        }
        answers
    }

    /// The slot's connection, opened if there is none. Waits while another caller opens it.
    async fn connection(
        &self,
        slot: &ConnectionSlot,
        deadline: Deadline,
    ) -> Result<(u64, MultiplexedConnection), Failure> {
        let Ok(mut held) = timeout_at(deadline.at(), slot.lock()).await else {
            return Err(Failure::no_connection_by(deadline));
        };
        if let Some(connection) = held.as_ref() {
            return Ok(connection.clone());
        }
        let connection = self.connector.open(deadline).await?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Ok(held.insert((number, connection)).clone())
    }
}

/// Sends all commands of `pipe` on a connection. After a failure the connection must be dropped.
pub(crate) async fn exchange(
    connection: &mut MultiplexedConnection,
    deadline: Deadline,
    pipe: &Pipeline,
) -> Result<Vec<Value>, Failure> {
    let sending = connection.send_packed_commands(pipe, 0, pipe.len());
    match timeout_at(deadline.at(), sending).await {
        Ok(Ok(answers)) if answers.len() == pipe.len() => Ok(answers),
        Ok(Ok(_)) => Err(Failure::Unanswered("Redis sent too few answers".to_owned().into())),
        Ok(Err(error)) => Err(Failure::Unanswered(error.into())),
        Err(_) => Err(Failure::no_answer_by(deadline)),
    }
}

/// Drops the slot's connection if its number is at most `until`. Skips a locked slot: it is being
/// opened.
fn give_up(slot: &ConnectionSlot, until: u64) {
    if let Ok(mut held) = slot.try_lock() {
        held.take_if(|(number, _)| *number <= until);
    }
}

fn lacks_script(answer: &Result<Value, Failure>) -> bool {
    matches!(answer, Err(Failure::Refused(cause)) if cause.as_str().starts_with("NOSCRIPT"))
}

fn or_refusal(answer: Value) -> Result<Value, Failure> {
    match answer {
        Value::ServerError(error) => Err(Failure::Refused(server_text(&error).into())),
        answer => Ok(answer),
    }
}
