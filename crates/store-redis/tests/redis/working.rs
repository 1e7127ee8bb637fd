//! What the store writes, and how large a commit can be.

use super::*;

#[tokio::test]
async fn every_key_is_documented_and_contains_its_shard() {
    let test = TestStore::shared().await;
    let now = test.now().await;
    test.store.heartbeat("w1", LEASE).await.unwrap();
    for space in Space::ALL {
        let set = autoreceive_store::Cas {
            key: "k",
            expected: autoreceive_store::Expected::Nothing,
            value: Some("v"),
        };
        assert_eq!(test.store.compare_and_set(space, &[set]).await, Ok(vec![true]));
    }
    let list: autoreceive_store::List = word("audit");
    autoreceive_store::Log::append(&test.store, &list, &["row".to_owned()], 10).await.unwrap();
    let (shard, round) = test.full_round(now);
    assert_eq!(test.commit(shard, now, round).await, CommitResult::Committed);
    let claimed = test.store.claim(&log(), 1, LEASE).await.unwrap().entries.remove(0);
    let dead = FollowUp {
        queue: Queue::dead(&log()),
        id: "d1".into(),
        at: now,
        text: claimed.text.clone().unwrap(),
        only_if_absent: false,
    };
    let settlement = Settlement { entry: claimed.entry, follow_ups: vec![dead] };
    test.store.settle(&Queue::pending(&log()), vec![settlement]).await.unwrap();

    let of_shard = ["orders", "due", "counts", "held", "retention", "terms"];
    let of_actions = ["dead:log", "deaddata:log", "out:webhook", "outdata:webhook"];
    let of_shard = of_shard.into_iter().chain(of_actions).map(|what| test.key(shard, what));
    let globals = ["meta", "workers", "actions", "circuits", "remembered", "log:audit"];
    let globals = globals.map(|what| format!("{}:{what}", test.prefix));
    let mut expected: Vec<String> = of_shard.chain(globals).collect();
    expected.sort();
    let keys: Vec<String> = test.everything().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn the_largest_commit_is_carried_out_and_a_larger_one_is_refused() {
    let test = TestStore::shared().await;
    let now = test.now().await;
    let orders = test.in_shard(0, now, 3_501);
    let mut changes: Vec<Change> =
        orders.iter().cloned().map(|order| change(None, order)).collect();
    let all = Round { changes: changes.clone(), ..Round::default() };
    let refused = test.commit(0, now, all).await;
    assert!(unavailable(&refused).is_some_and(|why| why.contains("3501")), "{refused:?}");
    changes.pop();
    let entries = vec![entry("log", "e", now)];
    let largest = Round { changes, entries, ..Round::default() };
    assert_eq!(test.commit(0, now, largest).await, CommitResult::Committed);
    let claimed = test.store.claim(&log(), 1, LEASE).await.unwrap();
    assert_eq!(claimed.entries[0].read().unwrap().1.len(), 3_500);
    // Every second order has another version by now.
    let received = orders.iter().take(3_500);
    let received = received.map(|order| change(Some(order), after(order, &Command::Due, now)));
    let received: Vec<Change> = received.collect();
    let half: Vec<Change> = received.iter().step_by(2).cloned().collect();
    let expected: Vec<OrderId> = half.iter().map(|change| change.id.clone()).collect();
    test.keep(0, now, half).await;
    let before = test.everything();
    let result = test.commit(0, now, Round { changes: received, ..Round::default() }).await;
    assert_eq!(result, CommitResult::Conflict { losers: expected, why: Why::Version });
    assert_eq!(test.everything(), before);
}

#[tokio::test]
async fn two_hundred_orders_with_four_kibibytes_of_data_are_committed_at_once() {
    let test = TestStore::shared().await;
    let now = test.now().await;
    let data = format!("\"{}\"", "가|%~".repeat(682));
    let mut orders = test.in_shard(0, now, 200);
    for order in &mut orders {
        order.data = Some(autoreceive_domain::words::Data::new(&data).unwrap());
    }
    let changes = orders.iter().map(|order| change(None, order.clone())).collect();
    let entries = vec![entry("log", "e", now)];
    let large = Round { changes, entries, ..Round::default() };
    assert_eq!(test.commit(0, now, large).await, CommitResult::Committed);
    for order in &orders {
        assert_eq!(test.load(&order.id).await.as_ref(), Some(order));
    }
    let claimed = test.store.claim(&log(), 1, LEASE).await.unwrap();
    assert_eq!(claimed.entries[0].read().unwrap().1.len(), 200);
}

#[tokio::test]
async fn a_claim_reaches_every_shard() {
    let test = TestStore::shared().await;
    let now = test.now().await;
    for i in 0..100 {
        let order = paid(&id(&format!("C-{i}")), now, HOUR);
        let entries = vec![entry("log", order.id.as_str(), now)];
        let shard = test.shard_of(&order.id);
        let round = Round { changes: vec![change(None, order)], entries, ..Round::default() };
        assert_eq!(test.commit(shard, now, round).await, CommitResult::Committed);
    }
    let mut taken = std::collections::HashSet::new();
    while taken.len() < 98 {
        let claimed = test.store.claim(&log(), 7, LEASE).await.unwrap();
        assert_eq!(claimed.entries.len(), 7);
        assert!(claimed.next_at.is_some_and(|at| at <= claimed.now));
        taken.extend(claimed.entries.into_iter().map(|claimed| claimed.entry));
    }
    let last = test.store.claim(&log(), 7, LEASE).await.unwrap();
    taken.extend(last.entries.into_iter().map(|claimed| claimed.entry));
    assert_eq!(taken.len(), 100);
    assert!(last.next_at.is_some_and(|at| at > last.now));
}

#[tokio::test]
async fn a_waiting_order_takes_at_most_310_bytes() {
    let test = TestStore::own(&[]).await;
    let now = test.now().await;
    let used = || -> i64 {
        let info: String = redis::from_redis_value(test.cli(&["INFO", "memory"])).unwrap();
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.unwrap().parse().unwrap()
    };
    let mut shards: Vec<Vec<Change>> = vec![vec![]; 64];
    let count = 50_000;
    for i in 0..count {
        let order = paid(&id(&format!("20261122{i:010}")), now, HOUR);
        shards[usize::from(test.shard_of(&order.id))].push(change(None, order));
    }
    test.keep(0, now, vec![]).await;
    let before = used();
    for (shard, changes) in shards.into_iter().enumerate() {
        test.keep(shard as Shard, now, changes).await;
    }
    let each = (used() - before) / count;
    println!("{each} bytes for a waiting order");
    assert!(each <= 310, "{each}");
}

#[tokio::test]
async fn a_scan_starts_its_shard_again_if_another_process_continues_it() {
    // On a busy disk `everysec` may lose writes before a kill.
    let mut server = RedisServer::start(&["--appendfsync", "always"]);
    let expected = {
        let test = TestStore::on(Arc::new(RedisServer::start(&[])), "x".into(), false).await;
        test.in_shard(0, test.now().await, 600)
    };
    let store = RedisStore::open(settings(&server)).await.unwrap();
    let now = store.now().await.unwrap();
    let at = store.due(&[Look { shard: 0, extra: 0 }], 0).await.remove(0).unwrap();
    let changes = expected.iter().map(|order| change(None, order.clone())).collect();
    let round = Arc::new(Round { changes, ..Round::default() });
    let commit = Commit { shard: 0, now, state: at.shard, epoch: None, read: None, round };
    assert_eq!(store.commit(vec![commit]).await, [CommitResult::Committed]);
    let first = store.list(View::All, None, 50).await.unwrap();
    let is_first = |cursor: &String| cursor.starts_with("0.");
    assert!(first.items.len() < 300 && first.cursor.as_ref().is_some_and(is_first));
    // A cursor is valid in one process only: another process hashes differently.
    server.kill();
    server.restart();
    let mut seen = std::collections::BTreeSet::new();
    let mut cursor = first.cursor;
    while let Some(from) = cursor {
        let Ok(page) = store.list(View::All, Some(&from), 50).await else {
            cursor = Some(from);
            continue;
        };
        seen.extend(page.items.into_iter().map(|row| row.id));
        cursor = page.cursor;
    }
    assert_eq!(seen, expected.into_iter().map(|order| order.id).collect());
}
