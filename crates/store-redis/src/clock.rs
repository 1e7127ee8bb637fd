//! The store's clock: the server's, and on a store for tests put forward by an offset. Every shard
//! has a copy of the offset, so that each script finds it in its own slot; whoever reads the time
//! reads it at the same moment. So a worker need not learn of an advance: what it decided before is
//! stale to the commit script, and what it loads next has the new time.

use autoreceive_domain::{Span, Time};
use autoreceive_redis_connection::redis::Pipeline;

use super::RedisStore;
use super::outbox::unavailable;
use super::reply::Replies;
use autoreceive_store::{At, StoreError, TestClock};

const GONE: &str = "the orders that this worker knew are gone: Redis was emptied or restarted without its data, or is another one now. Bring the \
                    data back, or start the workers anew to begin with what is there";

impl RedisStore {
    /// Adds to `pipe` what [`RedisStore::found`] reads.
    pub(super) fn ask_time(&self, pipe: &mut Pipeline) {
        pipe.cmd("HGET").arg(self.keys.meta()).arg("id");
        pipe.cmd("TIME");
        pipe.cmd("GET").arg(self.keys.clock(0));
    }

    /// The time and the state, where it is still the store that was opened: one that was emptied,
    /// or that lost its data with a restart, must not be taken for one in which nothing is due.
    pub(super) fn found(&self, replies: &mut Replies) -> Result<At<()>, StoreError> {
        let identity = replies.text()?;
        match self.state.get() {
            Some(state) if identity.as_deref() == Some(state.id.as_str()) => {
                Ok(At { now: replies.time()?, shard: state.clone(), value: () })
            }
            _ => Err(StoreError::Unavailable(GONE.to_owned())),
        }
    }

    /// The time alone.
    pub(super) fn time_of(&self, replies: &mut Replies) -> Result<Time, StoreError> {
        self.found(replies).map(|found| found.now)
    }

    pub(super) async fn ask_now(&self) -> Result<Time, StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        self.time_of(&mut self.ask(&pipe).await?)
    }

    pub(super) async fn put_forward(&self, by: Span) -> Result<TestClock, StoreError> {
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
            ahead => Ok(TestClock { now: self.ask_now().await?, ahead: Span::from_ms(ahead) }),
        }
    }
}
