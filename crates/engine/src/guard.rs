//! The interface to the shop for adopted orders.

use std::fmt::Debug;

use async_trait::async_trait;
use autoreceive_domain::{Observation, OrderId};

/// Asks the shop about adopted orders before they are received.
#[async_trait]
pub trait Guard: Debug + Send + Sync + 'static {
    /// Asks the shop about each order. If the shop still waits for the receipt, this call also
    /// tells it that the order is received. After [`ShopDecision::Ours`] a repeat returns the same
    /// decision, whatever the shop has written since.
    async fn ask(&self, orders: &[OrderId]) -> Vec<ShopDecision>;

    /// Called after the receipts of these orders were committed.
    async fn done(&self, orders: &[OrderId]);
}

/// The shop's decision about a due adopted order. Exhaustive on purpose: it decides about a
/// receipt.
#[derive(Debug, Clone, PartialEq)]
pub enum ShopDecision {
    /// The shop waited for the receipt and was told of it: the receipt must be committed.
    Ours,
    /// The shop decided otherwise; its decision is applied to the order.
    Shop(Observation),
    /// The decision is unknown for now; the text says why.
    Unknown(String),
}
