//! Faults while the store is used: no partial writes.

use super::*;

#[tokio::test]
async fn a_wrong_type_of_any_key_fails_before_the_first_write_and_the_error_names_the_key() {
    let test = TestStore::shared().await;
    let now = test.now().await;
    let (shard, _) = test.full_round(now);
    let of_commits = ["orders", "due", "counts", "held", "retention", "terms"];
    let of_actions = ["out:log", "outdata:log", "out:webhook", "outdata:webhook"];
    for what in of_commits.into_iter().chain(of_actions) {
        let key = test.key(shard, what);
        test.cli(&["SET", &key, "x"]);
        let before = test.everything();
        // Read the state from another shard; all shards have the same.
        let mut commit = test.commit_of((shard + 1) % 64, now, test.full_round(now).1).await;
        commit.shard = shard;
        let result = test.store.commit(vec![commit]).await.remove(0);
        let why = unavailable(&result).unwrap_or_else(|| panic!("{what}: {result:?}"));
        assert!(why.contains("WRONGTYPE") && why.contains(&key), "{why}");
        assert_eq!(test.everything(), before, "{what}");
        if of_commits.contains(&what) {
            let prefix = test.prefix.clone();
            let why = why_refused(RedisSettings { prefix, ..settings(&test.server) }).await;
            assert!(why.contains(&key), "{what}: {why}");
        }
        test.cli(&["DEL", &key]);
    }
    test.cli(&["HSET", &test.key(shard, "counts"), "PAID", "many"]);
    let before = test.everything();
    let result = test.commit(shard, now, test.full_round(now).1).await;
    assert!(unavailable(&result).is_some_and(|why| why.contains("not a number")), "{result:?}");
    assert_eq!(test.everything(), before);
}

#[tokio::test]
async fn an_error_answer_of_one_shard_fails_its_own_items_only() {
    let test = TestStore::shared().await;
    let now = test.now().await;
    let broken = 0;
    let whole = 1;
    let orders = [&test.in_shard(broken, now, 1)[0].id, &test.in_shard(whole, now, 1)[0].id];
    let ids: Vec<OrderId> = orders.into_iter().cloned().collect();
    test.cli(&["SET", &test.key(broken, "orders"), "x"]);
    test.cli(&["SET", &test.key(broken, "due"), "x"]);
    test.cli(&["SET", &test.key(broken, "out:log"), "x"]);
    let loaded = test.store.load(&ids).await;
    assert!(loaded[0].is_err() && loaded[1].is_ok(), "{loaded:?}");
    let looks = [broken, whole].map(|shard| Look { shard, extra: 0 });
    for limit in [0, 10] {
        let due = test.store.due(&looks, limit).await;
        assert!(due[0].is_err() && due[1].is_ok(), "{due:?}");
    }
    let put = |shard| {
        let entry = EntryRef { shard, id: "e".into() };
        vec![autoreceive_store::NewEntry { entry, at: now, text: "x".into() }]
    };
    assert!(test.store.put(&Queue::pending(&log()), put(broken)).await.is_err());
    assert_eq!(test.store.put(&Queue::pending(&log()), put(whole)).await, Ok(1));
    assert_eq!(test.store.claim(&log(), 10, LEASE).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn settling_with_a_wrong_type_of_any_key_writes_nothing() {
    let test = TestStore::shared().await;
    let now = test.now().await;
    let (shard, round) = test.full_round(now);
    assert_eq!(test.commit(shard, now, round).await, CommitResult::Committed);
    let claimed = test.store.claim(&log(), 1, LEASE).await.unwrap().entries.remove(0);
    let (_, events) = claimed.read().unwrap();
    let follow_up = |queue, event: &Event| FollowUp {
        queue,
        id: event.id().to_string(),
        at: now,
        text: entry_text::encode(Some(&history(now)), [event]),
        only_if_absent: false,
    };
    let other = Queue::pending(&word("other"));
    let follow_ups = vec![
        follow_up(Queue::pending(&log()), &events[0]),
        follow_up(Queue::dead(&log()), &events[1]),
        follow_up(other, &events[1]),
    ];
    let settlement = Settlement { entry: claimed.entry, follow_ups };
    let queue = Queue::pending(&log());
    for what in ["dead:log", "deaddata:log", "out:other", "outdata:other"] {
        let key = test.key(shard, what);
        test.cli(&["SET", &key, "x"]);
        let before = test.everything();
        assert!(test.store.settle(&queue, vec![settlement.clone()]).await.is_err(), "{what}");
        assert_eq!(test.everything(), before, "{what}");
        test.cli(&["DEL", &key]);
    }
    assert_eq!(test.store.settle(&queue, vec![settlement]).await, Ok(1));
}

#[tokio::test]
async fn without_memory_nothing_is_committed_and_the_outbox_still_drains() {
    let test = TestStore::own(&[]).await;
    let now = test.now().await;
    let (shard, round) = test.full_round(now);
    assert_eq!(test.commit(shard, now, round).await, CommitResult::Committed);
    test.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = test.everything();
    let other = test.in_shard(shard, now, 1).remove(0);
    let round = Round { changes: vec![change(None, other)], ..Round::default() };
    let result = test.commit(shard, now, round).await;
    assert!(unavailable(&result).is_some_and(|why| why.starts_with("OOM")), "{result:?}");
    assert_eq!(test.everything(), before);

    let queue = Queue::pending(&log());
    let claimed = test.store.claim(&log(), 10, LEASE).await.unwrap().entries.remove(0);
    test.store.renew(&log(), std::slice::from_ref(&claimed.entry), LEASE).await.unwrap();
    assert_eq!(test.store.heartbeat("w1", LEASE).await.unwrap(), ["w1"]);
    let retry = FollowUp {
        queue: queue.clone(),
        id: "again".into(),
        at: now,
        text: claimed.text.clone().unwrap(),
        only_if_absent: false,
    };
    let retried = Settlement { entry: claimed.entry, follow_ups: vec![retry] };
    assert_eq!(test.store.settle(&queue, vec![retried]).await, Ok(1));
    let again = test.store.claim(&log(), 10, LEASE).await.unwrap().entries.remove(0);
    assert_eq!(test.store.settle(&queue, vec![Settlement::done(again.entry)]).await, Ok(1));
    let page = Which::Page { cursor: None, limit: 10 };
    assert!(test.store.entries(&queue, page).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again_with_every_call() {
    let test = TestStore::own(&[]).await;
    let now = test.now().await;
    for round in 0..5 {
        test.cli(&["SCRIPT", "FLUSH"]);
        let mut commits = Vec::new();
        for i in 0..20 {
            let order = paid(&id(&format!("{round}-{i}")), now, 25 * HOUR);
            let entries = vec![entry("log", order.id.as_str(), now)];
            let shard = test.shard_of(&order.id);
            let changes = vec![change(None, order)];
            let round = Round { changes, entries, ..Round::default() };
            commits.push(test.commit_of(shard, now, round).await);
        }
        let results = test.store.commit(commits).await;
        assert_eq!(results, vec![CommitResult::Committed; 20]);
        test.cli(&["SCRIPT", "FLUSH"]);
        let claimed = test.store.claim(&log(), 100, LEASE).await.unwrap();
        assert_eq!(claimed.entries.len(), 20);
        test.cli(&["SCRIPT", "FLUSH"]);
        let done = claimed.entries.into_iter().map(|entry| Settlement::done(entry.entry));
        let settled = test.store.settle(&Queue::pending(&log()), done.collect()).await;
        assert_eq!(settled, Ok(20));
    }
}

#[tokio::test]
async fn an_unanswered_commit_is_unknown_and_loading_shows_its_result() {
    let server = Arc::new(RedisServer::start(&["--enable-debug-command", "yes"]));
    let settings = RedisSettings { timeout: Span::from_ms(200), ..settings(&server) };
    let store = RedisStore::open(settings).await.unwrap();
    let test = TestStore { server: server.clone(), prefix: "ar".into(), store };
    let now = test.now().await;
    let order = paid(&id("A-1"), now, HOUR);
    let shard = test.shard_of(&order.id);
    // Without the script in its cache, the server would answer NOSCRIPT after waking, and write
    // nothing.
    for _ in 0..8 {
        test.keep(0, now, vec![]).await;
    }
    let round = Round { changes: vec![change(None, order.clone())], ..Round::default() };
    let commit = test.commit_of(shard, now, round).await;
    let sleep = std::thread::spawn(move || server.cli(&["DEBUG", "SLEEP", "2"]));
    until(async || test.store.now().await.err()).await;
    let result = test.store.commit(vec![commit]).await.remove(0);
    assert!(matches!(result, CommitResult::Unknown(_)), "{result:?}");
    let load = async || test.store.load(std::slice::from_ref(&order.id)).await.remove(0).ok();
    let found = until(async || load().await?.value.ok()?).await;
    assert_eq!(found, order);
    sleep.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_killed_server_refuses_and_after_a_restart_has_all_acknowledged_commits() {
    let mut server = RedisServer::start(&["--appendfsync", "always"]);
    let store = RedisStore::open(settings(&server)).await.unwrap();
    let now = store.now().await.unwrap();
    let order = paid(&id("A-1"), now, HOUR);
    let shard = store.about().shards.of(&order.id);
    let at = store.due(&[Look { shard, extra: 0 }], 0).await.remove(0).unwrap();
    let round = Round { changes: vec![change(None, order.clone())], ..Round::default() };
    let round = Arc::new(round);
    let one = || {
        let state = at.shard.clone();
        let round = round.clone();
        vec![Commit { shard, now, state, epoch: None, read: None, round }]
    };
    assert_eq!(store.commit(one()).await, [CommitResult::Committed]);
    server.kill();
    assert!(store.load(std::slice::from_ref(&order.id)).await[0].is_err());
    let result = store.commit(one()).await.remove(0);
    assert!(!matches!(result, CommitResult::Committed | CommitResult::Conflict { .. }));
    server.restart();
    let load = async || store.load(std::slice::from_ref(&order.id)).await.remove(0).ok();
    let found = until(async || load().await?.value.ok()?).await;
    assert_eq!(found, order);
}

#[tokio::test]
async fn unreadable_data_is_listed_and_affects_nothing_else() {
    let test = TestStore::shared().await;
    let now = test.now().await;
    let (shard, round) = test.full_round(now);
    assert_eq!(test.commit(shard, now, round).await, CommitResult::Committed);
    test.cli(&["HSET", &test.key(shard, "orders"), "A-1", "1|?|nonsense"]);
    test.cli(&["HSET", &test.key(shard, "outdata:log"), "e1", "nonsense"]);
    test.cli(&["ZADD", &test.key(shard, "due"), "1", "not\nan id"]);
    assert!(test.store.load(&[id("A-1")]).await[0].as_ref().unwrap().value.is_err());
    let due = test.due(shard, 10).await.value;
    assert!(due.orders.len() == 1 && due.orders[0].order.is_err());
    let overdue = test.store.list(View::Overdue, None, 10).await.unwrap();
    assert!(overdue.items[0].order.is_err());
    let all = test.store.list(View::Resting, None, 10).await.unwrap();
    assert!(all.items[0].order.is_err());
    let claimed = test.store.claim(&log(), 10, LEASE).await.unwrap();
    assert!(claimed.entries.len() == 1 && claimed.entries[0].read().is_err());
    assert!(test.store.claim(&log(), 10, LEASE).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_store_that_lost_its_data_is_not_taken_for_an_empty_one() {
    let test = TestStore::own(&[]).await;
    let now = test.now().await;
    let (shard, round) = test.full_round(now);
    let order = round.changes[0].id.clone();
    assert_eq!(test.commit(shard, now, round).await, CommitResult::Committed);
    test.cli(&["FLUSHALL"]);
    let looks = [Look { shard, extra: 0 }];
    let all_fail = async || {
        let failures = [
            test.store.now().await.err(),
            test.store.load(std::slice::from_ref(&order)).await.remove(0).err(),
            test.store.due(&looks, 0).await.remove(0).err(),
            test.store.due(&looks, 10).await.remove(0).err(),
            test.store.claim(&log(), 10, LEASE).await.err(),
            test.store.get(Space::Circuits, &["log".to_owned()]).await.err(),
            test.store.stats().await.err(),
        ];
        let is_gone = |why: String| why.contains("are gone");
        failures.into_iter().all(|failure| failure.is_some_and(|why| is_gone(why.to_string())))
    };
    assert!(all_fail().await);
    // Another worker can begin again there. This worker rejects the new store.
    let anew = TestStore::on(test.server.clone(), "ar".into(), false).await;
    assert!(all_fail().await);
    let now = anew.now().await;
    let (shard, round) = anew.full_round(now);
    assert_eq!(anew.commit(shard, now, round).await, CommitResult::Committed);
}
