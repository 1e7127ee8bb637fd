//! The connections to the shop's Redis, and all commands for it. Only the two scripts in `lua/`
//! write, and CONFIG SET if `set_notifications` is on.

use std::time::Duration;

use autoreceive_domain::OrderId;
use autoreceive_redis_connection::redis::{FromRedisValue, Pipeline, Value};
use autoreceive_redis_connection::{
    Address, Failure, Link, Options, PatternSubscription, Script, server_text,
};

use super::IntakeError;
use super::shapes::{Shape, mark};
use super::words::{ShopStatus, StatusWords, WORD_BYTES};

/// The time to live of a mark, 7 days: much longer than the repair of a crashed worker takes.
const MARK_TTL_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// The shop's Redis, and the shape of its keys.
pub struct Shop {
    address: Address,
    timeout: Duration,
    /// A connection of its own for the guard, so that a long answer of a scan delays no receipt.
    reading: Link,
    guarding: Link,
    guard: Script,
    remove_trigger: Script,
    /// The status keys.
    pub statuses: Shape,
    /// The trigger keys. Their expiry starts the shop's own code.
    pub triggers: Shape,
    /// The words in the status keys.
    pub words: StatusWords,
}

/// The answer of the guard's script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardAnswer {
    /// The receipt must be committed.
    Ours,
    /// The shop has another status.
    Status(ShopStatus),
}

/// The expiry of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// In this many milliseconds.
    EndsIn(i64),
    /// It has no time to live.
    Endless,
    /// The key does not exist.
    Gone,
}

/// A page of a scan.
pub struct ScanPage {
    /// The cursor of the next page; 0 after the last.
    pub cursor: u64,
    /// The keys.
    pub keys: Vec<Vec<u8>>,
}

impl Shop {
    /// Connects at the first use.
    ///
    /// # Errors
    /// If `url` is not the address of a Redis server.
    pub fn new(
        url: &str,
        timeout: Duration,
        statuses: Shape,
        triggers: Shape,
        words: StatusWords,
    ) -> Result<Shop, IntakeError> {
        let address: Address = url.parse().map_err(|_| IntakeError::Address)?;
        let link = || {
            Link::new(&address, Options::new(timeout))
                .map_err(|error| IntakeError::Connection(error.to_string()))
        };
        let reading = link()?;
        let guarding = link()?;
        Ok(Shop {
            address,
            timeout,
            reading,
            guarding,
            guard: Script::new(include_str!("lua/guard.lua")),
            remove_trigger: Script::new(include_str!("lua/remove_trigger.lua")),
            statuses,
            triggers,
            words,
        })
    }

    /// The number of the database.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.address.database()
    }

    /// The answers to a pipeline of reads. Some may be error answers.
    pub(super) async fn read(&self, pipe: &Pipeline) -> Result<Vec<Value>, IntakeError> {
        self.reading.send(pipe).await.map_err(|failure| self.error(failure))
    }

    fn error(&self, failure: Failure) -> IntakeError {
        // The timeout covers the connection and the answer, so both have the same text.
        if failure.timed_out() {
            IntakeError::Shop(format!("no answer within {:?}", self.timeout))
        } else {
            IntakeError::Shop(failure.text())
        }
    }

    /// A subscription to every change of a status key.
    pub(super) async fn listener(&self) -> Result<PatternSubscription, IntakeError> {
        let channels = format!("__keyspace@{}__:{}", self.database(), self.statuses.pattern());
        let subscribing = self.reading.subscribe_by(self.reading.deadline(), &channels);
        subscribing.await.map_err(|failure| self.error(failure))
    }

    /// The status key in the name of a channel.
    pub(super) fn key_of_channel<'a>(&self, channel: &'a [u8]) -> Option<&'a [u8]> {
        channel.strip_prefix(format!("__keyspace@{}__:", self.database()).as_bytes())
    }

    /// A page of the keys of `shape`; the server walks over about `count` keys.
    pub(super) async fn scan(
        &self,
        shape: &Shape,
        cursor: u64,
        count: usize,
    ) -> Result<ScanPage, IntakeError> {
        let mut pipe = Pipeline::new();
        pipe.cmd("SCAN").arg(cursor).arg("MATCH").arg(shape.pattern()).arg("COUNT").arg(count);
        let answer = self.read(&pipe).await?.pop().unwrap_or(Value::Nil);
        let (cursor, keys): (u64, Vec<Vec<u8>>) = convert(answer)?;
        Ok(ScanPage { cursor, keys })
    }

    /// The status of each order. Reads at most [`WORD_BYTES`] of each value. A key of another type
    /// affects only its own answer.
    pub(super) async fn statuses(&self, ids: &[OrderId]) -> Result<Vec<ShopStatus>, IntakeError> {
        let mut pipe = Pipeline::with_capacity(ids.len());
        for id in ids {
            pipe.cmd("GETRANGE").arg(self.statuses.key(id)).arg(0).arg(WORD_BYTES - 1);
        }
        self.read(&pipe).await?.into_iter().map(status).collect()
    }

    /// The expiry of each order's trigger.
    pub(super) async fn trigger_ends(&self, ids: &[OrderId]) -> Result<Vec<Trigger>, IntakeError> {
        let mut pipe = Pipeline::with_capacity(ids.len());
        for id in ids {
            pipe.cmd("PTTL").arg(self.triggers.key(id));
        }
        let ends = self.read(&pipe).await?.into_iter().map(convert::<i64>);
        ends.map(|end| {
            Ok(match end? {
                -2 => Trigger::Gone,
                ..0 => Trigger::Endless,
                ms => Trigger::EndsIn(ms),
            })
        })
        .collect()
    }

    /// Whether each order has our mark.
    pub(super) async fn marked(&self, ids: &[OrderId]) -> Result<Vec<bool>, IntakeError> {
        let mut pipe = Pipeline::with_capacity(ids.len());
        for id in ids {
            pipe.cmd("EXISTS").arg(mark(&self.statuses.key(id)));
        }
        self.read(&pipe).await?.into_iter().map(convert::<bool>).collect()
    }

    /// Runs the guard's script for each order.
    ///
    /// # Errors
    /// For each order alone: if the server did not answer or the script failed.
    pub async fn guard(&self, ids: &[OrderId]) -> Vec<Result<GuardAnswer, IntakeError>> {
        let mut calls = Pipeline::with_capacity(ids.len());
        for id in ids {
            let status = self.statuses.key(id);
            let mark = mark(&status);
            let mut call = self.guard.call(&[status, mark]);
            call.arg(&self.words.paid).arg(&self.words.received).arg(MARK_TTL_MS);
            calls.add_command(call);
        }
        let answers = self.guarding.run(&self.guard, &calls).await.into_iter();
        answers.map(|called| answer(called.map_err(|failure| self.error(failure))?)).collect()
    }

    /// Removes the triggers of received orders.
    pub(super) async fn remove_triggers(&self, ids: &[OrderId]) -> Result<(), IntakeError> {
        let mut calls = Pipeline::with_capacity(ids.len());
        for id in ids {
            calls.add_command(self.remove_trigger.call(&[self.triggers.key(id)]));
        }
        for answer in self.guarding.run(&self.remove_trigger, &calls).await {
            answer.map_err(|failure| self.error(failure))?;
        }
        Ok(())
    }
}

/// Converts an answer; an error answer becomes an error.
pub(super) fn convert<T: FromRedisValue>(answer: Value) -> Result<T, IntakeError> {
    if let Value::ServerError(error) = &answer {
        return Err(IntakeError::Shop(server_text(error)));
    }
    T::from_redis_value(answer).map_err(|error| IntakeError::Shop(error.to_string()))
}

fn status(answer: Value) -> Result<ShopStatus, IntakeError> {
    match answer {
        Value::BulkString(bytes) => Ok(ShopStatus::of_bytes(&bytes)),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => {
            Ok(ShopStatus::NotAString("key of another type".to_owned()))
        }
        other => convert::<Vec<u8>>(other).map(|bytes| ShopStatus::of_bytes(&bytes)),
    }
}

fn answer(answer: Value) -> Result<GuardAnswer, IntakeError> {
    match answer {
        Value::Array(parts) => {
            let mut parts = parts.into_iter();
            let kind: String = convert(parts.next().unwrap_or(Value::Nil))?;
            Ok(GuardAnswer::Status(match (kind.as_str(), parts.next()) {
                ("none", _) => ShopStatus::Missing,
                (_, Some(word)) => status(word)?,
                _ => ShopStatus::NotAString(kind),
            }))
        }
        other => match convert::<String>(other)?.as_str() {
            "ours" => Ok(GuardAnswer::Ours),
            other => Err(IntakeError::Shop(format!("the guard's script answered {other:?}"))),
        },
    }
}
