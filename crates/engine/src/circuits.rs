//! The circuits of all endpoints, shared by all workers: one text for each action in the register.
//! This file reads and writes it; the rules are in the domain.

use autoreceive_domain::{ActionName, Circuit, Time};
use autoreceive_store::{Cas, Expected, Space, Store, StoreError};

/// A circuit with the text from which it was read, for compare-and-set.
pub(crate) struct StoredCircuit {
    pub(crate) circuit: Circuit,
    text: Option<String>,
}

/// The circuit of an action's endpoint, and the store's time. An unreadable text counts as a closed
/// circuit.
pub(crate) async fn read(
    store: &dyn Store,
    action: &ActionName,
) -> Result<(Time, StoredCircuit), StoreError> {
    let (now, mut texts) = store.get(Space::Circuits, &[action.to_string()]).await?;
    let text = texts.pop().flatten();
    let circuit = text.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok((now, StoredCircuit { circuit, text }))
}

/// Writes `next` if the store still contains `stored`. Returns whether it was written.
pub(crate) async fn write(
    store: &dyn Store,
    action: &ActionName,
    stored: &StoredCircuit,
    next: &Circuit,
) -> Result<bool, StoreError> {
    let expected = stored.text.as_deref().map_or(Expected::Nothing, Expected::Value);
    let next = next.to_string();
    let change = Cas { key: action.as_str(), expected, value: Some(&next) };
    let done = store.compare_and_set(Space::Circuits, &[change]).await?;
    Ok(done.first() == Some(&true))
}
