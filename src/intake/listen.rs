//! The hint: the server tells of changed keys while somebody listens. What it told nobody, the scan
//! finds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use autoreceive_domain::OrderId;
use autoreceive_redis_connection::redis::{Pipeline, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::look::Scope;
use super::shop::answered;
use super::{Intake, flags};

/// How many told orders wait to be looked at; those that come while there are so many are left to
/// the scan.
const QUEUE: usize = 10_000;
/// How many are looked at together.
const BATCH: usize = 200;
/// Every worker is told, and one looks at once; for the others it is early enough to see that it
/// was done.
const OTHERS_AFTER: Duration = Duration::from_millis(150);
/// The wait before listening anew.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

impl Intake {
    /// Listens and looks until told to stop.
    pub(super) async fn listen_on(&self, stop: &CancellationToken) {
        let (sender, queue) = mpsc::channel(QUEUE);
        tokio::join!(self.hear(sender, stop), self.look_on(queue, stop));
    }

    async fn hear(&self, sender: mpsc::Sender<OrderId>, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let heard = tokio::select! {
                () = stop.cancelled() => return,
                heard = self.hear_once(&sender) => heard,
            };
            self.figures.with(|state| state.listening = false);
            let _ = self.noted("listening for changes of the shop's keys", heard);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(AGAIN_AFTER) => {}
            }
        }
    }

    /// Listens until the connection ends.
    async fn hear_once(&self, sender: &mpsc::Sender<OrderId>) -> Result<(), String> {
        self.check_flags().await?;
        let mut listener = self.shop.listener().await?;
        self.figures.with(|state| state.listening = true);
        // What was changed while nobody listened is found by a scan.
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
        Err("the connection ended".to_owned())
    }

    async fn look_on(&self, mut queue: mpsc::Receiver<OrderId>, stop: &CancellationToken) {
        let mut later: VecDeque<(Instant, OrderId)> = VecDeque::new();
        loop {
            let mut told = Vec::with_capacity(BATCH);
            let wait = later.front().map_or(Duration::from_secs(60), |(at, _)| {
                at.saturating_duration_since(Instant::now())
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                _ = queue.recv_many(&mut told, BATCH) => {}
            }
            let (mut now, others): (Vec<OrderId>, Vec<OrderId>) =
                told.into_iter().partition(|id| self.engine.is_mine(id));
            let at = Instant::now() + OTHERS_AFTER;
            later.extend(
                others.into_iter().take(QUEUE.saturating_sub(later.len())).map(|id| (at, id)),
            );
            while now.len() < 2 * BATCH
                && later.front().is_some_and(|(at, _)| *at <= Instant::now())
            {
                now.extend(later.pop_front().map(|(_, id)| id));
            }
            if !now.is_empty() {
                // What fails is found by the scan.
                let _ = self.noted("a look at changed keys", self.look(now, Scope::Later).await);
            }
        }
    }

    /// Finds out whether the server tells of changed keys, and says what is missing, or adds it
    /// where that is wanted.
    async fn check_flags(&self) -> Result<(), String> {
        let mut pipe = Pipeline::new();
        pipe.cmd("CONFIG").arg("GET").arg("notify-keyspace-events");
        let answer = self.shop.read(&pipe).await?.pop().unwrap_or(Value::Nil);
        // Managed servers close CONFIG. The scan finds everything without it.
        let set = answered::<Vec<String>>(answer).ok().and_then(|pair| pair.into_iter().nth(1));
        let Some(set) = set else {
            return self.say_flags(
                "unknown: CONFIG is closed; notify-keyspace-events needs K and $".to_owned(),
            );
        };
        if flags::missing(&set).is_empty() {
            self.figures.with(|state| state.notifications = "on".to_owned());
            return Ok(());
        }
        if !self.settings.set_notifications {
            return self
                .say_flags(format!("off: the shop's Redis needs `{}`", flags::command(&set)));
        }
        let mut pipe = Pipeline::new();
        pipe.cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg(flags::with_missing(&set));
        let answer = self.shop.read(&pipe).await?.pop().unwrap_or(Value::Nil);
        match answered::<String>(answer) {
            Ok(_) => {
                tracing::info!(
                    before = set,
                    after = flags::with_missing(&set),
                    "notify-keyspace-events was set on the shop's Redis"
                );
                self.figures.with(|state| state.notifications = "on".to_owned());
                Ok(())
            }
            Err(why) => self.say_flags(format!(
                "off: {why}; the shop's Redis needs `{}`",
                flags::command(&set)
            )),
        }
    }

    fn say_flags(&self, what: String) -> Result<(), String> {
        let before =
            self.figures.with(|state| std::mem::replace(&mut state.notifications, what.clone()));
        if before != what {
            tracing::warn!(
                notifications = what,
                "changes of the shop's keys are found by scans only"
            );
        }
        Ok(())
    }
}
