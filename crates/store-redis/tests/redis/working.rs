//! What the store keeps, and how much of it at once.

use super::*;

#[tokio::test]
async fn every_key_is_documented_and_carries_its_shard() {
    let home = Home::shared().await;
    let now = home.now().await;
    home.store.heartbeat("w1", LEASE).await.unwrap();
    for space in Space::ALL {
        let set = autoreceive_store::Cas { key: "k", expected: autoreceive_store::Expected::Nothing, value: Some("v") };
        assert_eq!(home.store.compare_and_set(space, &[set]).await, Ok(vec![true]));
    }
    let list: autoreceive_store::List = word("audit");
    autoreceive_store::Log::append(&home.store, &list, &["row".to_owned()], 10).await.unwrap();
    let (shard, round) = home.full_round(now);
    assert_eq!(home.commit(shard, now, round).await, CommitResult::Committed);
    let claimed = home.store.claim(&log(), 1, LEASE).await.unwrap().entries.remove(0);
    let dead =
        FollowUp { queue: Queue::dead(&log()), id: "d1".into(), at: now, text: claimed.text.clone().unwrap(), only_if_absent: false };
    let settlement = Settlement { entry: claimed.entry, follow_ups: vec![dead] };
    home.store.settle(&Queue::pending(&log()), vec![settlement]).await.unwrap();

    let of_shard = ["orders", "due", "counts", "held", "retention", "terms"];
    let of_actions = ["dead:log", "deaddata:log", "out:webhook", "outdata:webhook"];
    let of_shard = of_shard.into_iter().chain(of_actions).map(|what| home.key(shard, what));
    let globals = ["meta", "workers", "actions", "circuits", "remembered", "log:audit"];
    let globals = globals.map(|what| format!("{}:{what}", home.prefix));
    let mut expected: Vec<String> = of_shard.chain(globals).collect();
    expected.sort();
    let keys: Vec<String> = home.everything().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn the_largest_commit_is_carried_out_and_a_larger_one_is_refused() {
    let home = Home::shared().await;
    let now = home.now().await;
    let orders = home.in_shard(0, now, 3_501);
    let mut changes: Vec<Change> = orders.iter().cloned().map(|order| change(None, order)).collect();
    let all = Round { changes: changes.clone(), ..Round::default() };
    let refused = home.commit(0, now, all).await;
    assert!(unavailable(&refused).is_some_and(|why| why.contains("3501")), "{refused:?}");
    changes.pop();
    let entries = vec![entry("log", "e", now)];
    let largest = Round { changes, entries, ..Round::default() };
    assert_eq!(home.commit(0, now, largest).await, CommitResult::Committed);
    let claimed = home.store.claim(&log(), 1, LEASE).await.unwrap();
    assert_eq!(claimed.entries[0].read().unwrap().1.len(), 3_500);
    // Every second one has another version by now.
    let received = orders.iter().take(3_500);
    let received = received.map(|order| change(Some(order), after(order, &Command::Due, now)));
    let received: Vec<Change> = received.collect();
    let half: Vec<Change> = received.iter().step_by(2).cloned().collect();
    let expected: Vec<OrderId> = half.iter().map(|change| change.id.clone()).collect();
    home.keep(0, now, half).await;
    let before = home.everything();
    let result = home.commit(0, now, Round { changes: received, ..Round::default() }).await;
    assert_eq!(result, CommitResult::Conflict { losers: expected, why: Why::Version });
    assert_eq!(home.everything(), before);
}

#[tokio::test]
async fn two_hundred_orders_with_four_kibibytes_of_data_are_committed_at_once() {
    let home = Home::shared().await;
    let now = home.now().await;
    let data = format!("\"{}\"", "가|%~".repeat(682));
    let mut orders = home.in_shard(0, now, 200);
    for order in &mut orders {
        order.data = Some(autoreceive_domain::words::Data::new(&data).unwrap());
    }
    let changes = orders.iter().map(|order| change(None, order.clone())).collect();
    let entries = vec![entry("log", "e", now)];
    let large = Round { changes, entries, ..Round::default() };
    assert_eq!(home.commit(0, now, large).await, CommitResult::Committed);
    for order in &orders {
        assert_eq!(home.load(&order.id).await.as_ref(), Some(order));
    }
    let claimed = home.store.claim(&log(), 1, LEASE).await.unwrap();
    assert_eq!(claimed.entries[0].read().unwrap().1.len(), 200);
}

#[tokio::test]
async fn a_claim_reaches_every_shard() {
    let home = Home::shared().await;
    let now = home.now().await;
    for i in 0..100 {
        let order = paid(&id(&format!("C-{i}")), now, HOUR);
        let entries = vec![entry("log", order.id.as_str(), now)];
        let shard = home.shard_of(&order.id);
        let round = Round { changes: vec![change(None, order)], entries, ..Round::default() };
        assert_eq!(home.commit(shard, now, round).await, CommitResult::Committed);
    }
    let mut taken = std::collections::HashSet::new();
    while taken.len() < 98 {
        let claimed = home.store.claim(&log(), 7, LEASE).await.unwrap();
        assert_eq!(claimed.entries.len(), 7);
        assert!(claimed.next_at.is_some_and(|at| at <= claimed.now));
        taken.extend(claimed.entries.into_iter().map(|claimed| claimed.entry));
    }
    let last = home.store.claim(&log(), 7, LEASE).await.unwrap();
    taken.extend(last.entries.into_iter().map(|claimed| claimed.entry));
    assert_eq!(taken.len(), 100);
    assert!(last.next_at.is_some_and(|at| at > last.now));
}

#[tokio::test]
async fn a_waiting_order_takes_at_most_310_bytes() {
    let home = Home::own(&[]).await;
    let now = home.now().await;
    let used = || -> i64 {
        let info: String = redis::from_redis_value(home.cli(&["INFO", "memory"])).unwrap();
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.unwrap().parse().unwrap()
    };
    let mut shards: Vec<Vec<Change>> = vec![vec![]; 64];
    let count = 50_000;
    for i in 0..count {
        let order = paid(&id(&format!("20261122{i:010}")), now, HOUR);
        shards[usize::from(home.shard_of(&order.id))].push(change(None, order));
    }
    home.keep(0, now, vec![]).await;
    let before = used();
    for (shard, changes) in shards.into_iter().enumerate() {
        home.keep(shard as Shard, now, changes).await;
    }
    let each = (used() - before) / count;
    println!("{each} bytes for a waiting order");
    assert!(each <= 310, "{each}");
}

#[tokio::test]
async fn a_scan_that_another_process_goes_on_with_begins_its_shard_anew() {
    // On a busy disk `everysec` may lose what was written before a kill.
    let mut server = RedisServer::start(&["--appendfsync", "always"]);
    let expected = {
        let home = Home::on(Arc::new(RedisServer::start(&[])), "x".into(), false).await;
        home.in_shard(0, home.now().await, 600)
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
    // The cursor of one process means nothing to the next: it hashes differently.
    server.kill();
    server.restart();
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), first.cursor);
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
