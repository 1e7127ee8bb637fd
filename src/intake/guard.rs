//! Asks the shop's Redis about due adopted orders.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use autoreceive_domain::{OrderId, Policy};

use super::IntakeError;
use super::shop::{GuardAnswer, Shop};
use crate::engine::{Guard, ShopDecision};
use crate::telemetry::IntakeFigures;

/// The guard of adopted orders.
pub(super) struct ShopGuard {
    pub(super) shop: Arc<Shop>,
    pub(super) policy: Policy,
    pub(super) figures: Arc<IntakeFigures>,
}

impl fmt::Debug for ShopGuard {
    /// Without the shop's address: it may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShopGuard")
    }
}

#[async_trait]
impl Guard for ShopGuard {
    async fn ask(&self, orders: &[OrderId]) -> Vec<ShopDecision> {
        let answers = self.shop.guard(orders).await;
        let mut decisions = Vec::with_capacity(answers.len());
        for answer in answers {
            let decision = self.decision(answer);
            self.figures.asked(&decision);
            decisions.push(decision);
        }
        decisions
    }

    async fn done(&self, orders: &[OrderId]) {
        // A remaining trigger does no harm: it expires by itself.
        if let Err(error) = self.shop.remove_triggers(orders).await {
            tracing::debug!(%error, "triggers of received orders were not removed; they expire");
        }
    }
}

impl ShopGuard {
    fn decision(&self, answer: Result<GuardAnswer, IntakeError>) -> ShopDecision {
        match answer {
            Ok(GuardAnswer::Ours) => ShopDecision::Ours,
            Ok(GuardAnswer::Status(status)) => {
                match self.shop.words.observation(&status, &self.policy, None) {
                    Ok(observation) => ShopDecision::Shop(observation),
                    Err(wrong) => ShopDecision::Unknown(wrong.to_string()),
                }
            }
            Err(error) => ShopDecision::Unknown(error.to_string()),
        }
    }
}
