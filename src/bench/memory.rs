//! The size of a waiting order: memory on Redis, file on SQLite. With a buyer of 12 characters,
//! amount and currency, ids of several lengths, and `data` of several lengths.

use autoreceive_domain::Span;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::bench_store::{BenchStore, Filling};

/// The benchmark of an order's size.
pub struct Memory {
    /// Orders of each kind.
    pub orders: usize,
}

impl Memory {
    /// The kinds: characters of the id, bytes of `data`. The first one is compared with peers.
    pub const KINDS: [(usize, usize); 6] =
        [(18, 0), (36, 0), (64, 0), (18, 64), (18, 256), (18, 1_024)];

    /// Measures on `target` and returns the figures.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn run(&self, target: &BenchStore, progress: &ProgressBar) -> anyhow::Result<Value> {
        let mut kinds = Vec::new();
        for (id, data) in Memory::KINDS {
            let beside = target.beside().await?;
            let bytes = self.bytes_per_order(&beside, id, data, progress).await;
            beside.clear().await?;
            kinds.push(
                json!({"id_characters": id, "data_bytes": data, "bytes_per_order": bytes?.round()}),
            );
        }
        let plain = kinds.first().map(|kind| kind["bytes_per_order"].clone());
        Ok(json!({
            "bench": "memory",
            "store": target.name,
            "orders": self.orders,
            "bytes_per_order": plain,
            "kinds": kinds,
        }))
    }

    async fn bytes_per_order(
        &self,
        target: &BenchStore,
        id: usize,
        data: usize,
        progress: &ProgressBar,
    ) -> anyhow::Result<f64> {
        let later = target.store.now().await?.after(Span::from_hours(24));
        let deadline = |i: usize| later.after(Span::from_ms((i % 86_400_000) as i64));
        let before = target.bytes().await?;
        target
            .fill(Filling { deadline: &deadline, id, data, ..Filling::of(self.orders) }, progress)
            .await?;
        Ok(target.bytes().await?.saturating_sub(before) as f64 / self.orders as f64)
    }
}
