//! How receivers are doing: one hash for all workers, changed only by those who know what stands there.

use autoreceive_domain::{Circuit, Time};
use autoreceive_redis_connection::redis::Pipeline;

use super::RedisStore;
use super::outbox::unavailable;
use super::reply::Replies;
use autoreceive_store::{ActionName, StoreError};

impl RedisStore {
    pub(super) async fn circuit_of(&self, action: &ActionName) -> Result<(Time, Circuit), StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        pipe.cmd("HGET").arg(self.keys.circuits()).arg(action.as_str());
        let mut replies = self.ask(&pipe).await?;
        Ok((self.time_of(&mut replies)?, replies.text()?.and_then(|text| text.parse().ok()).unwrap_or_default()))
    }

    pub(super) async fn note_circuit(&self, action: &ActionName, known: Option<&Circuit>, next: &Circuit) -> Result<bool, StoreError> {
        self.note_action(action).await?;
        let mut call = self.scripts.circuit.call(&[self.keys.circuits()]);
        call.arg(action.as_str()).arg(next.to_string()).arg(Circuit::default().to_string());
        if let Some(known) = known {
            call.arg(known.to_string());
        }
        let mut calls = Pipeline::new();
        calls.add_command(call);
        let answers: Result<_, _> = self.link.run(&self.scripts.circuit, &calls).await.into_iter().collect();
        Ok(Replies::new(answers.map_err(unavailable)?).count()? == 1)
    }
}
