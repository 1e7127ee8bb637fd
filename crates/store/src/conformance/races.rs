//! Concurrent commits: the version decides.

use std::sync::Arc;

use autoreceive_domain::{Command, Order};

use super::kit::*;
use crate::*;

pub async fn exactly_one_of_two_commits_against_one_version_wins(store: SharedStore) {
    let now = now(&store).await;
    for round in 0..100 {
        let id = id(&format!("A-{round}"));
        let first = paid(&id, now, now);
        keep(&store, vec![first.clone()]).await;
        let commands = [RECEIVE, Command::Cancel { reason: "changed my mind".parse().unwrap() }];
        let tasks = commands.map(|command| {
            let (store, change) = (Arc::clone(&store), then(&after(&first), &command, now));
            tokio::spawn(async move { compete(&store, change).await })
        });
        let mut won = Vec::new();
        for task in tasks {
            won.extend(task.await.unwrap());
        }
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        assert_eq!(loaded(&store, &id).await.as_ref(), Some(&*won[0]));
    }
    let claimed = store.claim(&sync(), 1_000, hours(1)).await.unwrap().entries;
    assert_eq!(claimed.iter().map(|entry| events(entry).len()).sum::<usize>(), 100);
}

/// The order after the change, if its commit succeeded.
async fn compete(store: &SharedStore, change: Change) -> Option<Arc<Order>> {
    let order = after(&change);
    let now = now(store).await;
    let mut commit = commit(store, now, vec![change]).await;
    let entry_id = format!("{}-{}", order.id, order.status);
    round(&mut commit).entries.push(entry("sync", &entry_id, now, EventSelection::All));
    match result(store, commit).await {
        CommitResult::Committed => Some(order),
        CommitResult::Conflict { losers, why: Why::Version } if losers == [order.id.clone()] => {
            None
        }
        other => panic!("{other:?}"),
    }
}

/// Eight writers change one order ten times each, always on the version that they read.
pub async fn no_change_is_lost_among_many_writers(store: SharedStore) {
    let first = placed(&id("A-1"), now(&store).await);
    keep(&store, vec![first]).await;
    let writers = (0..8).map(|_| tokio::spawn(write_ten_times(Arc::clone(&store))));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(loaded(&store, &id("A-1")).await.unwrap().version, 81);
}

async fn write_ten_times(store: SharedStore) {
    let mut written = 0;
    while written < 10 {
        let now = now(&store).await;
        let order = loaded(&store, &id("A-1")).await.unwrap();
        let next = Arc::new(Order { version: order.version + 1, changed_at: now, ..order.clone() });
        let change = Change { order: Some(next), ..removal(&order) };
        let commit = commit(&store, now, vec![change]).await;
        written += usize::from(result(&store, commit).await == CommitResult::Committed);
    }
}

/// Commits with shared orders run at the same time. Each is written whole or not at all, so both
/// orders of a pair have the same version at the end.
pub async fn overlapping_commits_are_never_mixed(store: SharedStore) {
    let now = now(&store).await;
    let ids = neighbours(&store, 2);
    keep(&store, ids.iter().map(|id| placed(id, now)).collect()).await;
    let writers = (0..6).map(|_| {
        let (store, ids) = (Arc::clone(&store), ids.clone());
        tokio::spawn(async move {
            let mut written = 0;
            for _ in 0..40 {
                let found = store.load(&ids).await.into_iter().map(Result::unwrap);
                let raise = |at: At<Slot>| {
                    let order = at.value.unwrap().unwrap();
                    let next = Order { version: order.version + 1, ..order.clone() };
                    Change { order: Some(Arc::new(next)), ..removal(&order) }
                };
                let changes: Vec<Change> = found.map(raise).collect();
                let commit = commit(&store, now_of(&store).await, changes).await;
                written += u64::from(result(&store, commit).await == CommitResult::Committed);
            }
            written
        })
    });
    let mut written = 0;
    for writer in writers.collect::<Vec<_>>() {
        written += writer.await.unwrap();
    }
    for id in &ids {
        assert_eq!(loaded(&store, id).await.unwrap().version, 1 + written);
    }
    assert!(written > 0);
}

async fn now_of(store: &SharedStore) -> Time {
    now(store).await
}
