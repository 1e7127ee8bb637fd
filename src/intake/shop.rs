//! The connections to the shop's Redis, and everything that is asked there. What is written there
//! is written by the two scripts in `lua/`, and nowhere else but where `set_notifications` is on.

use std::time::Duration;

use autoreceive_domain::OrderId;
use autoreceive_redis_connection::redis::{FromRedisValue, Pipeline, Value};
use autoreceive_redis_connection::{
    Address, Failure, Link, Options, Script, PatternSubscription, server_text,
};

use super::shapes::{Shape, mark};
use super::words::{Status, WORD_BYTES, Words};

/// How long a mark stands, 7 days: much longer than a worker's crash and its mending take.
const MARK_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// The shop's Redis, and which keys there are the shop's orders.
pub struct Shop {
    address: Address,
    timeout: Duration,
    /// One for reading, one for the guard: an answer with many keys holds up no receipt.
    reading: Link,
    guarding: Link,
    guard: Script,
    done: Script,
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
    pub fn new(
        url: &str,
        timeout: Duration,
        statuses: Shape,
        triggers: Shape,
        words: Words,
    ) -> Result<Shop, String> {
        let address: Address =
            url.parse().map_err(|_| "is not the address of a Redis server".to_owned())?;
        let link = || Link::new(&address, Options::new(timeout)).map_err(|why| why.to_string());
        let (reading, guarding) = (link()?, link()?);
        let guard = Script::new(include_str!("lua/guard.lua"));
        let done = Script::new(include_str!("lua/done.lua"));
        Ok(Shop { address, timeout, reading, guarding, guard, done, statuses, triggers, words })
    }

    /// The number of the database.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.address.database()
    }

    /// The answers to a pipeline of commands that read, error answers among them.
    pub(super) async fn read(&self, pipe: &Pipeline) -> Result<Vec<Value>, String> {
        self.reading.send(pipe).await.map_err(|failure| self.no_answer(failure))
    }

    fn no_answer(&self, failure: Failure) -> String {
        format!("the shop's Redis: {}", self.in_words(failure))
    }

    /// Connecting and asking share one time-out, and it is told in the same words.
    fn in_words(&self, failure: Failure) -> String {
        if failure.timed_out() {
            format!("no answer within {:?}", self.timeout)
        } else {
            failure.text()
        }
    }

    /// A connection that is told of every change of a status key.
    pub(super) async fn listener(&self) -> Result<PatternSubscription, String> {
        let channels = format!("__keyspace@{}__:{}", self.database(), self.statuses.pattern());
        let subscribing = self.reading.subscribe_by(self.reading.deadline(), &channels);
        subscribing.await.map_err(|failure| self.in_words(failure))
    }

    /// The status key that a channel's name ends with.
    pub(super) fn key_of_channel<'a>(&self, channel: &'a [u8]) -> Option<&'a [u8]> {
        channel.strip_prefix(format!("__keyspace@{}__:", self.database()).as_bytes())
    }

    /// Up to about `count` keys of `shape` from where `cursor` points.
    pub(super) async fn scan(
        &self,
        shape: &Shape,
        cursor: u64,
        count: usize,
    ) -> Result<ScanPage, String> {
        let mut pipe = Pipeline::new();
        pipe.cmd("SCAN").arg(cursor).arg("MATCH").arg(shape.pattern()).arg("COUNT").arg(count);
        let answer = self.read(&pipe).await?.pop().unwrap_or(Value::Nil);
        let (cursor, keys): (u64, Vec<Vec<u8>>) = answered(answer)?;
        Ok(ScanPage { cursor, keys })
    }

    /// The status of each order. No more of a value is read than a word has, whatever somebody put
    /// there; a key that is no string spoils only its own answer.
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
    /// For one order, where the server did not answer or its script failed.
    pub async fn guard(&self, ids: &[OrderId]) -> Vec<Result<Answer, String>> {
        let mut calls = Pipeline::with_capacity(ids.len());
        for id in ids {
            let status = self.statuses.key(id);
            let mark = mark(&status);
            let mut call = self.guard.call(&[status, mark]);
            call.arg(&self.words.paid).arg(&self.words.received).arg(MARK_MS);
            calls.add_command(call);
        }
        let answers = self.guarding.run(&self.guard, &calls).await.into_iter();
        answers.map(|called| answer(called.map_err(|failure| self.no_answer(failure))?)).collect()
    }

    /// Removes the triggers of orders that were received.
    pub(super) async fn remove_triggers(&self, ids: &[OrderId]) -> Result<(), String> {
        let mut calls = Pipeline::with_capacity(ids.len());
        for id in ids {
            calls.add_command(self.done.call(&[self.triggers.key(id)]));
        }
        for answer in self.guarding.run(&self.done, &calls).await {
            answer.map_err(|failure| self.no_answer(failure))?;
        }
        Ok(())
    }
}

/// An answer as a value; an error answer as its text.
pub(super) fn answered<T: FromRedisValue>(answer: Value) -> Result<T, String> {
    if let Value::ServerError(error) = &answer {
        return Err(format!("the shop's Redis: {}", server_text(error)));
    }
    T::from_redis_value(answer).map_err(|error| format!("the shop's Redis: {error}"))
}

fn status(answer: Value) -> Result<Status, String> {
    match answer {
        Value::BulkString(bytes) => Ok(Status::of_bytes(&bytes)),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => {
            Ok(Status::NotAString("key of another type".to_owned()))
        }
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
