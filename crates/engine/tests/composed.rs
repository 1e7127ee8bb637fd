//! Steps that the engine composes of the store's primitives.

use std::sync::Arc;

use autoreceive_domain::{Command, Event, EventKind, OrderId, Place, Policy, Terms};
use autoreceive_engine::{Action, Engine, Outcome, Subscription};
use autoreceive_store::{EntryRef, NewEntry, Queue, Store, Which};
use autoreceive_store_sqlite::SqliteStore;
use tokio::sync::mpsc;

/// Reports the events that it is given.
struct Reported(mpsc::UnboundedSender<String>);

#[async_trait::async_trait]
impl Action for Reported {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        for event in events {
            let _ = self.0.send(event.id());
        }
        vec![Outcome::Done; events.len()]
    }
}

#[tokio::test]
async fn an_unreadable_entry_stays_and_delays_no_other_and_the_action_is_counted() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let name: autoreceive_domain::ActionName = "shop".parse().unwrap();
    let pending = Queue::pending(&name);
    let entry = EntryRef { shard: 0, id: "damaged".to_owned() };
    let damaged = NewEntry { entry, at: store.now().await.unwrap(), text: "nonsense".to_owned() };
    assert_eq!(store.put(&pending, vec![damaged]).await, Ok(1));
    let (sender, mut reported) = mpsc::unbounded_channel();
    let action = Subscription::new(name.clone(), Reported(sender)).on(&[EventKind::Paid]);
    let policy = Policy::new("default", Terms::default()).unwrap();
    let engine = Engine::builder(store.clone()).policy(policy).action(action).start();
    let id: OrderId = "A-1".parse().unwrap();
    engine.submit(id.clone(), Place::new().into()).await.unwrap();
    engine.submit(id, Command::Pay { at: None }).await.unwrap();
    assert_eq!(reported.recv().await.as_deref(), Some("A-1:2"));
    engine.stop(std::time::Duration::from_secs(10)).await;
    let left = store.entries(&pending, Which::Page { cursor: None, limit: 10 }).await.unwrap();
    let texts: Vec<_> = left.items.iter().map(|entry| entry.text.as_deref()).collect();
    assert_eq!(texts, [Some("nonsense")]);
    let stats = engine.stats().await.unwrap();
    assert_eq!((stats.actions.len(), &stats.actions[0].name), (1, &name));
    assert_eq!(stats.actions[0].pending, 1);
}
