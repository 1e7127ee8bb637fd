//! What the suite's tests are written with. Orders are made by `decide`, so that they are real ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoreceive::domain::decide::decide_place;
use autoreceive::domain::{Cause, Command, Decision, Event, Order, OrderId, Place, Policy, Span, Terms, Time, decide};
use autoreceive::store::{
    ActionName, Change, Claimed, ClaimedEntry, Commit, Due, EntryRef, Look, Members, NewEntry, Settlement, Shard, Store, Verdict,
};

pub type Kept = Arc<dyn Store>;

pub fn id(text: &str) -> OrderId {
    text.parse().unwrap()
}

/// `count` ids that lie in one shard, so that one commit can hold them all.
pub fn neighbours(store: &Kept, count: usize) -> Vec<OrderId> {
    let shard = store.shard_of(&id("n-0"));
    (0..).map(|i| id(&format!("n-{i}"))).filter(|id| store.shard_of(id) == shard).take(count).collect()
}

pub fn hours(hours: i64) -> Span {
    Span::from_hours(hours)
}

pub async fn now(store: &Kept) -> Time {
    store.heads().await.unwrap().now
}

/// The default policy: received 24 hours after the payment.
pub fn policy() -> Policy {
    Policy::new("default", Terms::default()).unwrap()
}

pub fn place() -> Place {
    let (buyer, currency) = ("buyer-1".parse().unwrap(), "KRW".parse().unwrap());
    Place::new().buyer_id(buyer).amount(59_000).currency(currency)
}

/// A new order, unpaid and without a wake.
pub fn placed(id: &OrderId, now: Time) -> Change {
    new(id, place(), now)
}

/// A new order that was paid at `paid_at`, and so wakes 24 hours later.
pub fn paid(id: &OrderId, paid_at: Time, now: Time) -> Change {
    new(id, place().paid_at(paid_at), now)
}

/// A new order whose wake came `ago`.
pub fn overdue(id: &OrderId, ago: Span, now: Time) -> Change {
    paid(id, now.before(hours(24)).before(ago), now)
}

pub fn new(id: &OrderId, place: Place, now: Time) -> Change {
    new_under(id, &place, &policy(), now)
}

/// A new order under a policy of its own.
pub fn new_under(id: &OrderId, place: &Place, policy: &Policy, now: Time) -> Change {
    let decision = decide_place(id, place, now, policy);
    let Decision::Changed(order) = decision else { panic!("not placed: {id}") };
    Change { id: id.clone(), expected: 0, was: None, events: vec![Event(Arc::clone(&order))], order: Some(order) }
}

/// What becomes of `order` by `command`.
pub fn then(order: &Order, command: &Command, now: Time) -> Change {
    let Decision::Changed(next) = decide(order, command, now, &policy().terms) else { panic!("{command:?} did not change {order:?}") };
    let was = Some(order.status).filter(|_| !order.is_resting());
    Change { id: order.id.clone(), expected: order.version, was, events: vec![Event(Arc::clone(&next))], order: Some(next) }
}

/// The same with one more command carried out in it.
pub fn and_then(mut change: Change, command: &Command, now: Time) -> Change {
    let next = then(&after(&change), command, now);
    change.events.extend(next.events);
    Change { order: next.order, ..change }
}

pub fn removal(order: &Order) -> Change {
    let was = Some(order.status).filter(|_| !order.is_resting());
    Change { id: order.id.clone(), expected: order.version, was, order: None, events: Vec::new() }
}

/// The order as `change` leaves it.
pub fn after(change: &Change) -> Arc<Order> {
    Arc::clone(change.order.as_ref().unwrap())
}

pub const RECEIVE: Command = Command::Receive { by: Cause::Buyer };

pub fn hold(name: &str) -> Command {
    Command::Hold { id: name.parse().unwrap(), reason: "dispute".parse().unwrap() }
}

/// A commit of changes that lie in one shard.
pub fn commit(store: &Kept, now: Time, changes: Vec<Change>) -> Commit {
    let shard = changes.first().map_or(0, |change| store.shard_of(&change.id));
    assert!(changes.iter().all(|change| store.shard_of(&change.id) == shard), "changes of several shards in one commit");
    Commit { shard, now, changes, entries: Vec::new(), policies: Vec::new(), notes: Vec::new(), notes_done: Vec::new() }
}

pub fn entry(action: &str, id: &str, at: Time, members: Members) -> NewEntry {
    NewEntry { action: action.parse().unwrap(), id: id.to_owned(), at, members }
}

/// Commits one commit, and returns its losers.
pub async fn losers(store: &Kept, commit: Commit) -> Vec<u32> {
    let verdicts = store.commit(vec![commit.into()]).await;
    let [Verdict::Done { losers }] = &verdicts[..] else { panic!("not done: {verdicts:?}") };
    losers.clone()
}

/// Commits changes of any shards, all of which must win.
pub async fn keep(store: &Kept, changes: Vec<Change>) {
    let now = now(store).await;
    let mut shards = BTreeMap::<Shard, Vec<Change>>::new();
    for change in changes {
        shards.entry(store.shard_of(&change.id)).or_default().push(change);
    }
    let verdicts = store.commit(shards.into_values().map(|changes| commit(store, now, changes).into()).collect()).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Done { losers: Vec::new() }), "{verdicts:?}");
}

pub async fn loaded(store: &Kept, id: &OrderId) -> Option<Order> {
    let mut found = store.load(std::slice::from_ref(id)).await.unwrap().orders;
    assert_eq!(found.len(), 1);
    found.remove(0).unwrap()
}

/// What is due in all shards.
pub async fn due(store: &Kept, limit: usize) -> Due {
    let looks: Vec<Look> = (0..store.shards()).map(|shard| Look { shard, extra: 0 }).collect();
    store.due(&looks, limit).await.unwrap()
}

pub async fn due_ids(store: &Kept) -> Vec<String> {
    let found = due(store, 1_000).await;
    let mut ids: Vec<String> = found.shards.into_iter().flat_map(|shard| shard.orders).map(|order| order.id.to_string()).collect();
    ids.sort_unstable();
    ids
}

pub fn sync() -> ActionName {
    "sync".parse().unwrap()
}

pub async fn claim(store: &Kept, lease: Span) -> Claimed {
    store.claim(&sync(), 100, lease).await.unwrap()
}

/// Stores an entry for the action `sync`, at the time it can be claimed, with the event of a new order of its own.
pub async fn keep_entry(store: &Kept, entry_id: &str, at: Time) -> (EntryRef, Event) {
    let now = now(store).await;
    let order = id(&format!("order-of-{entry_id}"));
    let change = placed(&order, now);
    let event = change.events[0].clone();
    let mut commit = commit(store, now, vec![change]);
    commit.entries.push(entry("sync", entry_id, at, Members::All));
    assert!(losers(store, commit).await.is_empty());
    (EntryRef { shard: store.shard_of(&order), id: entry_id.to_owned() }, event)
}

pub fn entry_ids(claimed: &Claimed) -> Vec<String> {
    let mut ids: Vec<String> = claimed.entries.iter().map(|entry| entry.entry.id.clone()).collect();
    ids.sort_unstable();
    ids
}

pub fn event_ids(entry: &ClaimedEntry) -> Vec<String> {
    entry.events.iter().map(Event::id).collect()
}

pub fn settled(entry: &EntryRef) -> Settlement {
    Settlement { entry: entry.clone(), after: Vec::new() }
}

/// Claims until there is something to claim.
pub async fn claim_in_time(store: &Kept) -> Claimed {
    let begun = Instant::now();
    loop {
        let claimed = claim(store, hours(1)).await;
        if !claimed.entries.is_empty() {
            return claimed;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing came up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
