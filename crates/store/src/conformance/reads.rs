//! A read token only makes a commit cheaper. With a token, without one or with a wrong one, the
//! result is the same.

use std::sync::Arc;

use autoreceive_domain::{Command, Order};

use super::kit::*;
use crate::*;

/// What the test does with the token of the read.
#[derive(Debug, Clone, Copy)]
enum Token {
    Named,
    Dropped,
    OfALaterRead,
    OfAnEarlierRead,
    OfAnotherShard,
    OfAnotherStore,
}

const TOKENS: [Token; 6] = [
    Token::Named,
    Token::Dropped,
    Token::OfALaterRead,
    Token::OfAnEarlierRead,
    Token::OfAnotherShard,
    Token::OfAnotherStore,
];

async fn read(store: &SharedStore, shard: Shard) -> At<DueShard> {
    store.due(&[Look { shard, extra: 0 }], 100).await.remove(0).unwrap()
}

/// Reads a shard, decides its due orders, and returns the commit with the wanted token, not yet
/// sent.
async fn decide_due(store: &SharedStore, shard: Shard, token: Token) -> Commit {
    let earlier = read(store, shard).await;
    let other = store.about().shards.all().find(|other| *other != shard);
    let mut at = read(store, shard).await;
    let own = at.value.read.take();
    let token = match token {
        Token::Named => own,
        Token::Dropped => None,
        Token::OfALaterRead => read(store, shard).await.value.read,
        Token::OfAnEarlierRead => earlier.value.read,
        Token::OfAnotherShard => match other {
            Some(other) => read(store, other).await.value.read,
            None => None,
        },
        Token::OfAnotherStore => Some(ReadToken::new("not issued by any store")),
    };
    let orders = at.value.orders.into_iter().filter_map(|order| order.order.ok().flatten());
    let changes: Vec<Change> = orders.map(|order| then(&order, &Command::Due, at.now)).collect();
    let mut round = Round { changes, ..Round::default() };
    let entry_id =
        format!("{shard}-{}", round.changes.first().map_or("", |change| change.id.as_str()));
    round.entries.push(entry("sync", &entry_id, at.now, EventSelection::All));
    Commit { shard, now: at.now, state: at.shard, epoch: None, read: token, round: Arc::new(round) }
}

/// The number of overdue orders. Enough for a store to hold a read.
const OVERDUE: usize = 40;

/// Overdue orders in one shard. The action's outbox was used before, because a store may hold a
/// read only for outboxes that it knows.
async fn some_overdue(store: &SharedStore, name: &str) -> (Shard, Vec<Change>) {
    let now = now(store).await;
    let (first, _) = keep_entry(store, &format!("first-{name}"), now).await;
    let done = vec![Settlement::done(first)];
    assert_eq!(store.settle(&Queue::pending(&sync()), done).await, Ok(1));
    let ids = named_neighbours(store, name, OVERDUE);
    let changes: Vec<Change> = ids.iter().map(|id| overdue(id, hours(1), now)).collect();
    keep(store, changes.clone()).await;
    (shard_of(store, &ids[0]), changes)
}

async fn assert_kept(store: &SharedStore, changes: &[Change]) {
    for change in changes {
        assert_eq!(loaded(store, &change.id).await.as_ref(), change.order.as_deref());
    }
}

pub async fn a_commit_succeeds_with_any_token(store: SharedStore) {
    for (i, token) in TOKENS.into_iter().enumerate() {
        let (shard, _) = some_overdue(&store, &format!("{i}")).await;
        let commit = decide_due(&store, shard, token).await;
        let round = Arc::clone(&commit.round);
        assert_eq!(round.changes.len(), OVERDUE);
        assert_eq!(result(&store, commit).await, CommitResult::Committed, "{token:?}");
        assert_kept(&store, &round.changes).await;
        let claimed = claim(&store, hours(1)).await.entries;
        assert_eq!(claimed.len(), 1, "{token:?}");
        assert_eq!(events(&claimed[0]).len(), OVERDUE);
        assert!(due_ids(&store).await.is_empty());
    }
}

pub async fn an_order_that_changed_after_the_read_loses_with_any_token(store: SharedStore) {
    for (i, token) in TOKENS.into_iter().enumerate() {
        let (shard, before) = some_overdue(&store, &format!("{i}")).await;
        let late = decide_due(&store, shard, token).await;
        let changed = then(&after(&before[1]), &hold("dispute"), now(&store).await);
        let removed = removal(&after(&before[2]));
        keep(&store, vec![changed.clone(), removed.clone()]).await;
        let mut expected = vec![changed.id.clone(), removed.id.clone()];
        expected.sort_unstable();
        assert_eq!(losers(&store, late).await, expected, "{token:?}");
        assert_kept(&store, &[changed, removed]).await;
        assert_kept(&store, &before[3..]).await;
        assert_kept(&store, &before[..1]).await;
        assert_eq!(lanes(&store, &sync()).await, (0, 0), "{token:?}");
        // The next token must find only its own orders.
        let rest = before[3..].iter().chain(&before[..1]);
        keep(&store, rest.map(|change| removal(&after(change))).collect()).await;
    }
}

/// The named read is newer than the decision. Nothing changed since that read, so only the versions
/// show the conflict.
pub async fn a_token_of_a_later_read_hides_no_loser(store: SharedStore) {
    let (shard, before) = some_overdue(&store, "n").await;
    let late = decide_due(&store, shard, Token::Dropped).await;
    let now = now(&store).await;
    let order = after(&before[1]);
    let changed = Order { version: order.version + 1, changed_at: now, ..(*order).clone() };
    let changed = Change { order: Some(Arc::new(changed)), ..removal(&order) };
    keep(&store, vec![changed.clone()]).await;
    let token = read(&store, shard).await.value.read;
    let late = Commit { read: token, ..late };
    assert_eq!(losers(&store, late).await, std::slice::from_ref(&changed.id));
    assert_kept(&store, &[before[0].clone(), changed, before[2].clone()]).await;
    assert_eq!(lanes(&store, &sync()).await, (0, 0));
}

/// Other orders of the shard may change.
pub async fn a_changed_neighbour_is_no_conflict(store: SharedStore) {
    for (i, token) in TOKENS.into_iter().enumerate() {
        let (shard, _) = some_overdue(&store, &format!("{i}")).await;
        let commit = decide_due(&store, shard, token).await;
        let round = Arc::clone(&commit.round);
        let now = now(&store).await;
        let neighbours = named_neighbours(&store, &format!("{i}-new"), 2);
        keep(&store, neighbours.iter().map(|id| placed(id, now)).collect()).await;
        keep_entry(&store, &format!("e{i}"), now.after(hours(1))).await;
        assert_eq!(result(&store, commit).await, CommitResult::Committed, "{token:?}");
        assert_kept(&store, &round.changes).await;
    }
}

/// Two workers read the same orders. The second commit loses all of them.
pub async fn one_of_two_commits_of_the_same_orders_succeeds_with_any_token(store: SharedStore) {
    for (i, token) in TOKENS.into_iter().enumerate() {
        let (shard, before) = some_overdue(&store, &format!("{i}")).await;
        let one = decide_due(&store, shard, token).await;
        let two = decide_due(&store, shard, token).await;
        let round = Arc::clone(&two.round);
        assert_eq!(result(&store, two).await, CommitResult::Committed, "{token:?}");
        assert_eq!(losers(&store, one).await.len(), before.len(), "{token:?}");
        assert_kept(&store, &round.changes).await;
        let claimed = claim(&store, hours(1)).await.entries;
        assert_eq!(
            claimed.iter().map(|entry| events(entry).len()).sum::<usize>(),
            OVERDUE,
            "{token:?}"
        );
    }
}

pub async fn a_token_does_not_bypass_the_checks_for_gone_and_stale(store: SharedStore) {
    let (shard, before) = some_overdue(&store, "n").await;
    let commit = decide_due(&store, shard, Token::Named).await;
    let commit = Commit { now: commit.now.before(Span::from_secs(12)), ..commit };
    let stale = CommitResult::Conflict { losers: Vec::new(), why: Why::Stale };
    assert_eq!(result(&store, commit).await, stale);
    let commit = decide_due(&store, shard, Token::Named).await;
    let another = Arc::new(ShardState::new(Identity::from("another"), Format::CURRENT));
    let result = result(&store, Commit { state: another, ..commit }).await;
    assert!(matches!(result, CommitResult::Refused(Refusal::Gone(_))), "{result:?}");
    assert_kept(&store, &before).await;
    assert_eq!(lanes(&store, &sync()).await, (0, 0));
}

/// A commit can change more orders than the read returned, or fewer.
pub async fn a_commit_with_a_token_can_change_other_orders_too(store: SharedStore) {
    let (shard, before) = some_overdue(&store, "n").await;
    let mut commit = decide_due(&store, shard, Token::Named).await;
    let placed = paid(&named_neighbours(&store, "new", 1)[0], commit.now, commit.now);
    let round = round(&mut commit);
    round.changes.truncate(1);
    round.changes.push(placed);
    let round = Arc::clone(&commit.round);
    succeed(&store, commit).await;
    assert_kept(&store, &round.changes).await;
    let left: Vec<&Order> = before.iter().filter_map(|change| change.order.as_deref()).collect();
    assert_eq!(due_ids(&store).await.len(), left.len() - 1);
}

/// A store holds a limited number of reads. A commit with a dropped read still succeeds.
pub async fn many_unused_reads_block_nobody(store: SharedStore) {
    let (shard, _) = some_overdue(&store, "n").await;
    let first = decide_due(&store, shard, Token::Named).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.extend(due(&store, 10).await.into_iter().map(|at| at.value.read));
    }
    assert!(loaded(&store, &id("n-0")).await.is_some());
    let round = Arc::clone(&first.round);
    assert_eq!(result(&store, first).await, CommitResult::Committed);
    assert_kept(&store, &round.changes).await;
    drop(held);
    assert!(due_ids(&store).await.is_empty());
}
