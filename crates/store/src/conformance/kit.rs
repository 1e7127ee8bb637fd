//! Helpers for the tests. Orders are made by `decide`, so they are real ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoreceive_domain::decide::decide_place;
use autoreceive_domain::{Cause, Command, Decision, Order, Place, Policy, decide};
pub use autoreceive_domain::{Event, OrderId, Span, Terms, Time};

use crate::entry;
use crate::*;

/// The store of a test.
pub type SharedStore = Arc<dyn Store>;

/// An order id.
pub fn id(text: &str) -> OrderId {
    text.parse().unwrap()
}

/// `count` ids that lie in one shard, so that one commit can hold them all.
pub fn neighbours(store: &SharedStore, count: usize) -> Vec<OrderId> {
    named_neighbours(store, "n", count)
}

/// `count` ids that begin with `name` and lie in the shard of `n-0`.
pub fn named_neighbours(store: &SharedStore, name: &str, count: usize) -> Vec<OrderId> {
    let shard = shard_of(store, &id("n-0"));
    let ids = (0..).map(|i| id(&format!("{name}-{i}")));
    ids.filter(|id| shard_of(store, id) == shard).take(count).collect()
}

/// The shard of an order.
pub fn shard_of(store: &SharedStore, id: &OrderId) -> Shard {
    store.about().shards.of(id)
}

/// A number of hours.
pub fn hours(hours: i64) -> Span {
    Span::from_hours(hours)
}

/// The store's time.
pub async fn now(store: &SharedStore) -> Time {
    store.now().await.unwrap()
}

/// The default policy: received 24 hours after the payment.
pub fn policy() -> Policy {
    Policy::new("default", Terms::default()).unwrap()
}

/// A place command of the default policy.
pub fn place() -> Place {
    let buyer = "buyer-1".parse().unwrap();
    let currency = "KRW".parse().unwrap();
    Place::new().buyer_id(buyer).amount(59_000).currency(currency)
}

/// A new order, unpaid and without a due time.
pub fn placed(id: &OrderId, now: Time) -> Change {
    new(id, &place(), now)
}

/// A new order that was paid at `paid_at`. It is due 24 hours later.
pub fn paid(id: &OrderId, paid_at: Time, now: Time) -> Change {
    new(id, &place().paid_at(paid_at), now)
}

/// A new order that has been due for `ago`.
pub fn overdue(id: &OrderId, ago: Span, now: Time) -> Change {
    paid(id, now.before(hours(24)).before(ago), now)
}

/// A new order that is resting: paid and received.
pub fn resting(id: &OrderId, now: Time) -> Change {
    and_then(paid(id, now, now), &RECEIVE, now)
}

/// A new order.
pub fn new(id: &OrderId, place: &Place, now: Time) -> Change {
    new_under(id, place, &policy(), now)
}

/// A new order under the given policy.
pub fn new_under(id: &OrderId, place: &Place, policy: &Policy, now: Time) -> Change {
    let decision = decide_place(id, place, now, policy);
    let Decision::Changed(order) = decision else { panic!("not placed: {id}") };
    let events = vec![Event(Arc::clone(&order))];
    Change { id: id.clone(), expected: 0, was: None, events, order: Some(order) }
}

/// The change of `order` by `command`.
pub fn then(order: &Order, command: &Command, now: Time) -> Change {
    let Decision::Changed(next) = decide(order, command, now, &policy().terms) else {
        panic!("{command:?} did not change {order:?}")
    };
    let events = vec![Event(Arc::clone(&next))];
    Change { order: Some(next), events, ..removal(order) }
}

/// The same change with one more command applied.
pub fn and_then(mut change: Change, command: &Command, now: Time) -> Change {
    let next = then(&after(&change), command, now);
    change.events.extend(next.events);
    Change { order: next.order, ..change }
}

/// The removal of `order`.
pub fn removal(order: &Order) -> Change {
    let was = Some(order.status).filter(|_| !order.is_resting());
    Change { id: order.id.clone(), expected: order.version, was, order: None, events: Vec::new() }
}

/// The order after `change`.
pub fn after(change: &Change) -> Arc<Order> {
    Arc::clone(change.order.as_ref().unwrap())
}

/// The buyer confirms the receipt.
pub const RECEIVE: Command = Command::Receive { by: Cause::Buyer };

/// Puts a hold on an order.
pub fn hold(name: &str) -> Command {
    Command::Hold { id: name.parse().unwrap(), reason: "dispute".parse().unwrap() }
}

/// The state of a shard.
pub async fn state(store: &SharedStore, shard: Shard) -> Arc<ShardState> {
    next_due(store, shard).await.shard
}

/// The result of `due` with a limit of 0.
pub async fn next_due(store: &SharedStore, shard: Shard) -> At<DueShard> {
    let mut found = store.due(&[Look { shard, extra: 0 }], 0).await;
    assert_eq!(found.len(), 1);
    found.remove(0).unwrap()
}

/// A commit of changes that lie in one shard, decided at `now`.
pub async fn commit(store: &SharedStore, now: Time, changes: Vec<Change>) -> Commit {
    let shard = changes.first().map_or(0, |change| shard_of(store, &change.id));
    assert!(
        changes.iter().all(|change| shard_of(store, &change.id) == shard),
        "changes of several shards in one commit"
    );
    let round = Arc::new(Round { changes, ..Round::default() });
    Commit { shard, now, state: state(store, shard).await, epoch: None, read: None, round }
}

/// The data of a commit that was not sent yet, for changes.
pub fn round(commit: &mut Commit) -> &mut Round {
    Arc::get_mut(&mut commit.round).unwrap()
}

/// An entry of a commit.
pub fn entry(action: &str, id: &str, at: Time, events: EventSelection) -> OutboxEntry {
    OutboxEntry { action: action.parse().unwrap(), id: id.to_owned(), at, events }
}

/// Commits one commit.
pub async fn result(store: &SharedStore, commit: Commit) -> CommitResult {
    let mut results = store.commit(vec![commit]).await;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

/// Commits one commit, which must succeed.
pub async fn succeed(store: &SharedStore, commit: Commit) {
    assert_eq!(result(store, commit).await, CommitResult::Committed);
}

/// Commits one commit, which must conflict because of versions. Returns the sorted losers.
pub async fn losers(store: &SharedStore, commit: Commit) -> Vec<OrderId> {
    match result(store, commit).await {
        CommitResult::Conflict { mut losers, why: Why::Version } => {
            losers.sort_unstable();
            losers
        }
        other => panic!("no conflict: {other:?}"),
    }
}

/// Commits changes of any shards. All must succeed.
pub async fn keep(store: &SharedStore, changes: Vec<Change>) {
    let now = now(store).await;
    let mut shards = BTreeMap::<Shard, Vec<Change>>::new();
    for change in changes {
        shards.entry(shard_of(store, &change.id)).or_default().push(change);
    }
    let mut commits = Vec::new();
    for changes in shards.into_values() {
        commits.push(commit(store, now, changes).await);
    }
    let results = store.commit(commits).await;
    assert!(results.iter().all(|result| *result == CommitResult::Committed), "{results:?}");
}

/// The order with this id, if there is one.
pub async fn loaded(store: &SharedStore, id: &OrderId) -> Option<Order> {
    let mut found = store.load(std::slice::from_ref(id)).await;
    assert_eq!(found.len(), 1);
    found.remove(0).unwrap().value.unwrap()
}

/// A look at every shard.
pub fn all_shards(store: &SharedStore) -> Vec<Look> {
    store.about().shards.all().map(|shard| Look { shard, extra: 0 }).collect()
}

/// The due orders of all shards.
pub async fn due(store: &SharedStore, limit: usize) -> Vec<At<DueShard>> {
    let found = store.due(&all_shards(store), limit).await;
    found.into_iter().map(Result::unwrap).collect()
}

/// The sorted ids of the due orders of all shards.
pub async fn due_ids(store: &SharedStore) -> Vec<String> {
    let found = due(store, 1_000).await.into_iter().flat_map(|shard| shard.value.orders);
    let mut ids: Vec<String> = found.map(|order| order.id.to_string()).collect();
    ids.sort_unstable();
    ids
}

/// An action name.
pub fn action(name: &str) -> ActionName {
    name.parse().unwrap()
}

/// The action that most tests use.
pub fn sync() -> ActionName {
    action("sync")
}

/// Another action.
pub fn other() -> ActionName {
    action("other")
}

/// Claims up to 100 entries of the action `sync`.
pub async fn claim(store: &SharedStore, lease: Span) -> Claimed {
    store.claim(&sync(), 100, lease).await.unwrap()
}

/// Commits a new order with an entry for the action `sync`. The entry can be claimed at `at`.
pub async fn keep_entry(store: &SharedStore, entry_id: &str, at: Time) -> (EntryRef, Event) {
    let now = now(store).await;
    let order = id(&format!("order-of-{entry_id}"));
    let change = placed(&order, now);
    let event = change.events[0].clone();
    let mut commit = commit(store, now, vec![change]).await;
    round(&mut commit).entries.push(entry("sync", entry_id, at, EventSelection::All));
    succeed(store, commit).await;
    (EntryRef { shard: shard_of(store, &order), id: entry_id.to_owned() }, event)
}

/// The event of a new order that is not stored.
pub fn event(name: &str, now: Time) -> Event {
    placed(&id(name), now).events.remove(0)
}

/// A new entry for an event, with the event's id.
pub fn entry_of(store: &SharedStore, event: &Event, at: Time) -> NewEntry {
    let entry = EntryRef { shard: shard_of(store, &event.0.id), id: event.id() };
    NewEntry { entry, at, text: entry::encode(None, [event]) }
}

/// The ids of entries, sorted.
pub fn entry_ids(entries: &[Entry]) -> Vec<String> {
    let mut ids: Vec<String> = entries.iter().map(|entry| entry.entry.id.clone()).collect();
    ids.sort_unstable();
    ids
}

/// The events of an entry.
pub fn events(entry: &Entry) -> Vec<Event> {
    entry.read().unwrap().1
}

/// A follow-up for an event, with the event's id.
pub fn follow_up(queue: Queue, event: &Event, history: &History, at: Time) -> FollowUp {
    let text = entry::encode(Some(history), [event]);
    FollowUp { queue, id: event.id(), at, text, only_if_absent: false }
}

/// The history of this number of attempts.
pub fn history(attempts: u32, now: Time) -> History {
    let error = |i: i64| (now.before(Span::from_secs(10 - i)), format!("HTTP 503: {i} — später"));
    History { attempts, first_at: now.before(hours(1)), errors: (0..3).map(error).collect() }
}

/// A dead letter of the action `sync`, given up at `at`.
pub async fn keep_dead_letter(store: &SharedStore, name: &str, at: Time) -> EntryRef {
    let now = now(store).await;
    let (entry, event) = keep_entry(store, name, now).await;
    let dead_letter = EntryRef { shard: entry.shard, id: event.id() };
    let dead = follow_up(Queue::dead(&sync()), &event, &history(17, at), at);
    let settlement = Settlement { entry, follow_ups: vec![dead] };
    assert_eq!(store.settle(&Queue::pending(&sync()), vec![settlement]).await, Ok(1));
    dead_letter
}

/// Every entry of a queue, read in pages of `limit`, the earliest first.
pub async fn all_entries(store: &SharedStore, queue: &Queue, limit: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let which = Which::Page { cursor: cursor.as_deref(), limit };
        let page = store.entries(queue, which).await.unwrap();
        assert!(page.items.len() <= limit && page.total.is_none());
        entries.extend(page.items);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
        assert!(entries.len() < 10_000, "the pages do not end");
    }
    assert!(entries.is_sorted_by_key(|entry| entry.at));
    entries
}

/// The number of entries in each lane of an action: pending, dead.
pub async fn lanes(store: &SharedStore, action: &ActionName) -> (usize, usize) {
    let pending = all_entries(store, &Queue::pending(action), 1_000).await;
    let dead = all_entries(store, &Queue::dead(action), 1_000).await;
    (pending.len(), dead.len())
}

/// Makes `stats` count the queues of an action.
pub async fn name(store: &SharedStore, action: &ActionName) {
    let named = Cas { key: action.as_str(), expected: Expected::Anything, value: Some("") };
    assert_eq!(store.compare_and_set(Space::Actions, &[named]).await, Ok(vec![true]));
}

/// The statistics of a named action.
pub async fn action_stats(store: &SharedStore, action: &ActionName) -> ActionStats {
    let stats = store.stats().await.unwrap();
    let found = stats.actions.into_iter().find(|known| known.name == *action);
    found.unwrap_or_else(|| panic!("{action} is not among the actions"))
}

/// Orders of a status that are not resting.
pub fn counted(stats: &Stats, status: autoreceive_domain::Status) -> u64 {
    let found = stats.orders.iter().find(|(known, _)| *known == status);
    found.map_or(0, |(_, count)| *count)
}

/// The number of events of a kind since the store was created.
pub fn total(stats: &Stats, kind: autoreceive_domain::EventKind) -> u64 {
    stats.totals.iter().filter(|(known, _, _)| *known == kind).map(|(_, _, count)| count).sum()
}

/// The notes of resting orders, each with its orders' ids.
pub async fn notes(store: &SharedStore, limit: usize) -> Vec<(NoteRef, Vec<OrderId>)> {
    let page = store.list(View::Resting, None, limit).await.unwrap();
    assert_eq!((page.cursor, page.total), (None, None));
    assert!(page.items.is_sorted_by_key(|row| row.at));
    let mut notes: Vec<(NoteRef, Vec<OrderId>)> = Vec::new();
    for row in page.items {
        let note = row.note.expect("a row of a note");
        match notes.last_mut().filter(|(known, _)| *known == note) {
            Some((_, ids)) => ids.push(row.id),
            None => notes.push((note, vec![row.id])),
        }
    }
    notes
}

/// Claims again and again until an entry is claimed.
pub async fn claim_in_time(store: &SharedStore) -> Claimed {
    let begun = Instant::now();
    loop {
        let claimed = claim(store, hours(1)).await;
        if !claimed.entries.is_empty() {
            return claimed;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no entry could be claimed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A small source of random numbers, so that the suite needs no library. It prints its seed;
/// `CONFORMANCE_SEED` repeats a run.
pub struct Random(u64);

impl Random {
    /// A source with the seed in `CONFORMANCE_SEED`, or a new one.
    pub fn from_seed() -> Random {
        use std::hash::{BuildHasher, RandomState};
        let given = std::env::var("CONFORMANCE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = given.unwrap_or_else(|| RandomState::new().hash_one("seed"));
        println!("CONFORMANCE_SEED={seed}");
        Random(seed | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // Xorshift: never 0, because it does not start at 0.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
