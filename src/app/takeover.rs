//! The intake beside the service, and alone.

use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{open_store, start_engine, subscriptions};
use crate::config::{Config, IntakeConfig};
use crate::engine::{Engine, Guard};
use crate::intake::shop::Shop;
use crate::intake::{self, Intake};
use crate::telemetry::Telemetry;

/// The shop whose orders the service takes over, if it does.
pub(super) struct Takeover(Option<Arc<Shop>>);

impl Takeover {
    pub(super) async fn open(config: &Config) -> anyhow::Result<Takeover> {
        let shop = if config.intake.enabled { Some(open_shop(config).await?) } else { None };
        Ok(Takeover(shop))
    }

    pub(super) fn guard(&self, config: &Config, telemetry: &Telemetry) -> Option<Arc<dyn Guard>> {
        self.0.as_ref().map(|shop| guard(shop, config, telemetry))
    }

    pub(super) fn start(
        self,
        config: &Config,
        engine: &Engine,
        telemetry: &Telemetry,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        if let Some(shop) = self.0 {
            let settings = config.intake.settings.clone();
            let intake = Intake::new(shop, settings, engine.clone(), telemetry.intake.clone());
            tasks.spawn(intake.run(stop.clone()));
        }
    }
}

fn guard(shop: &Arc<Shop>, config: &Config, telemetry: &Telemetry) -> Arc<dyn Guard> {
    intake::guard(shop, &config.intake.settings.policy, &telemetry.intake)
}

/// Connects to the shop's Redis.
///
/// # Errors
/// Where it is away, or cannot be worked with.
pub async fn open_shop(config: &Config) -> anyhow::Result<Arc<Shop>> {
    let IntakeConfig { url, timeout, statuses, triggers, words, .. } = &config.intake;
    let url = url.as_ref().context(
        "intake.url: is missing, and the store is no Redis: give the address of the shop's",
    )?;
    let shop = Shop::new(
        url.expose().as_str(),
        timeout.to_std(),
        statuses.clone(),
        triggers.clone(),
        words.clone(),
    );
    let shop = shop.map_err(|why| anyhow::anyhow!("intake.url: {why}"))?;
    intake::open(&shop).await.map_err(anyhow::Error::msg)?;
    Ok(Arc::new(shop))
}

/// Starts a worker that takes over orders from `shop`, on the configured store.
///
/// # Errors
/// Where the store cannot be opened, or an action not be made.
pub async fn taking_over(config: &Config, shop: Arc<Shop>) -> anyhow::Result<(Engine, Intake)> {
    let (store, telemetry) = (open_store(&config.store, false).await?, Telemetry::default());
    let engine = start_engine(
        config,
        store,
        subscriptions(config)?,
        Some(guard(&shop, config, &telemetry)),
        &telemetry,
    );
    let intake =
        Intake::new(shop, config.intake.settings.clone(), engine.clone(), telemetry.intake);
    Ok((engine, intake))
}
