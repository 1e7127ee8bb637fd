//! The entries that one relay has under lease: those that wait in its queue, and those that are
//! being attempted. The relay renews the leases.

use std::collections::HashSet;

use autoreceive_store::EntryRef;
use parking_lot::Mutex;

/// Entries under lease.
#[derive(Default)]
pub(crate) struct Leases(Mutex<HashSet<EntryRef>>);

impl Leases {
    pub(crate) fn add(&self, entry: &EntryRef) {
        self.0.lock().insert(entry.clone());
    }

    pub(crate) fn remove(&self, entry: &EntryRef) {
        self.0.lock().remove(entry);
    }

    pub(crate) fn all(&self) -> Vec<EntryRef> {
        self.0.lock().iter().cloned().collect()
    }
}
