//! A build without the intake: `config` refuses `intake.enabled`, so nothing is to be taken over.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::engine::{Engine, Guard};
use crate::telemetry::Telemetry;

pub(super) struct Takeover;

impl Takeover {
    #[expect(clippy::unused_async, reason = "the intake's own connects here")]
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
