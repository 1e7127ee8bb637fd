//! How endpoints are doing, as far as all workers know: one text for each action in the register.
//! Which state follows from what was seen is the domain's rule; here it is read and written.

use autoreceive_domain::{ActionName, Circuit, Time};
use autoreceive_store::{Cas, Expected, Space, Store, StoreError};

/// A circuit with the text that it was read from, by which a change of it is recognised.
pub(crate) struct Known {
    pub(crate) circuit: Circuit,
    text: Option<String>,
}

/// What is known of an action's endpoint, and the store's time. A text that cannot be read says
/// nothing against an endpoint.
pub(crate) async fn read(
    store: &dyn Store,
    action: &ActionName,
) -> Result<(Time, Known), StoreError> {
    let (now, mut texts) = store.get(Space::Circuits, &[action.to_string()]).await?;
    let text = texts.pop().flatten();
    let circuit = text.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok((now, Known { circuit, text }))
}

/// Writes `next` if what is known is still `known`. Returns whether it was written.
pub(crate) async fn write(
    store: &dyn Store,
    action: &ActionName,
    known: &Known,
    next: &Circuit,
) -> Result<bool, StoreError> {
    let expected = known.text.as_deref().map_or(Expected::Nothing, Expected::Value);
    let next = next.to_string();
    let change = Cas { key: action.as_str(), expected, value: Some(&next) };
    let done = store.compare_and_set(Space::Circuits, &[change]).await?;
    Ok(done.first() == Some(&true))
}
