//! The engine inside your own service, with your own action.
//!
//!     cargo run --example own_action
//!
//! Places and pays an order with half a second of silence, and credits points when it is received.
//! The action runs at least once, so it remembers the ids of its events: a repeat does nothing.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use autoreceive::action::{Action, Outcome, Subscription};
use autoreceive::domain::{Command, Event, OrderId, Place, Policy, Span, Terms};
use autoreceive::engine::Engine;
use autoreceive::store_sqlite::SqliteStore;
use tokio::sync::mpsc;

/// Credits one point for every 100 minor units, once for each order.
struct Points {
    done: Mutex<HashSet<String>>,
    credited: mpsc::UnboundedSender<(String, u64)>,
}

#[async_trait]
impl Action for Points {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        events.iter().map(|event| self.credit(event)).collect()
    }
}

impl Points {
    fn credit(&self, event: &Event) -> Outcome {
        let order = &event.0;
        let Some(amount) = order.amount else {
            return Outcome::Dead { why: "the order has no amount".into() };
        };
        let is_new = self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(event.id());
        if is_new && self.credited.send((order.id.to_string(), amount / 100)).is_err() {
            return Outcome::retry("the receiver of the points is gone");
        }
        Outcome::Done
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (credited, mut points) = mpsc::unbounded_channel();
    let directory = tempfile::tempdir()?;
    let store =
        Arc::new(SqliteStore::open(&directory.path().join("orders.db"), Duration::from_secs(5))?);
    let policy = Policy::new("default", Terms::default())?;
    let action = Subscription::new("points".parse()?, Points { done: Mutex::default(), credited });
    let engine = Engine::builder(store).policy(policy).action(action).start();

    let id: OrderId = "A-1001".parse()?;
    let place = Place::new().buyer_id("buyer-7".parse()?).amount(59_000).currency("KRW".parse()?);
    let place = place.receive_after(Span::from_ms(500));
    engine.submit(id.clone(), place.into()).await?;
    engine.submit(id, Command::Pay { at: None }).await?;

    let (order, credit) =
        tokio::time::timeout(Duration::from_secs(10), points.recv()).await?.unwrap_or_default();
    println!("{order} was received automatically: {credit} points");
    engine.stop(Duration::from_secs(5)).await;
    Ok(())
}
