//! The shop's word about orders whose time has come.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use autoreceive_domain::{OrderId, Policy};

use super::shop::{Answer, Shop};
use crate::engine::{Guard, ShopDecision};
use crate::telemetry::IntakeFigures;

/// Asks the shop's Redis.
pub(super) struct ShopGuard {
    pub(super) shop: Arc<Shop>,
    pub(super) policy: Policy,
    pub(super) figures: Arc<IntakeFigures>,
}

impl fmt::Debug for ShopGuard {
    /// Without the shop's address, which may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShopGuard")
    }
}

#[async_trait]
impl Guard for ShopGuard {
    async fn ask(&self, orders: &[OrderId]) -> Vec<ShopDecision> {
        let answers = self.shop.guard(orders).await;
        let words: Vec<ShopDecision> =
            answers.into_iter().map(|answer| self.word(answer)).collect();
        words.iter().for_each(|word| self.figures.asked(word));
        words
    }

    async fn done(&self, orders: &[OrderId]) {
        // A trigger that stays ends by itself, and nothing follows from it.
        if let Err(why) = self.shop.remove_triggers(orders).await {
            tracing::debug!(why, "triggers of received orders were left to end by themselves");
        }
    }
}

impl ShopGuard {
    fn word(&self, answer: Result<Answer, String>) -> ShopDecision {
        match answer {
            Ok(Answer::Ours) => ShopDecision::Ours,
            Ok(Answer::Status(status)) => {
                match self.shop.words.observation(&status, &self.policy, None) {
                    Ok(observation) => ShopDecision::Shop(observation),
                    Err(wrong) => ShopDecision::None(wrong.to_string()),
                }
            }
            Err(why) => ShopDecision::None(why),
        }
    }
}
