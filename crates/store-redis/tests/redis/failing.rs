//! What goes wrong while the store is used: nothing half done is left.

use super::*;

#[tokio::test]
async fn a_wrong_type_on_any_key_fails_before_anything_is_written_and_is_named() {
    let home = Home::shared().await;
    let now = home.now().await;
    let (shard, _) = home.full_round(now);
    let of_commits = ["orders", "due", "counts", "held", "retention", "terms"];
    let of_actions = ["out:log", "outdata:log", "out:webhook", "outdata:webhook"];
    for what in of_commits.into_iter().chain(of_actions) {
        let key = home.key(shard, what);
        home.cli(&["SET", &key, "x"]);
        let before = home.everything();
        // The state is asked of another shard: all of a store have the same.
        let mut commit = home.commit_of((shard + 1) % 64, now, home.full_round(now).1).await;
        commit.shard = shard;
        let result = home.store.commit(vec![commit]).await.remove(0);
        let why = unavailable(&result).unwrap_or_else(|| panic!("{what}: {result:?}"));
        assert!(why.contains("WRONGTYPE") && why.contains(&key), "{why}");
        assert_eq!(home.everything(), before, "{what}");
        if of_commits.contains(&what) {
            let prefix = home.prefix.clone();
            let why = why_refused(RedisSettings { prefix, ..settings(&home.server) }).await;
            assert!(why.contains(&key), "{what}: {why}");
        }
        home.cli(&["DEL", &key]);
    }
    home.cli(&["HSET", &home.key(shard, "counts"), "PAID", "many"]);
    let before = home.everything();
    let result = home.commit(shard, now, home.full_round(now).1).await;
    assert!(unavailable(&result).is_some_and(|why| why.contains("not a number")), "{result:?}");
    assert_eq!(home.everything(), before);
}

#[tokio::test]
async fn an_error_answer_of_one_shard_fails_its_own_items_only() {
    let home = Home::shared().await;
    let now = home.now().await;
    let (broken, whole) = (0, 1);
    let orders = [&home.in_shard(broken, now, 1)[0].id, &home.in_shard(whole, now, 1)[0].id];
    let ids: Vec<OrderId> = orders.into_iter().cloned().collect();
    home.cli(&["SET", &home.key(broken, "orders"), "x"]);
    home.cli(&["SET", &home.key(broken, "due"), "x"]);
    home.cli(&["SET", &home.key(broken, "out:log"), "x"]);
    let loaded = home.store.load(&ids).await;
    assert!(loaded[0].is_err() && loaded[1].is_ok(), "{loaded:?}");
    let looks = [broken, whole].map(|shard| Look { shard, extra: 0 });
    for limit in [0, 10] {
        let due = home.store.due(&looks, limit).await;
        assert!(due[0].is_err() && due[1].is_ok(), "{due:?}");
    }
    let put = |shard| {
        let entry = EntryRef { shard, id: "e".into() };
        vec![autoreceive_store::NewEntry { entry, at: now, text: "x".into() }]
    };
    assert!(home.store.put(&Queue::pending(&log()), put(broken)).await.is_err());
    assert_eq!(home.store.put(&Queue::pending(&log()), put(whole)).await, Ok(1));
    assert_eq!(home.store.claim(&log(), 10, LEASE).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn settling_with_a_wrong_type_on_any_key_writes_nothing() {
    let home = Home::shared().await;
    let now = home.now().await;
    let (shard, round) = home.full_round(now);
    assert_eq!(home.commit(shard, now, round).await, CommitResult::Committed);
    let claimed = home.store.claim(&log(), 1, LEASE).await.unwrap().entries.remove(0);
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
        let key = home.key(shard, what);
        home.cli(&["SET", &key, "x"]);
        let before = home.everything();
        assert!(home.store.settle(&queue, vec![settlement.clone()]).await.is_err(), "{what}");
        assert_eq!(home.everything(), before, "{what}");
        home.cli(&["DEL", &key]);
    }
    assert_eq!(home.store.settle(&queue, vec![settlement]).await, Ok(1));
}

#[tokio::test]
async fn without_memory_nothing_is_committed_and_the_outbox_still_drains() {
    let home = Home::own(&[]).await;
    let now = home.now().await;
    let (shard, round) = home.full_round(now);
    assert_eq!(home.commit(shard, now, round).await, CommitResult::Committed);
    home.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = home.everything();
    let other = home.in_shard(shard, now, 1).remove(0);
    let round = Round { changes: vec![change(None, other)], ..Round::default() };
    let result = home.commit(shard, now, round).await;
    assert!(unavailable(&result).is_some_and(|why| why.starts_with("OOM")), "{result:?}");
    assert_eq!(home.everything(), before);

    let queue = Queue::pending(&log());
    let claimed = home.store.claim(&log(), 10, LEASE).await.unwrap().entries.remove(0);
    home.store.renew(&log(), std::slice::from_ref(&claimed.entry), LEASE).await.unwrap();
    assert_eq!(home.store.heartbeat("w1", LEASE).await.unwrap(), ["w1"]);
    let retry = FollowUp {
        queue: queue.clone(),
        id: "again".into(),
        at: now,
        text: claimed.text.clone().unwrap(),
        only_if_absent: false,
    };
    let retried = Settlement { entry: claimed.entry, follow_ups: vec![retry] };
    assert_eq!(home.store.settle(&queue, vec![retried]).await, Ok(1));
    let again = home.store.claim(&log(), 10, LEASE).await.unwrap().entries.remove(0);
    assert_eq!(home.store.settle(&queue, vec![Settlement::done(again.entry)]).await, Ok(1));
    let page = Which::Page { cursor: None, limit: 10 };
    assert!(home.store.entries(&queue, page).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again_with_every_call() {
    let home = Home::own(&[]).await;
    let now = home.now().await;
    for round in 0..5 {
        home.cli(&["SCRIPT", "FLUSH"]);
        let mut commits = Vec::new();
        for i in 0..20 {
            let order = paid(&id(&format!("{round}-{i}")), now, 25 * HOUR);
            let entries = vec![entry("log", order.id.as_str(), now)];
            let (shard, changes) = (home.shard_of(&order.id), vec![change(None, order)]);
            let round = Round { changes, entries, ..Round::default() };
            commits.push(home.commit_of(shard, now, round).await);
        }
        let results = home.store.commit(commits).await;
        assert_eq!(results, vec![CommitResult::Committed; 20]);
        home.cli(&["SCRIPT", "FLUSH"]);
        let claimed = home.store.claim(&log(), 100, LEASE).await.unwrap();
        assert_eq!(claimed.entries.len(), 20);
        home.cli(&["SCRIPT", "FLUSH"]);
        let done = claimed.entries.into_iter().map(|entry| Settlement::done(entry.entry));
        let settled = home.store.settle(&Queue::pending(&log()), done.collect()).await;
        assert_eq!(settled, Ok(20));
    }
}

#[tokio::test]
async fn a_commit_that_is_not_answered_in_time_is_unknown_and_loading_shows_what_became_of_it() {
    let server = Arc::new(RedisServer::start(&["--enable-debug-command", "yes"]));
    let settings = RedisSettings { timeout: Span::from_ms(200), ..settings(&server) };
    let store = RedisStore::open(settings).await.unwrap();
    let home = Home { server: server.clone(), prefix: "ar".into(), store };
    let now = home.now().await;
    let order = paid(&id("A-1"), now, HOUR);
    let shard = home.shard_of(&order.id);
    // A server that did not know the script would answer so after waking, and nothing would come of
    // it.
    for _ in 0..8 {
        home.keep(0, now, vec![]).await;
    }
    let round = Round { changes: vec![change(None, order.clone())], ..Round::default() };
    let commit = home.commit_of(shard, now, round).await;
    let sleep = std::thread::spawn(move || server.cli(&["DEBUG", "SLEEP", "2"]));
    until(async || home.store.now().await.err()).await;
    let result = home.store.commit(vec![commit]).await.remove(0);
    assert!(matches!(result, CommitResult::Unknown(_)), "{result:?}");
    let load = async || home.store.load(std::slice::from_ref(&order.id)).await.remove(0).ok();
    let found = until(async || load().await?.value.ok()?).await;
    assert_eq!(found, order);
    sleep.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_killed_server_refuses_and_serves_again_by_itself_with_all_that_was_acknowledged() {
    let mut server = RedisServer::start(&["--appendfsync", "always"]);
    let store = RedisStore::open(settings(&server)).await.unwrap();
    let now = store.now().await.unwrap();
    let order = paid(&id("A-1"), now, HOUR);
    let shard = store.about().shards.of(&order.id);
    let at = store.due(&[Look { shard, extra: 0 }], 0).await.remove(0).unwrap();
    let round = Round { changes: vec![change(None, order.clone())], ..Round::default() };
    let round = Arc::new(round);
    let one = || {
        let (state, round) = (at.shard.clone(), round.clone());
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
async fn what_cannot_be_read_is_listed_and_harms_nothing_else() {
    let home = Home::shared().await;
    let now = home.now().await;
    let (shard, round) = home.full_round(now);
    assert_eq!(home.commit(shard, now, round).await, CommitResult::Committed);
    home.cli(&["HSET", &home.key(shard, "orders"), "A-1", "1|?|nonsense"]);
    home.cli(&["HSET", &home.key(shard, "outdata:log"), "e1", "nonsense"]);
    home.cli(&["ZADD", &home.key(shard, "due"), "1", "not\nan id"]);
    assert!(home.store.load(&[id("A-1")]).await[0].as_ref().unwrap().value.is_err());
    let due = home.due(shard, 10).await.value;
    assert!(due.orders.len() == 1 && due.orders[0].order.is_err());
    let overdue = home.store.list(View::Overdue, None, 10).await.unwrap();
    assert!(overdue.items[0].order.is_err());
    let all = home.store.list(View::Resting, None, 10).await.unwrap();
    assert!(all.items[0].order.is_err());
    let claimed = home.store.claim(&log(), 10, LEASE).await.unwrap();
    assert!(claimed.entries.len() == 1 && claimed.entries[0].read().is_err());
    assert!(home.store.claim(&log(), 10, LEASE).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_store_that_lost_its_data_is_not_taken_for_an_empty_one() {
    let home = Home::own(&[]).await;
    let now = home.now().await;
    let (shard, round) = home.full_round(now);
    let order = round.changes[0].id.clone();
    assert_eq!(home.commit(shard, now, round).await, CommitResult::Committed);
    home.cli(&["FLUSHALL"]);
    let looks = [Look { shard, extra: 0 }];
    let all_fail = async || {
        let failures = [
            home.store.now().await.err(),
            home.store.load(std::slice::from_ref(&order)).await.remove(0).err(),
            home.store.due(&looks, 0).await.remove(0).err(),
            home.store.due(&looks, 10).await.remove(0).err(),
            home.store.claim(&log(), 10, LEASE).await.err(),
            home.store.get(Space::Circuits, &["log".to_owned()]).await.err(),
            home.store.stats().await.err(),
        ];
        let is_gone = |why: String| why.contains("are gone");
        failures.into_iter().all(|failure| failure.is_some_and(|why| is_gone(why.to_string())))
    };
    assert!(all_fail().await);
    // Another worker begins anew there; this one does not take its store for the old one.
    let anew = Home::on(home.server.clone(), "ar".into(), false).await;
    assert!(all_fail().await);
    let now = anew.now().await;
    let (shard, round) = anew.full_round(now);
    assert_eq!(anew.commit(shard, now, round).await, CommitResult::Committed);
}
