//! Names that are kept in mind, in one set.

use autoreceive_redis_connection::redis::Pipeline;

use super::reply::Replies;
use super::{MAX_CHANGES, RedisStore};
use autoreceive_store::StoreError;

impl RedisStore {
    /// Adds names with `SADD`, takes them out with `SREM`.
    pub(super) async fn keep_in_mind(&self, command: &str, names: &[String]) -> Result<(), StoreError> {
        let mut replies = self.ask(&self.about_names(command, names)).await?;
        names.chunks(MAX_CHANGES).try_for_each(|_| replies.count().map(drop))
    }

    pub(super) async fn kept_in_mind(&self, names: &[String]) -> Result<Vec<bool>, StoreError> {
        let mut replies = self.ask(&self.about_names("SMISMEMBER", names)).await?;
        let mut known = Vec::with_capacity(names.len());
        for part in names.chunks(MAX_CHANGES) {
            let mut answers: Replies = replies.nested()?;
            for _ in part {
                known.push(answers.count()? > 0);
            }
        }
        Ok(known)
    }

    fn about_names(&self, command: &str, names: &[String]) -> Pipeline {
        let mut pipe = Pipeline::new();
        for part in names.chunks(MAX_CHANGES) {
            pipe.cmd(command).arg(self.keys.remembered()).arg(part);
        }
        pipe
    }
}
