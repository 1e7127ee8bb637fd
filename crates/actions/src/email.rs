//! The `email` action: one email for each event, over SMTP, to the address in the order's data.

use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::Event;

use self::composer::Composer;
use self::smtp::{SendError, SmtpSession};
use super::pace::Pace;
use super::{Action, Outcome};

pub use composer::{
    EmailContent, EmailError, EmailTexts, Sender, WrongSender, built_in, file_stem,
};
pub use smtp::{Login, MailServer, Security};

mod composer;
mod smtp;

/// Sends emails.
pub struct Email {
    composer: Composer,
    server: MailServer,
    timeout: Duration,
    pace: Option<Pace>,
}

impl Email {
    /// An action that sends `content` through `server`. It waits at most `timeout` for the server
    /// to accept one email, and sends at most `rate` emails in a second.
    ///
    /// # Errors
    /// Names the wrong template.
    pub fn new(
        content: EmailContent,
        server: MailServer,
        timeout: Duration,
        rate: Option<u32>,
    ) -> Result<Email, EmailError> {
        Ok(Email { composer: Composer::new(content)?, server, timeout, pace: rate.map(Pace::new) })
    }

    async fn send(
        &self,
        event: &Event,
        session: &mut Option<SmtpSession>,
    ) -> Result<(), SendError> {
        let message =
            self.composer.compose(event).map_err(|error| SendError::Final(error.to_string()))?;
        if let Some(pace) = &self.pace {
            pace.wait().await;
        }
        let bounded = tokio::time::timeout(self.timeout, async {
            let mut open = match session.take() {
                Some(open) => open,
                None => SmtpSession::open(&self.server).await?,
            };
            open.send(&message).await?;
            // Kept after a success only. After an error or a timeout its state is unknown.
            *session = Some(open);
            Ok(())
        });
        bounded.await.unwrap_or_else(|_| {
            Err(SendError::Server("the mail server did not answer in time".to_owned()))
        })
    }
}

#[async_trait]
impl Action for Email {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(events.len());
        let mut session = None;
        for event in events {
            match self.send(event, &mut session).await {
                Ok(()) => outcomes.push(Outcome::Done),
                Err(SendError::Temporary(why)) => outcomes.push(Outcome::retry(why)),
                Err(SendError::Final(why)) => outcomes.push(Outcome::Dead { why }),
                Err(SendError::Server(why)) => {
                    // The remaining emails would fail in the same way now.
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
