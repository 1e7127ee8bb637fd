//! What the store keeps, and how much of it at once.

use super::*;

#[tokio::test]
async fn an_order_is_committed_found_due_received_and_settled() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let (now, id) = (now(&store).await, id("A-1"));
    let shard = store.shard_of(&id);
    let order = paid(&id, now, 25 * HOUR);
    let mut first = commit(shard, now, vec![change(None, order.clone())]);
    first.entries = vec![entry("log", "e1", now)];
    first.policies = vec![policy()];
    assert_eq!(store.commit(vec![first.into()]).await, [all_done()]);
    let loaded = store.load(&[id.clone(), "none".parse().unwrap()]).await.unwrap();
    assert_eq!(loaded.orders[0].as_ref().unwrap().as_ref(), Some(&order));
    assert_eq!(loaded.orders[1], Ok(None));
    assert_eq!(store.terms(&[(shard, policy().revision)]).await.unwrap(), [Some(Terms::default())]);

    let due = store.due(&[Look { shard, extra: 0 }], 10).await.unwrap();
    assert_eq!(due.shards[0].orders[0].order.as_ref().unwrap().as_ref(), Some(&order));
    let received = after(&order, &Command::Due, due.now);
    let mut second = commit(shard, due.now, vec![change(Some(&order), received.clone())]);
    second.entries = vec![entry("log", "e2", due.now)];
    second.notes = vec![RestNote { look_at: due.now, members: vec![0] }];
    assert_eq!(store.commit(vec![second.into()]).await, [all_done()]);

    let log: ActionName = "log".parse().unwrap();
    let claimed = store.claim(&log, 10, Span::from_secs(30)).await.unwrap();
    assert_eq!(claimed.entries.len(), 2);
    assert_eq!(claimed.entries[1].events, [Event(Arc::new(received.clone()))]);
    assert_eq!(claimed.next_at, None);
    let settled = claimed.entries.into_iter().map(|claimed| Settlement { entry: claimed.entry, after: vec![] }).collect();
    store.settle(&log, settled).await.unwrap();
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.actions[0].pending, stats.waiting, stats.actions[0].dead), (0, 0, 0));
    assert_eq!(stats.totals, [(EventKind::Placed, Cause::Shop, 1), (EventKind::Received, Cause::Timer, 1)]);
    let rested = store.rested(10).await.unwrap();
    assert_eq!(rested.notes[0].orders, [received]);
}

#[tokio::test]
async fn a_changed_order_takes_all_its_events_along_and_a_loser_leaves_nothing() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let mut full = full_commit(&store, now);
    let (shard, held) = (full.shard, full.changes[1].clone());
    full.entries.push(NewEntry {
        action: "some".parse().unwrap(),
        id: "s".into(),
        at: now,
        members: Members::Some(vec![(1, 0), (0, 0), (7, 7)]),
    });
    full.entries.push(NewEntry { action: "gone".parse().unwrap(), id: "g".into(), at: now, members: Members::Some(vec![(0, 0)]) });
    // The first order is already there in another version, so that its change loses.
    let other = paid(&id("A-1"), now, HOUR);
    assert_eq!(store.commit(vec![commit(shard, now, vec![change(None, other.clone())]).into()]).await, [all_done()]);
    assert_eq!(store.commit(vec![full.into()]).await, [Verdict::Done { losers: vec![0] }]);

    let loaded = store.load(&[id("A-1"), held.id.clone()]).await.unwrap();
    assert_eq!(loaded.orders, [Ok(Some(other)), Ok(held.order.as_deref().cloned())]);
    for (action, events) in [("log", &held.events[..]), ("webhook", &held.events[..]), ("some", &held.events[..1])] {
        let claimed = store.claim(&action.parse().unwrap(), 10, Span::from_secs(30)).await.unwrap();
        assert_eq!(claimed.entries.len(), 1, "{action}");
        assert_eq!(claimed.entries[0].events, events, "{action}");
    }
    assert!(store.claim(&"gone".parse().unwrap(), 10, Span::from_secs(30)).await.unwrap().entries.is_empty());
    assert!(store.rested(10).await.unwrap().notes.is_empty());
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.orders, [(Status::Paid, 2)]);
    assert_eq!(stats.totals.iter().map(|(_, _, count)| count).sum::<u64>(), 3);
    assert_eq!((stats.waiting, stats.overdue, stats.held), (1, 0, 1));
}

#[tokio::test]
async fn a_removed_order_leaves_no_trace_and_a_lost_removal_removes_nothing() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let full = full_commit(&store, now);
    let (shard, changes) = (full.shard, full.changes.clone());
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    let removal = |change: &Change, expected| Change { expected, was: Some(Status::Paid), order: None, events: vec![], ..change.clone() };
    let note = store.rested(10).await.unwrap().notes.remove(0).note;
    let newcomer = (0..).map(|i| id(&format!("N-{i}"))).find(|other| store.shard_of(other) == shard).unwrap();
    let newcomer = change(None, paid(&newcomer, now, HOUR));
    let mut removals = commit(shard, now, vec![removal(&changes[0], 9), removal(&changes[1], 2), newcomer]);
    removals.notes_done = vec![note];
    assert_eq!(store.commit(vec![removals.into()]).await, [Verdict::Done { losers: vec![0] }]);
    let loaded = store.load(&[changes[0].id.clone(), changes[1].id.clone()]).await.unwrap();
    assert_eq!(loaded.orders, [Ok(changes[0].order.as_deref().cloned()), Ok(None)]);
    assert!(store.rested(10).await.unwrap().notes.is_empty());
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.held, stats.waiting, stats.orders), (0, 2, vec![(Status::Paid, 2)]));
}

#[tokio::test]
async fn a_stale_decision_is_not_committed() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let before = everything(&server);
    for skew in [-10_100, 11_000] {
        let mut stale = full_commit(&store, now);
        stale.entries.clear();
        stale.now = Time::from_ms(now.ms() + skew);
        assert_eq!(store.commit(vec![stale.into()]).await, [Verdict::Done { losers: vec![0, 1] }]);
    }
    assert_eq!(everything(&server), before);
}

#[tokio::test]
async fn every_key_is_documented_and_carries_its_shard() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    store.workers("w1", Span::from_secs(10)).await.unwrap();
    assert_eq!(store.commit(vec![full_commit(&store, now).into()]).await, [all_done()]);
    let claimed = store.claim(&"log".parse().unwrap(), 1, Span::from_secs(30)).await.unwrap().entries.remove(0);
    let dead = After::Dead { event: claimed.events[0].clone(), history: history(now), at: now };
    store.settle(&"log".parse().unwrap(), vec![Settlement { entry: claimed.entry, after: vec![dead] }]).await.unwrap();
    let shard = format!("ar:{{{}}}:", store.shard_of(&id("A-1")));
    let known = ["orders", "due", "counts", "held", "purge", "terms", "dead:log", "deaddata:log", "out:webhook", "outdata:webhook"];
    let mut expected: Vec<String> = known.iter().map(|what| format!("{shard}{what}")).collect();
    expected.extend(["ar:meta", "ar:workers", "ar:actions"].map(String::from));
    expected.sort();
    let keys: Vec<String> = everything(&server).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn a_commit_of_a_thousand_changes_is_carried_out_and_a_larger_one_is_refused() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let orders = in_one_shard(&store, now, 1_001);
    let mut changes: Vec<Change> = orders.iter().map(|order| change(None, order.clone())).collect();
    let refused = store.commit(vec![commit(0, now, changes.clone()).into()]).await.remove(0);
    assert!(matches!(&refused, Verdict::Refused(why) if why.contains("1001")), "{refused:?}");
    changes.pop();
    let mut largest = commit(0, now, changes);
    largest.entries = vec![entry("log", "e", now)];
    assert_eq!(store.commit(vec![largest.into()]).await, [all_done()]);
    let due = store.due(&[Look { shard: 0, extra: 1 }], 998).await.unwrap();
    assert_eq!(due.shards[0].orders.len(), 999);
    assert!(due.shards[0].next_at.is_some_and(|at| at <= due.now));
    let claimed = store.claim(&"log".parse().unwrap(), 1, Span::from_secs(30)).await.unwrap();
    assert_eq!(claimed.entries[0].events.len(), 1_000);
    // Every second one has another version by now.
    let moved: Vec<Change> = orders.iter().take(1_000).map(|order| change(Some(order), after(order, &Command::Due, now))).collect();
    let half = moved.iter().step_by(2).cloned().collect();
    assert_eq!(store.commit(vec![commit(0, now, half).into()]).await, [all_done()]);
    let losers = (0..1_000).step_by(2).collect();
    assert_eq!(store.commit(vec![commit(0, now, moved).into()]).await, [Verdict::Done { losers }]);
}

#[tokio::test]
async fn two_hundred_orders_with_four_kibibytes_of_data_are_committed_at_once() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let data = format!("\"{}\"", "가|%~".repeat(682));
    let mut orders = in_one_shard(&store, now, 200);
    for order in &mut orders {
        order.data = Some(autoreceive::domain::words::Data::new(&data).unwrap());
    }
    let mut large = commit(0, now, orders.iter().map(|order| change(None, order.clone())).collect());
    large.entries = vec![entry("log", "e", now)];
    assert_eq!(store.commit(vec![large.into()]).await, [all_done()]);
    let ids: Vec<OrderId> = orders.iter().map(|order| order.id.clone()).collect();
    let loaded = store.load(&ids).await.unwrap().orders;
    assert!(loaded.into_iter().zip(&orders).all(|(loaded, order)| loaded.as_ref() == Ok(&Some(order.clone()))));
    let claimed = store.claim(&"log".parse().unwrap(), 1, Span::from_secs(30)).await.unwrap();
    assert_eq!(claimed.entries[0].events.len(), 200);
}

#[tokio::test]
async fn pages_go_through_all_shards_without_a_gap_even_where_all_fall_due_in_one_millisecond() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let mut expected: Vec<OrderId> = Vec::new();
    for i in 0..500 {
        let order = paid(&id(&format!("P-{i}")), now, 25 * HOUR);
        expected.push(order.id.clone());
        assert_eq!(store.commit(vec![commit(store.shard_of(&order.id), now, vec![change(None, order)]).into()]).await, [all_done()]);
    }
    expected.sort();
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.page(View::Overdue, cursor.as_deref(), 7).await.unwrap();
        found.extend(page.items.into_iter().map(|item| item.id));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
        assert!(store.page(View::Upcoming, cursor.as_deref(), 7).await.is_err(), "a cursor belongs to its view");
    }
    assert_eq!(found, expected);
    assert!(store.page(View::Upcoming, None, 7).await.unwrap().items.is_empty());
    for wrong in ["", "x", "b3ZlcmR1ZQ", "가"] {
        assert!(store.page(View::Overdue, Some(wrong), 7).await.is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_claim_never_takes_more_than_its_limit_and_reaches_every_shard() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let (now, log) = (now(&store).await, "log".parse().unwrap());
    let orders: Vec<Order> = (0..100).map(|i| paid(&id(&format!("C-{i}")), now, HOUR)).collect();
    let commits = orders.iter().map(|order| {
        let mut one = commit(store.shard_of(&order.id), now, vec![change(None, order.clone())]);
        one.entries = vec![entry("log", order.id.as_str(), now)];
        one
    });
    assert_eq!(store.commit(commits.map(Into::into).collect()).await, vec![all_done(); 100]);
    let mut taken: Vec<EntryRef> = Vec::new();
    while taken.len() < 98 {
        let claimed = store.claim(&log, 7, Span::from_secs(60)).await.unwrap();
        assert_eq!(claimed.entries.len(), 7);
        assert!(claimed.next_at.is_some_and(|at| at <= claimed.now));
        taken.extend(claimed.entries.into_iter().map(|claimed| claimed.entry));
    }
    let last = store.claim(&log, 7, Span::from_secs(60)).await.unwrap();
    assert_eq!(last.entries.len(), 2);
    assert!(last.next_at.is_some_and(|at| at > last.now));
    taken.extend(last.entries.into_iter().map(|claimed| claimed.entry));
    let different: std::collections::HashSet<EntryRef> = taken.iter().cloned().collect();
    assert_eq!(different.len(), 100);
    let (kept, removed) = taken.split_at(50);
    store.settle(&log, removed.iter().map(|entry| Settlement { entry: entry.clone(), after: vec![] }).collect()).await.unwrap();
    store.renew(&log, &taken, Span::ZERO).await.unwrap();
    let again = store.claim(&log, 100, Span::from_secs(60)).await.unwrap();
    assert_eq!(again.entries.len(), kept.len(), "a renewal must not bring back what was settled");
}

#[tokio::test]
async fn a_waiting_order_takes_at_most_310_bytes() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let used = || -> i64 {
        let info: String = redis::from_redis_value(server.cli(&["INFO", "memory"]).unwrap()).unwrap();
        info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap()
    };
    let before = used();
    let mut shards: Vec<Vec<Change>> = vec![vec![]; 64];
    let count = 50_000;
    for i in 0..count {
        let order = paid(&id(&format!("20261122{i:010}")), now, HOUR);
        shards[usize::from(store.shard_of(&order.id))].push(change(None, order));
    }
    for (shard, changes) in shards.into_iter().enumerate() {
        let commits = changes.chunks(500).map(|changes| commit(shard as Shard, now, changes.to_vec()));
        assert!(store.commit(commits.map(Into::into).collect()).await.iter().all(|verdict| *verdict == all_done()));
    }
    let each = (used() - before) / count;
    println!("{each} bytes for a waiting order");
    assert!(each <= 310, "{each}");
}

#[tokio::test]
async fn a_scan_that_another_process_goes_on_with_begins_its_shard_anew() {
    let mut server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let orders = in_one_shard(&store, now, 600);
    let expected: std::collections::BTreeSet<OrderId> = orders.iter().map(|order| order.id.clone()).collect();
    let changes = orders.into_iter().map(|order| change(None, order)).collect();
    assert_eq!(store.commit(vec![commit(0, now, changes).into()]).await, [all_done()]);
    let first = store.scan(None, 50).await.unwrap();
    assert!(first.orders.len() < 300 && first.cursor.as_ref().is_some_and(|cursor| cursor.starts_with("0.")), "{:?}", first.cursor);
    // The cursor of one process means nothing to the next: it hashes differently.
    server.kill();
    server.restart();
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), first.cursor);
    while let Some(from) = cursor {
        let Ok(scan) = store.scan(Some(&from), 50).await else {
            cursor = Some(from);
            continue;
        };
        seen.extend(scan.orders.into_iter().map(|order| order.unwrap().id));
        cursor = scan.cursor;
    }
    assert_eq!(seen, expected);
}
