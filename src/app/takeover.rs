//! Starts the intake: inside the service, or alone for `autoreceive adopt`.

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

/// The shop whose orders the service takes over; `None` if the intake is off.
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
/// If it does not answer or is unsuitable.
pub async fn open_shop(config: &Config) -> anyhow::Result<Arc<Shop>> {
    let IntakeConfig { url, timeout, statuses, triggers, words, .. } = &config.intake;
    let url = url.as_ref().context(
        "intake.url: is missing, and the store is not Redis; give the address of the shop's Redis",
    )?;
    let shop = Shop::new(
        url.expose().as_str(),
        timeout.to_std(),
        statuses.clone(),
        triggers.clone(),
        words.clone(),
    );
    let shop = shop.map_err(|error| anyhow::anyhow!("intake.url: {error}"))?;
    intake::open(&shop).await?;
    Ok(Arc::new(shop))
}

/// Starts a worker with an intake of `shop`, on the configured store.
///
/// # Errors
/// If the store cannot be opened or an action cannot be built.
pub async fn taking_over(config: &Config, shop: Arc<Shop>) -> anyhow::Result<(Engine, Intake)> {
    let store = open_store(&config.store, false).await?;
    let telemetry = Telemetry::default();
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
