//! Where two meet, the version decides.

use std::sync::Arc;

use autoreceive::domain::{Command, Order};
use autoreceive::store::{Change, Members, Verdict};

use super::kit::*;

every_store!(of_two_commits_against_one_version_exactly_one_wins, no_change_is_lost_among_many_writers);

async fn of_two_commits_against_one_version_exactly_one_wins(store: Kept) {
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
    let events: usize = store.claim(&sync(), 1_000, hours(1)).await.unwrap().entries.iter().map(|entry| entry.events.len()).sum();
    assert_eq!(events, 100);
}

/// The order as the change left it, if it won.
async fn compete(store: &Kept, change: Change) -> Option<Arc<Order>> {
    let order = after(&change);
    let now = now(store).await;
    let mut commit = commit(store, now, vec![change]);
    commit.entries.push(entry("sync", &format!("{}-{}", order.id, order.status), now, Members::All));
    losers(store, commit).await.is_empty().then_some(order)
}

/// Eight writers each change one order ten times, each time on the version they read.
async fn no_change_is_lost_among_many_writers(store: Kept) {
    let first = placed(&id("A-1"), now(&store).await);
    keep(&store, vec![first]).await;
    let writers = (0..8).map(|_| tokio::spawn(write_ten_times(Arc::clone(&store))));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(loaded(&store, &id("A-1")).await.unwrap().version, 81);
}

async fn write_ten_times(store: Kept) {
    let mut written = 0;
    while written < 10 {
        let now = now(&store).await;
        let order = loaded(&store, &id("A-1")).await.unwrap();
        let next = Arc::new(Order { version: order.version + 1, changed_at: now, ..order.clone() });
        let change =
            Change { id: order.id.clone(), expected: order.version, was: Some(order.status), order: Some(next), events: Vec::new() };
        let verdicts = store.commit(vec![commit(&store, now, vec![change])]).await;
        written += usize::from(verdicts == [Verdict::Done { losers: Vec::new() }]);
    }
}
