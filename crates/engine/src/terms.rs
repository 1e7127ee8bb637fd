//! The terms of revisions. A revision names its terms for ever, so what was once read never
//! changes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use autoreceive_domain::{Order, Policy, Revision, Terms};

use autoreceive_store::{Shard, ShardCount, Store, StoreError};

/// How many revisions are remembered: far more than a shop ever has; if it is exceeded, all are
/// read again.
const REMEMBERED: usize = 10_000;

/// Every revision that was met so far.
pub(crate) struct TermsBook {
    known: RwLock<HashMap<Revision, Arc<Terms>>>,
}

impl TermsBook {
    /// A book that knows the configured policies.
    pub(crate) fn new<'a>(policies: impl Iterator<Item = &'a Policy>) -> TermsBook {
        let known =
            policies.map(|policy| (policy.revision.clone(), policy.terms.clone())).collect();
        TermsBook { known: RwLock::new(known) }
    }

    /// The terms of a revision that was [learnt](TermsBook::learn).
    pub(crate) fn get(&self, revision: &Revision) -> Option<Arc<Terms>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(revision).cloned()
    }

    /// Reads the revisions of `orders` that are not known yet.
    pub(crate) async fn learn<'a>(
        &self,
        from: &dyn Store,
        orders: impl Iterator<Item = &'a Order>,
    ) -> Result<(), StoreError> {
        let wanted = self.unknown(from.about().shards, orders);
        if wanted.is_empty() {
            return Ok(());
        }
        let found = from.terms(&wanted).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() > REMEMBERED {
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
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut wanted: Vec<(Shard, Revision)> = Vec::new();
        let mut last: Option<&Revision> = None;
        for order in orders {
            // Orders that fall due together were mostly placed under the same terms.
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
