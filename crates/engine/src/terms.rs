//! The terms of revisions. A revision's terms never change, so they are cached for ever.

use std::collections::HashMap;
use std::sync::Arc;

use autoreceive_domain::{Order, Policy, Revision, Terms};
use parking_lot::RwLock;

use autoreceive_store::{Shard, ShardCount, Store, StoreError};

/// Size of the cache, far more than a shop ever has. When it is full, the cache is cleared.
const MAX_REVISIONS: usize = 10_000;

/// All revisions seen so far.
pub(crate) struct TermsCache {
    known: RwLock<HashMap<Revision, Arc<Terms>>>,
}

impl TermsCache {
    /// A cache with the configured policies.
    pub(crate) fn new<'a>(policies: impl Iterator<Item = &'a Policy>) -> TermsCache {
        let known =
            policies.map(|policy| (policy.revision.clone(), policy.terms.clone())).collect();
        TermsCache { known: RwLock::new(known) }
    }

    /// The terms of a revision that was [loaded](TermsCache::load).
    pub(crate) fn get(&self, revision: &Revision) -> Option<Arc<Terms>> {
        self.known.read().get(revision).cloned()
    }

    /// Loads the missing revisions of `orders`.
    pub(crate) async fn load<'a>(
        &self,
        from: &dyn Store,
        orders: impl Iterator<Item = &'a Order>,
    ) -> Result<(), StoreError> {
        let wanted = self.unknown(from.about().shards, orders);
        if wanted.is_empty() {
            return Ok(());
        }
        let found = from.terms(&wanted).await?;
        let mut known = self.known.write();
        if known.len() > MAX_REVISIONS {
            known.clear();
        }
        for ((_, revision), terms) in wanted.into_iter().zip(found) {
            if let Some(terms) = terms {
                known.insert(revision, Arc::new(terms));
            }
        }
        Ok(())
    }

    fn unknown<'a>(
        &self,
        shards: ShardCount,
        orders: impl Iterator<Item = &'a Order>,
    ) -> Vec<(Shard, Revision)> {
        let known = self.known.read();
        let mut wanted: Vec<(Shard, Revision)> = Vec::new();
        let mut last: Option<&Revision> = None;
        for order in orders {
            // Orders that are due together mostly have the same terms.
            if last.replace(&order.revision) == Some(&order.revision) {
                continue;
            }
            if !known.contains_key(&order.revision)
                && wanted.iter().all(|(_, revision)| *revision != order.revision)
            {
                wanted.push((shards.of(&order.id), order.revision.clone()));
            }
        }
        wanted
    }
}
