//! What goes wrong while the store is used: nothing half done is left.

use super::*;

#[tokio::test]
async fn a_wrong_type_on_any_key_fails_before_anything_is_written_and_is_named() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let shard = full_commit(&store, now).shard;
    // The names of the actions are noted apart from the commit.
    let mut names = commit(shard, now, vec![]);
    names.entries = full_commit(&store, now).entries;
    assert_eq!(store.commit(vec![names.into()]).await, [all_done()]);
    for what in ["orders", "due", "counts", "held", "purge", "terms", "out:log", "outdata:log", "out:webhook", "outdata:webhook"] {
        let key = format!("ar:{{{shard}}}:{what}");
        server.cli(&["SET", &key, "x"]).unwrap();
        let before = everything(&server);
        match store.commit(vec![full_commit(&store, now).into()]).await.remove(0) {
            Verdict::Refused(why) => assert!(why.contains("WRONGTYPE") && why.contains(&key), "{why}"),
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(everything(&server), before, "{what}");
        let refused = RedisStore::open(settings(&server)).await.err().map(|error| error.to_string());
        if !what.contains("out") {
            assert!(refused.is_some_and(|why| why.contains(&key)), "{what}");
        }
        server.cli(&["DEL", &key]).unwrap();
    }
    server.cli(&["HSET", &format!("ar:{{{shard}}}:counts"), "PAID", "many"]).unwrap();
    let before = everything(&server);
    let verdict = store.commit(vec![full_commit(&store, now).into()]).await.remove(0);
    assert!(matches!(&verdict, Verdict::Refused(why) if why.contains("not a number")), "{verdict:?}");
    assert_eq!(everything(&server), before);
}

#[tokio::test]
async fn settling_with_a_wrong_type_on_any_key_writes_nothing() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let full = full_commit(&store, now);
    let shard = full.shard;
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    let log: ActionName = "log".parse().unwrap();
    let claimed = store.claim(&log, 1, Span::from_secs(30)).await.unwrap().entries.remove(0);
    let after = vec![
        After::Retry { event: claimed.events[0].clone(), history: history(now), at: now },
        After::Dead { event: claimed.events[1].clone(), history: history(now), at: now },
    ];
    let settlement = Settlement { entry: claimed.entry, after };
    for what in ["dead:log", "deaddata:log"] {
        let key = format!("ar:{{{shard}}}:{what}");
        server.cli(&["SET", &key, "x"]).unwrap();
        let before = everything(&server);
        assert!(store.settle(&log, vec![settlement.clone()]).await.is_err(), "{what}");
        assert_eq!(everything(&server), before, "{what}");
        server.cli(&["DEL", &key]).unwrap();
    }
    store.settle(&log, vec![settlement.clone()]).await.unwrap();
    let before = everything(&server);
    store.settle(&log, vec![settlement]).await.unwrap();
    assert_eq!(everything(&server), before, "an entry that is gone is passed over with all that follows");
    let retried = store.claim(&log, 10, Span::from_secs(30)).await.unwrap().entries;
    assert_eq!((retried.len(), retried[0].history.clone()), (1, Some(history(now))));
}

#[tokio::test]
async fn without_memory_nothing_is_committed_and_the_outbox_still_drains() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let full = full_commit(&store, now);
    let shard = full.shard;
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let before = everything(&server);
    let verdict = store.commit(vec![commit(shard, now, vec![change(None, paid(&id("B"), now, HOUR))]).into()]).await.remove(0);
    assert!(matches!(&verdict, Verdict::Refused(why) if why.starts_with("OOM")), "{verdict:?}");
    assert_eq!(everything(&server), before);

    let (log, lease) = ("log".parse().unwrap(), Span::from_secs(30));
    let claimed = store.claim(&log, 10, lease).await.unwrap().entries.remove(0);
    store.renew(&log, std::slice::from_ref(&claimed.entry), lease).await.unwrap();
    assert_eq!(store.workers("w1", lease).await.unwrap(), ["w1"]);
    let retry = After::Retry { event: claimed.events[0].clone(), history: history(now), at: now };
    store.settle(&log, vec![Settlement { entry: claimed.entry, after: vec![retry] }]).await.unwrap();
    let claimed = store.claim(&log, 10, lease).await.unwrap().entries.remove(0);
    store.settle(&log, vec![Settlement { entry: claimed.entry, after: vec![] }]).await.unwrap();
    assert_eq!(store.stats().await.unwrap().actions[0].pending, 0);
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again_with_every_call() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    for round in 0..5 {
        server.cli(&["SCRIPT", "FLUSH"]).unwrap();
        let orders: Vec<Order> = (0..20).map(|i| paid(&id(&format!("{round}-{i}")), now, 25 * HOUR)).collect();
        let commits = orders.iter().map(|order| {
            let mut one = commit(store.shard_of(&order.id), now, vec![change(None, order.clone())]);
            one.entries = vec![entry("log", order.id.as_str(), now)];
            one
        });
        assert_eq!(store.commit(commits.map(Into::into).collect()).await, vec![all_done(); 20]);
        server.cli(&["SCRIPT", "FLUSH"]).unwrap();
        let claimed = store.claim(&"log".parse().unwrap(), 100, Span::from_secs(30)).await.unwrap();
        assert_eq!(claimed.entries.len(), 20);
        server.cli(&["SCRIPT", "FLUSH"]).unwrap();
        let dead = |event: &Event| After::Dead { event: event.clone(), history: history(now), at: now };
        let settled =
            claimed.entries.iter().map(|claimed| Settlement { entry: claimed.entry.clone(), after: vec![dead(&claimed.events[0])] });
        store.settle(&"log".parse().unwrap(), settled.collect()).await.unwrap();
    }
    assert_eq!(store.stats().await.unwrap().actions[0].dead, 100);
}

#[tokio::test]
async fn a_commit_that_is_not_answered_in_time_is_unknown_and_loading_shows_what_became_of_it() {
    let server = Arc::new(RedisServer::start(&["--enable-debug-command", "yes"]));
    let store = RedisStore::open(RedisSettings { timeout: Span::from_ms(200), ..settings(&server) }).await.unwrap();
    let now = now(&store).await;
    let order = paid(&id("A-1"), now, HOUR);
    // A server that did not know the script would answer so after waking, and nothing would come of it.
    for _ in 0..8 {
        assert_eq!(store.commit(vec![commit(0, now, vec![]).into()]).await, [all_done()]);
    }
    let asleep = server.clone();
    let sleep = std::thread::spawn(move || asleep.cli(&["DEBUG", "SLEEP", "2"]));
    until(async || store.heads().await.err()).await;
    let verdict = store.commit(vec![commit(store.shard_of(&order.id), now, vec![change(None, order.clone())]).into()]).await.remove(0);
    assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    let found = until(async || store.load(std::slice::from_ref(&order.id)).await.ok()?.orders.remove(0).ok()?).await;
    assert_eq!(found, order);
    sleep.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_killed_server_refuses_and_serves_again_by_itself_with_all_that_was_acknowledged() {
    let mut server = RedisServer::start(&["--appendfsync", "always"]);
    let store = open(&server).await;
    let now = now(&store).await;
    let order = paid(&id("A-1"), now, HOUR);
    let one = || vec![commit(store.shard_of(&order.id), now, vec![change(None, order.clone())]).into()];
    assert_eq!(store.commit(one()).await, [all_done()]);
    server.kill();
    assert!(store.load(std::slice::from_ref(&order.id)).await.is_err());
    assert!(!matches!(store.commit(one()).await[0], Verdict::Done { .. }));
    server.restart();
    let found = until(async || store.load(std::slice::from_ref(&order.id)).await.ok()?.orders.remove(0).ok()?).await;
    assert_eq!(found, order);
}

#[tokio::test]
async fn what_cannot_be_read_is_listed_and_harms_nothing_else() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let now = now(&store).await;
    let full = full_commit(&store, now);
    let shard = full.shard;
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    let key = |what: &str| format!("ar:{{{shard}}}:{what}");
    server.cli(&["HSET", &key("orders"), "A-1", "1|?|nonsense"]).unwrap();
    server.cli(&["HSET", &key("outdata:log"), "e1", "nonsense"]).unwrap();
    server.cli(&["ZADD", &key("due"), "1", "not\nan id"]).unwrap();
    assert!(store.load(&[id("A-1")]).await.unwrap().orders[0].is_err());
    let due = store.due(&[Look { shard, extra: 0 }], 10).await.unwrap();
    assert!(due.shards[0].orders.len() == 1 && due.shards[0].orders[0].order.is_err());
    assert!(store.page(View::Overdue, None, 10).await.unwrap().items[0].order.is_err());
    let claimed = store.claim(&"log".parse().unwrap(), 10, Span::from_secs(30)).await.unwrap();
    assert_eq!((claimed.entries.len(), claimed.unreadable.len()), (0, 1));
    assert!(store.claim(&"log".parse().unwrap(), 10, Span::from_secs(30)).await.unwrap().unreadable.is_empty(), "it is under lease");
}

#[tokio::test]
async fn a_store_that_lost_its_data_is_not_taken_for_an_empty_one() {
    let server = RedisServer::start(&[]);
    let store = open(&server).await;
    let full = full_commit(&store, now(&store).await);
    let (shard, order) = (full.shard, full.changes[0].id.clone());
    assert_eq!(store.commit(vec![full.into()]).await, [all_done()]);
    server.cli(&["FLUSHALL"]).unwrap();
    let all_fail = async || {
        let look = Look { shard, extra: 0 };
        let failures = [
            store.heads().await.err(),
            store.load(std::slice::from_ref(&order)).await.err(),
            store.due(&[look], 10).await.err(),
            store.claim(&"log".parse().unwrap(), 10, Span::from_secs(30)).await.err(),
            store.stats().await.err(),
        ];
        failures.into_iter().all(|failure| failure.is_some_and(|failure| failure.to_string().contains("are gone")))
    };
    assert!(all_fail().await);
    // Another worker begins anew there; this one does not take its store for the old one.
    let anew = open(&server).await;
    assert!(all_fail().await && anew.heads().await.is_ok());
    let again = full_commit(&anew, now(&anew).await);
    assert_eq!(anew.commit(vec![again.into()]).await, [all_done()]);
}
