//! The `email` action: each event as a letter to the address that the order's data holds, over
//! SMTP.

use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::Event;

use self::letter::Composer;
use self::smtp::{Session, Trouble};
use super::pace::Pace;
use super::{Action, Outcome};

pub use letter::{Letters, Sender, Writing, WrongSender, built_in, file_stem};
pub use smtp::{Login, Security, Server};

mod letter;
mod smtp;

/// Sends letters.
pub struct Email {
    composer: Composer,
    server: Server,
    timeout: Duration,
    pace: Option<Pace>,
}

impl Email {
    /// An action that sends what `writing` makes of an event through `server`. It waits for
    /// `timeout` for one letter to be accepted, and sends at most `rate` letters in a second.
    ///
    /// # Errors
    /// Says which template cannot be read, and why.
    pub fn new(
        writing: Writing,
        server: Server,
        timeout: Duration,
        rate: Option<u32>,
    ) -> Result<Email, String> {
        Ok(Email { composer: Composer::new(writing)?, server, timeout, pace: rate.map(Pace::new) })
    }

    async fn send(&self, event: &Event, session: &mut Option<Session>) -> Result<(), Trouble> {
        let letter = self.composer.compose(event).map_err(Trouble::Hopeless)?;
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        let bounded = tokio::time::timeout(self.timeout, async {
            let mut open = match session.take() {
                Some(open) => open,
                None => Session::open(&self.server).await?,
            };
            open.send(&letter).await?;
            // A session that failed, or was given up half-way, is not used again.
            *session = Some(open);
            Ok(())
        });
        bounded.await.unwrap_or_else(|_| {
            Err(Trouble::Server("the mail server did not answer in time".to_owned()))
        })
    }
}

#[async_trait]
impl Action for Email {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        let (mut outcomes, mut session) = (Vec::with_capacity(events.len()), None);
        for event in events {
            match self.send(event, &mut session).await {
                Ok(()) => outcomes.push(Outcome::Done),
                Err(Trouble::Later(why)) => outcomes.push(Outcome::retry(why)),
                Err(Trouble::Hopeless(why)) => outcomes.push(Outcome::Dead { why }),
                Err(Trouble::Server(why)) => {
                    // The other letters would not fare better now.
                    outcomes.resize(events.len(), Outcome::retry(why));
                    return outcomes;
                }
            }
        }
        if let Some(session) = session {
            let _ = tokio::time::timeout(self.timeout, session.close()).await;
        }
        outcomes
    }
}
