//! The connections to the shop's Redis, and everything that is asked there. What is written there is written by the two
//! scripts in `lua/`, and nowhere else but where `set_notifications` is on.

use std::time::Duration;

use autoreceive_domain::OrderId;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisResult, Value};
use tokio::sync::Mutex;

use super::shapes::{Shape, mark};
use super::words::{Status, WORD_BYTES, Words};

/// How long a mark stands, 7 days: much longer than a worker's crash and its mending take.
const MARK_MS: u64 = 7 * 24 * 3_600 * 1_000;
const GUARD: &str = include_str!("lua/guard.lua");
const DONE: &str = include_str!("lua/done.lua");

/// The shop's Redis, and which keys there are the shop's orders.
pub struct Shop {
    client: Client,
    timeout: Duration,
    /// One for reading, one for the guard: an answer with many keys holds up no receipt.
    reading: Mutex<Option<MultiplexedConnection>>,
    guarding: Mutex<Option<MultiplexedConnection>>,
    /// The keys that hold the status of an order.
    pub statuses: Shape,
    /// The keys whose end the shop's own code waits for.
    pub triggers: Shape,
    /// The words in the status keys.
    pub words: Words,
}

/// What the guard's script answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The receipt is to be committed.
    Ours,
    /// The shop's status is another.
    Status(Status),
}

/// When a trigger ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// In so many milliseconds.
    In(i64),
    /// Never: it has no time to live.
    Never,
    /// There is none (any more).
    Gone,
}

/// A page of a scan.
pub struct ScanPage {
    /// Where the next page begins; 0 after the last.
    pub cursor: u64,
    /// The keys, as they are.
    pub keys: Vec<Vec<u8>>,
}

impl Shop {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// Where `url` is no address of a Redis; it is not repeated.
    pub fn new(url: &str, timeout: Duration, statuses: Shape, triggers: Shape, words: Words) -> Result<Shop, String> {
        let client = Client::open(url).map_err(|_| "is not the address of a Redis server".to_owned())?;
        Ok(Shop { client, timeout, reading: Mutex::default(), guarding: Mutex::default(), statuses, triggers, words })
    }

    /// The number of the database.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.client.get_connection_info().redis_settings().db()
    }

    /// The answers to a pipeline of commands that read, error answers among them.
    pub(super) async fn read(&self, pipe: &Pipeline) -> Result<Vec<Value>, String> {
        self.send(&self.reading, pipe).await
    }

    async fn send(&self, slot: &Mutex<Option<MultiplexedConnection>>, pipe: &Pipeline) -> Result<Vec<Value>, String> {
        if pipe.is_empty() {
            return Ok(Vec::new());
        }
        let sent = async { self.connection(slot).await?.send_packed_commands(pipe, 0, pipe.len()).await };
        let failure = match tokio::time::timeout(self.timeout, sent).await {
            Ok(Ok(answers)) if answers.len() == pipe.len() => return Ok(answers),
            Ok(Ok(_)) => "an answer is missing".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        // The other end may be gone without a word. Where the lock is taken, somebody is opening a new connection.
        if let Ok(mut held) = slot.try_lock() {
            held.take();
        }
        Err(format!("the shop's Redis: {failure}"))
    }

    async fn connection(&self, slot: &Mutex<Option<MultiplexedConnection>>) -> RedisResult<MultiplexedConnection> {
        let mut held = slot.lock().await;
        if let Some(connection) = held.as_ref() {
            return Ok(connection.clone());
        }
        // The crate's own limits would be shorter; `send` keeps the configured one.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        Ok(held.insert(self.client.get_multiplexed_async_connection_with_config(&config).await?).clone())
    }

    /// A connection that is told of every change of a status key.
    pub(super) async fn listener(&self) -> Result<PubSub, String> {
        let channels = format!("__keyspace@{}__:{}", self.database(), self.statuses.pattern());
        let subscribed = async {
            let mut listener = self.client.get_async_pubsub().await?;
            listener.psubscribe(channels).await?;
            RedisResult::Ok(listener)
        };
        match tokio::time::timeout(self.timeout, subscribed).await {
            Ok(listener) => listener.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }

    /// The status key that a channel's name ends with.
    pub(super) fn key_of_channel<'a>(&self, channel: &'a [u8]) -> Option<&'a [u8]> {
        channel.strip_prefix(format!("__keyspace@{}__:", self.database()).as_bytes())
    }

    /// Up to about `count` keys of `shape` from where `cursor` points.
    pub(super) async fn scan(&self, shape: &Shape, cursor: u64, count: usize) -> Result<ScanPage, String> {
        let mut pipe = Pipeline::new();
        pipe.cmd("SCAN").arg(cursor).arg("MATCH").arg(shape.pattern()).arg("COUNT").arg(count);
        let answer = self.read(&pipe).await?.pop().unwrap_or(Value::Nil);
        let (cursor, keys): (u64, Vec<Vec<u8>>) = answered(answer)?;
        Ok(ScanPage { cursor, keys })
    }

    /// The status of each order. No more of a value is read than a word has, whatever somebody put there; a key that is no
    /// string spoils only its own answer.
    pub(super) async fn statuses(&self, ids: &[OrderId]) -> Result<Vec<Status>, String> {
        let mut pipe = Pipeline::with_capacity(ids.len());
        for id in ids {
            pipe.cmd("GETRANGE").arg(self.statuses.key(id)).arg(0).arg(WORD_BYTES - 1);
        }
        self.read(&pipe).await?.into_iter().map(status).collect()
    }

    /// When the trigger of each order ends.
    pub(super) async fn ends(&self, ids: &[OrderId]) -> Result<Vec<Trigger>, String> {
        let mut pipe = Pipeline::with_capacity(ids.len());
        for id in ids {
            pipe.cmd("PTTL").arg(self.triggers.key(id));
        }
        let ends = self.read(&pipe).await?.into_iter().map(answered::<i64>);
        ends.map(|end| {
            Ok(match end? {
                -2 => Trigger::Gone,
                ..0 => Trigger::Never,
                ms => Trigger::In(ms),
            })
        })
        .collect()
    }

    /// Whether the receipt of each order is ours.
    pub(super) async fn marked(&self, ids: &[OrderId]) -> Result<Vec<bool>, String> {
        let mut pipe = Pipeline::with_capacity(ids.len());
        for id in ids {
            pipe.cmd("EXISTS").arg(mark(&self.statuses.key(id)));
        }
        self.read(&pipe).await?.into_iter().map(answered::<bool>).collect()
    }

    /// Runs the guard's script for each order.
    ///
    /// # Errors
    /// Where the server did not answer; and for one order, where its script failed.
    pub async fn guard(&self, ids: &[OrderId]) -> Result<Vec<Result<Answer, String>>, String> {
        let mut pipe = Pipeline::with_capacity(ids.len());
        let hash = redis::Script::new(GUARD).get_hash().to_owned();
        for (i, id) in ids.iter().enumerate() {
            let key = self.statuses.key(id);
            // The first call brings the source, for a server may forget its scripts at any time.
            let call = if i == 0 { pipe.cmd("EVAL").arg(GUARD) } else { pipe.cmd("EVALSHA").arg(&hash) };
            call.arg(2).arg(&key).arg(mark(&key)).arg(&self.words.paid).arg(&self.words.received).arg(MARK_MS);
        }
        Ok(self.send(&self.guarding, &pipe).await?.into_iter().map(answer).collect())
    }

    /// Removes the triggers of orders that were received.
    pub(super) async fn remove_triggers(&self, ids: &[OrderId]) -> Result<(), String> {
        let mut pipe = Pipeline::with_capacity(ids.len());
        let hash = redis::Script::new(DONE).get_hash().to_owned();
        for (i, id) in ids.iter().enumerate() {
            let call = if i == 0 { pipe.cmd("EVAL").arg(DONE) } else { pipe.cmd("EVALSHA").arg(&hash) };
            call.arg(1).arg(self.triggers.key(id));
        }
        self.send(&self.guarding, &pipe).await?.into_iter().try_for_each(|answer| answered::<i64>(answer).map(drop))
    }
}

/// An answer as a value; an error answer as its text.
pub(super) fn answered<T: redis::FromRedisValue>(answer: Value) -> Result<T, String> {
    if let Value::ServerError(error) = &answer {
        return Err(format!("the shop's Redis: {} {}", error.code(), error.details().unwrap_or_default()));
    }
    T::from_redis_value(answer).map_err(|error| format!("the shop's Redis: {error}"))
}

fn status(answer: Value) -> Result<Status, String> {
    match answer {
        Value::BulkString(bytes) => Ok(Status::of_bytes(&bytes)),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => Ok(Status::NotAString("key of another type".to_owned())),
        other => answered::<Vec<u8>>(other).map(|bytes| Status::of_bytes(&bytes)),
    }
}

fn answer(answer: Value) -> Result<Answer, String> {
    match answer {
        Value::Array(parts) => {
            let mut parts = parts.into_iter();
            let kind: String = answered(parts.next().unwrap_or(Value::Nil))?;
            Ok(Answer::Status(match (kind.as_str(), parts.next()) {
                ("none", _) => Status::Nothing,
                (_, Some(word)) => status(word)?,
                _ => Status::NotAString(kind),
            }))
        }
        other => match answered::<String>(other)?.as_str() {
            "ours" => Ok(Answer::Ours),
            strange => Err(format!("the shop's Redis: the guard's script answered {strange:?}")),
        },
    }
}
