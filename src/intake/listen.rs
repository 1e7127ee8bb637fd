//! Listens for keyspace notifications. They are hints: the scan finds every change that is missed
//! here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use autoreceive_domain::OrderId;
use autoreceive_redis_connection::redis::{Pipeline, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::observe::Scope;
use super::shop::convert;
use super::{Intake, IntakeError, flags};

/// The most hints in the queue. More hints are dropped; the scan finds their orders.
const QUEUE: usize = 10_000;
/// The most orders in one check.
const BATCH: usize = 200;
/// Every worker gets every hint. The order's own worker checks it at once; the others wait so long,
/// and then mostly find nothing to do.
const OTHERS_DELAY: Duration = Duration::from_millis(150);
/// The wait before a new subscription.
const RECONNECT_DELAY: Duration = Duration::from_millis(200);

impl Intake {
    /// Listens and checks orders until `stop` is cancelled.
    pub(super) async fn listen_loop(&self, stop: &CancellationToken) {
        let (sender, queue) = mpsc::channel(QUEUE);
        tokio::join!(self.hint_loop(sender, stop), self.observe_loop(queue, stop));
    }

    async fn hint_loop(&self, sender: mpsc::Sender<OrderId>, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.listen_once(&sender) => ended,
            };
            self.figures.with(|state| state.listening = false);
            let _ = self.log_change("listening for changes of the shop's keys", ended);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RECONNECT_DELAY) => {}
            }
        }
    }

    /// Listens until the connection ends.
    async fn listen_once(&self, sender: &mpsc::Sender<OrderId>) -> Result<(), IntakeError> {
        self.check_flags().await?;
        let mut listener = self.shop.listener().await?;
        self.figures.with(|state| state.listening = true);
        // A scan finds the changes from the time without a subscription.
        self.scan_now.notify_one();
        while let Some(message) = listener.next().await {
            let id = self
                .shop
                .key_of_channel(&message.channel)
                .and_then(|key| self.shop.statuses.id(key));
            if let Some(Ok(id)) = id {
                self.figures.hint(sender.try_send(id).is_ok());
            }
        }
        Err(IntakeError::Disconnected)
    }

    async fn observe_loop(&self, mut queue: mpsc::Receiver<OrderId>, stop: &CancellationToken) {
        let mut later: VecDeque<(Instant, OrderId)> = VecDeque::new();
        loop {
            let mut hints = Vec::with_capacity(BATCH);
            let wait = later.front().map_or(Duration::from_secs(60), |(at, _)| {
                at.saturating_duration_since(Instant::now())
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                _ = queue.recv_many(&mut hints, BATCH) => {}
            }
            let (mut now, others): (Vec<OrderId>, Vec<OrderId>) =
                hints.into_iter().partition(|id| self.engine.is_mine(id));
            let at = Instant::now() + OTHERS_DELAY;
            let free = QUEUE.saturating_sub(later.len());
            later.extend(others.into_iter().take(free).map(|id| (at, id)));
            while now.len() < 2 * BATCH
                && later.front().is_some_and(|(at, _)| *at <= Instant::now())
            {
                now.extend(later.pop_front().map(|(_, id)| id));
            }
            if !now.is_empty() {
                // After an error the scan finds these orders.
                let observed = self.observe(now, Scope::Later).await;
                let _ = self.log_change("the check of changed keys", observed);
            }
        }
    }

    /// Checks whether the server sends notifications. If not, switches them on or logs the missing
    /// flags, as configured.
    async fn check_flags(&self) -> Result<(), IntakeError> {
        let mut pipe = Pipeline::new();
        pipe.cmd("CONFIG").arg("GET").arg("notify-keyspace-events");
        let answer = self.shop.read(&pipe).await?.pop().unwrap_or(Value::Nil);
        // Managed servers forbid CONFIG. The scan works without it.
        let set = convert::<Vec<String>>(answer).ok().and_then(|pair| pair.into_iter().nth(1));
        let Some(set) = set else {
            self.set_state(
                "unknown: CONFIG is forbidden; notify-keyspace-events needs K and $".to_owned(),
            );
            return Ok(());
        };
        if flags::missing(&set).is_empty() {
            self.figures.with(|state| state.notifications = "on".to_owned());
            return Ok(());
        }
        if !self.settings.set_notifications {
            self.set_state(format!("off: the shop's Redis needs `{}`", flags::command(&set)));
            return Ok(());
        }
        let mut pipe = Pipeline::new();
        pipe.cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg(flags::with_missing(&set));
        let answer = self.shop.read(&pipe).await?.pop().unwrap_or(Value::Nil);
        match convert::<String>(answer) {
            Ok(_) => {
                tracing::info!(
                    before = set,
                    after = flags::with_missing(&set),
                    "notify-keyspace-events was set in the shop's Redis"
                );
                self.figures.with(|state| state.notifications = "on".to_owned());
            }
            Err(error) => self.set_state(format!(
                "off: {error}; the shop's Redis needs `{}`",
                flags::command(&set)
            )),
        }
        Ok(())
    }

    /// Sets the state of the notifications, and logs a change.
    fn set_state(&self, notifications: String) {
        let before = self
            .figures
            .with(|state| std::mem::replace(&mut state.notifications, notifications.clone()));
        if before != notifications {
            tracing::warn!(notifications, "only scans find changes of the shop's keys");
        }
    }
}
