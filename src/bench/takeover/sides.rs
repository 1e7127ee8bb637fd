//! Instances of the pattern's job and of our worker. Each instance has its own runtime. Killing it
//! drops all its tasks at their next await, which looks like the death of a process from outside.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use autoreceive_domain::{Event, Policy, Span, Terms};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::super::pattern;
use super::TakeoverBench;
use super::tally::Done;
use crate::action::{Action, Outcome, Subscription};
use crate::app;
use crate::config::StoreConfig;
use crate::engine::Engine;
use crate::intake::shapes::Shape;
use crate::intake::shop::Shop;
use crate::intake::words::StatusWords;
use crate::intake::{self, CountFrom, Intake};
use crate::telemetry::Telemetry;

/// One of the two programs that are compared.
pub(super) trait Side: Send + Sync + 'static {
    /// Starts an instance.
    fn start(&self) -> anyhow::Result<Runtime>;

    /// Ends it without warning.
    fn kill(&self, instance: Runtime) {
        instance.shutdown_background();
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting an instance")
}

/// The pattern's scheduled job.
pub(super) struct Pattern {
    client: redis::Client,
    every: Duration,
    actions: PostReceiveActions,
}

impl Pattern {
    pub(super) fn new(
        url: &str,
        every: Duration,
        actions: PostReceiveActions,
    ) -> anyhow::Result<Pattern> {
        Ok(Pattern { client: redis::Client::open(url)?, every, actions })
    }
}

impl Side for Pattern {
    fn start(&self) -> anyhow::Result<Runtime> {
        let runtime = runtime()?;
        let client = self.client.clone();
        let every = self.every;
        let actions = self.actions.clone();
        runtime.spawn(async move {
            let mut redis = client.get_multiplexed_async_connection().await?;
            let run = rand::random::<u32>();
            for number in 0_u64.. {
                let mut ran = 0_u64;
                let on_received = |id: String| {
                    ran += 1;
                    // The pattern's actions have no id, so each gets a new one.
                    let actions = actions.clone();
                    let event = format!("{run}-{number}-{ran}");
                    async move {
                        tokio::time::sleep(actions.take).await;
                        actions.done.note(&id, &event);
                    }
                };
                if let Err(error) = pattern::sweep(&mut redis, on_received).await {
                    tracing::debug!(%error, "a run of the pattern's job failed");
                }
                tokio::time::sleep(every).await;
            }
            redis::RedisResult::Ok(())
        });
        Ok(runtime)
    }
}

/// A worker with an intake.
pub(super) struct Ours {
    store: StoreConfig,
    settings: intake::IntakeSettings,
    policy: Policy,
    url: String,
    actions: PostReceiveActions,
}

impl Ours {
    pub(super) fn new(
        url: &str,
        store: StoreConfig,
        takeover: &TakeoverBench,
        actions: PostReceiveActions,
    ) -> anyhow::Result<Ours> {
        let window = Span::from_ms(i64::try_from(takeover.window.as_millis())?);
        let policy = Policy::new("default", Terms { receive_after: window, ..Terms::default() })?;
        let settings = intake::IntakeSettings {
            scan_every: takeover.every,
            notifications: takeover.notifications,
            set_notifications: false,
            count_from: CountFrom::Payment,
            policy: policy.clone(),
        };
        Ok(Ours { store, settings, policy, url: url.to_owned(), actions })
    }
}

pub(in crate::bench) fn shop(url: &str) -> anyhow::Result<Shop> {
    let shape = |prefix: &str| Shape { prefix: prefix.to_owned(), suffix: String::new() };
    let words = StatusWords {
        paid: "PAID".to_owned(),
        received: "RECEIVED".to_owned(),
        cancelled: vec!["CANCELLED".to_owned()],
        refunded: vec!["REFUNDED".to_owned()],
    };
    Shop::new(url, Duration::from_secs(5), shape(pattern::STATUS), shape(pattern::TRIGGER), words)
        .map_err(anyhow::Error::msg)
}

/// The post-receive actions. They are recorded when they are done.
#[derive(Debug, Clone)]
pub(super) struct PostReceiveActions {
    pub(super) take: Duration,
    pub(super) done: Done,
}

#[async_trait]
impl Action for PostReceiveActions {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        tokio::time::sleep(self.take).await;
        for event in events {
            self.done.note(event.0.id.as_str(), &event.id());
        }
        vec![Outcome::Done; events.len()]
    }
}

impl Side for Ours {
    fn start(&self) -> anyhow::Result<Runtime> {
        let runtime = runtime()?;
        // A short lease, so that another worker takes over the attempts of a killed one within the
        // benchmark.
        let action = Subscription {
            lease: Duration::from_secs(1),
            ..Subscription::new("actions".parse()?, self.actions.clone())
        };
        let store = self.store.clone();
        let policy = self.policy.clone();
        let settings = self.settings.clone();
        let shop = Arc::new(shop(&self.url)?);
        runtime.spawn(async move {
            let store = app::open_store(&store, false).await?;
            let telemetry = Telemetry::default();
            let guard = intake::guard(&shop, &policy, &telemetry.intake);
            let engine = Engine::builder(store)
                .policy(policy)
                .action(action)
                .guard(guard)
                .metrics(telemetry.engine.clone())
                .start();
            Intake::new(shop, settings, engine, telemetry.intake)
                .run(CancellationToken::new())
                .await;
            Ok::<_, crate::store::OpenError>(())
        });
        Ok(runtime)
    }
}
