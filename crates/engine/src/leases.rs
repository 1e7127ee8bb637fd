//! The entries that one relay holds under lease, to be renewed: those that wait in its queue and
//! those that are worked on.

use std::collections::HashSet;

use autoreceive_store::EntryRef;
use parking_lot::Mutex;

/// Entries under lease here.
#[derive(Default)]
pub(crate) struct Held(Mutex<HashSet<EntryRef>>);

impl Held {
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
