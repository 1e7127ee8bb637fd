//! The store's clock: the server's, and on a store for tests put forward by an offset. Every shard has a copy of the offset,
//! so that each script finds it in its own slot; whoever reads the time reads it at the same moment. So a worker need not
//! learn of an advance: what it decided before is stale to the commit script, and what it loads next has the new time.

use autoreceive_domain::{Span, Time};
use redis::Pipeline;

use super::RedisStore;
use super::outbox::unavailable;
use super::reply::Replies;
use crate::store::{StoreError, TestClock};

impl RedisStore {
    /// Adds to `pipe` what [`Replies::time`] reads.
    pub(super) fn ask_time(&self, pipe: &mut Pipeline) {
        pipe.cmd("TIME");
        pipe.cmd("GET").arg(self.keys.clock(0));
    }

    pub(super) async fn now(&self) -> Result<Time, StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        self.ask(&pipe).await?.time()
    }

    pub(super) async fn put_forward(&self, by: Span) -> Result<TestClock, StoreError> {
        if !self.test_clock {
            return Err(StoreError::NO_TEST_CLOCK);
        }
        let keys: Vec<String> = (0..self.shards).map(|shard| self.keys.clock(shard)).collect();
        let mut call = self.scripts.advance.call(&keys);
        call.arg(by.ms()).arg(Span::LONGEST.ms());
        let mut calls = Pipeline::new();
        calls.add_command(call);
        let answers: Result<_, _> = self.link.run(&self.scripts.advance, &calls).await.into_iter().collect();
        match Replies::new(answers.map_err(unavailable)?).integer()? {
            ..0 => Err(StoreError::TOO_FAR),
            ahead => Ok(TestClock { now: self.now().await?, ahead: Span::from_ms(ahead) }),
        }
    }
}
