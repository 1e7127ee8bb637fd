//! The store's clock: the server's clock, plus an offset on a store with a test clock. Every shard
//! has a copy of the offset, so that each script finds it in its own slot. Every read of the time
//! includes the offset, so workers need no message about an advance: the commit script rejects
//! older decisions as stale, and the next read has the new time.

use autoreceive_domain::{Span, Time};
use autoreceive_redis_connection::redis::Pipeline;

use super::RedisStore;
use super::outbox::unavailable;
use super::reply::Replies;
use autoreceive_store::{At, StoreError, TestClock};

const GONE: &str = "the orders are gone: Redis was emptied, restarted without its data, or \
    replaced. Restore the data, or restart the workers to begin with the present data";

impl RedisStore {
    /// Adds the commands to `pipe` whose answers [`RedisStore::found`] reads.
    pub(super) fn ask_time(&self, pipe: &mut Pipeline) {
        pipe.cmd("HGET").arg(self.keys.meta()).arg("id");
        pipe.cmd("TIME");
        pipe.cmd("GET").arg(self.keys.clock(0));
    }

    /// The time and the shard's state, if it is still the store that was opened. A store that lost
    /// its data must not look like one without due orders.
    pub(super) fn found(&self, replies: &mut Replies) -> Result<At<()>, StoreError> {
        let identity = replies.text()?;
        match self.state.get() {
            Some(state) if identity.as_deref() == Some(state.id.as_str()) => {
                Ok(At { now: replies.time()?, shard: state.clone(), value: () })
            }
            _ => Err(StoreError::Unavailable(GONE.to_owned())),
        }
    }

    /// Only the time.
    pub(super) fn time_of(&self, replies: &mut Replies) -> Result<Time, StoreError> {
        self.found(replies).map(|found| found.now)
    }

    pub(super) async fn read_now(&self) -> Result<Time, StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        self.time_of(&mut self.ask(&pipe).await?)
    }

    pub(super) async fn advance_clock(&self, by: Span) -> Result<TestClock, StoreError> {
        if !self.test_clock {
            return Err(StoreError::NO_TEST_CLOCK);
        }
        let keys: Vec<String> = self.shards.all().map(|shard| self.keys.clock(shard)).collect();
        let mut call = self.scripts.advance.call(&keys);
        call.arg(by.ms()).arg(Span::LONGEST.ms());
        let mut calls = Pipeline::new();
        calls.add_command(call);
        let answers: Result<_, _> =
            self.link.run(&self.scripts.advance, &calls).await.into_iter().collect();
        match Replies::new(answers.map_err(unavailable)?).integer()? {
            ..0 => Err(StoreError::TOO_FAR),
            ahead => Ok(TestClock { now: self.read_now().await?, ahead: Span::from_ms(ahead) }),
        }
    }
}
