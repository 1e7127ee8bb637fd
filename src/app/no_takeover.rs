//! Replaces the intake in a build without it. The configuration refuses `intake.enabled` there.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::engine::{Engine, Guard};
use crate::telemetry::Telemetry;

pub(super) struct Takeover;

impl Takeover {
    #[expect(clippy::unused_async, reason = "same signature as with the intake")]
    pub(super) async fn open(_: &Config) -> anyhow::Result<Takeover> {
        Ok(Takeover)
    }

    pub(super) fn guard(&self, _: &Config, _: &Telemetry) -> Option<Arc<dyn Guard>> {
        None
    }

    pub(super) fn start(
        self,
        _: &Config,
        _: &Engine,
        _: &Telemetry,
        _: &TaskTracker,
        _: &CancellationToken,
    ) {
    }
}
