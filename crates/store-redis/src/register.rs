//! Small values that all workers share: one hash for each space, changed by compare-and-set; and
//! the living workers.

use async_trait::async_trait;
use autoreceive_domain::{Span, Time};
use autoreceive_redis_connection::redis::Pipeline;

use super::outbox::unavailable;
use super::reply::Replies;
use super::{MAX_MEMBERS, RedisStore};
use autoreceive_store::{Cas, Expected, Register, Space, StoreError};

#[async_trait]
impl Register for RedisStore {
    async fn get(
        &self,
        space: Space,
        keys: &[String],
    ) -> Result<(Time, Vec<Option<String>>), StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        for part in keys.chunks(MAX_MEMBERS) {
            pipe.cmd("HMGET").arg(self.keys.space(space)).arg(part);
        }
        let mut replies = self.ask(&pipe).await?;
        let now = self.time_of(&mut replies)?;
        let mut values = Vec::with_capacity(keys.len());
        for part in keys.chunks(MAX_MEMBERS) {
            let mut answers = replies.nested()?;
            for _ in part {
                values.push(answers.text()?);
            }
        }
        Ok((now, values))
    }

    async fn compare_and_set(
        &self,
        space: Space,
        changes: &[Cas<'_>],
    ) -> Result<Vec<bool>, StoreError> {
        let mut calls = Pipeline::new();
        for part in changes.chunks(MAX_MEMBERS) {
            let mut call = self.scripts.register.call(&[self.keys.space(space)]);
            for change in part {
                call.arg(change.key);
                match change.expected {
                    Expected::Anything => call.arg("*"),
                    Expected::Nothing => call.arg("-"),
                    Expected::Value(value) => call.arg(format!("={value}")),
                };
                match change.value {
                    Some(value) => call.arg(format!("={value}")),
                    None => call.arg("-"),
                };
            }
            calls.add_command(call);
        }
        let mut made = Vec::with_capacity(changes.len());
        let answers = self.link.run(&self.scripts.register, &calls).await;
        for (part, answer) in changes.chunks(MAX_MEMBERS).zip(answers) {
            let mut answers = Replies::new(vec![answer.map_err(unavailable)?]).nested()?;
            for _ in part {
                made.push(answers.integer()? == 1);
            }
        }
        Ok(made)
    }

    async fn heartbeat(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError> {
        let mut call = self.scripts.workers.call(&[self.keys.workers()]);
        call.arg(me).arg(within.ms());
        let mut calls = Pipeline::new();
        calls.add_command(call);
        let answers = self.link.run(&self.scripts.workers, &calls).await.into_iter();
        let answers: Result<_, _> = answers.collect();
        let mut living = Replies::new(answers.map_err(unavailable)?).texts()?;
        living.sort_unstable();
        Ok(living)
    }

    async fn leave(&self, me: &str) -> Result<(), StoreError> {
        let mut pipe = Pipeline::new();
        pipe.cmd("ZREM").arg(self.keys.workers()).arg(me);
        self.ask(&pipe).await?.integer().map(drop)
    }
}
