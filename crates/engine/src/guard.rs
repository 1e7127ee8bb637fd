//! Whoever knows the shop's word about adopted orders.

use std::fmt::Debug;

use async_trait::async_trait;
use autoreceive_domain::{Observation, OrderId};

/// Who knows the shop's word about adopted orders.
#[async_trait]
pub trait Guard: Debug + Send + Sync + 'static {
    /// Asks, and where the shop still wants the order to be received, writes that there: one word
    /// for each order. Asked again after [`ShopDecision::Ours`] it is the same word, whatever the
    /// shop has written since.
    async fn ask(&self, orders: &[OrderId]) -> Vec<ShopDecision>;

    /// The receipts of these orders are committed.
    async fn done(&self, orders: &[OrderId]);
}

/// What is known about an adopted order whose time has come. Exhaustive on purpose, like every
/// answer that decides about a receipt.
#[derive(Debug, Clone, PartialEq)]
pub enum ShopDecision {
    /// The shop waited for the receipt, and was told of it: it has to be committed.
    Ours,
    /// The shop's own word, which is to be followed.
    Shop(Observation),
    /// Nobody knows for now.
    None(String),
}
