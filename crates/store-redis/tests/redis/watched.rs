//! Commits of the timer that need no script: the same comes of them as of the script, whatever happens in between.

use super::*;

const ORDERS: usize = 100;

/// A server with orders of one shard that are due, and what may go wrong between the read and the commit.
struct Ground {
    server: RedisServer,
    store: RedisStore,
    shard: Shard,
}

impl Ground {
    async fn new() -> Ground {
        Ground::with(false).await
    }

    async fn with(test_clock: bool) -> Ground {
        let server = RedisServer::start(&[]);
        let store = RedisStore::open(RedisSettings { test_clock, ..settings(&server) }).await.unwrap();
        let ground = Ground { shard: store.shard_of(&id("n-0")), server, store };
        ground.place(ground.shard).await;
        ground
    }

    /// Places orders that are due at once; an entry tells of it.
    async fn place(&self, shard: Shard) {
        let now = now(&self.store).await;
        let ids = (0..).map(|i| id(&format!("n-{i}"))).filter(|id| self.store.shard_of(id) == shard).take(ORDERS);
        let mut placed = commit(shard, now, ids.map(|id| change(None, paid(&id, now, 25 * HOUR))).collect());
        placed.entries = vec![entry("log", "first", now)];
        placed.policies = vec![policy()];
        assert_eq!(self.store.commit(vec![placed.into()]).await, [all_done()]);
    }

    /// Reads what is due, and decides it.
    async fn receipts(&self, entry_id: &str) -> Commit {
        let due = self.store.due(&[Look { shard: self.shard, extra: 0 }], 500).await.unwrap();
        let orders = due.shards[0].orders.iter().map(|due| due.order.as_ref().unwrap().as_ref().unwrap());
        let changes: Vec<Change> = orders.map(|order| change(Some(order), after(order, &Command::Due, due.now))).collect();
        let mut commit = commit(self.shard, due.now, changes);
        commit.entries = vec![entry("log", entry_id, due.now)];
        commit.notes = vec![RestNote { look_at: due.now, members: (0..commit.changes.len() as u32).collect() }];
        commit
    }

    async fn order(&self, id: &OrderId) -> Order {
        self.store.load(std::slice::from_ref(id)).await.unwrap().orders.remove(0).unwrap().unwrap()
    }

    async fn cancel(&self, id: &OrderId) {
        let (order, now) = (self.order(id).await, now(&self.store).await);
        let cancelled = change(Some(&order), after(&order, &Command::Cancel { reason: "no stock".parse().unwrap() }, now));
        assert_eq!(self.commit(commit(self.shard, now, vec![cancelled])).await, all_done());
    }

    async fn commit(&self, commit: Commit) -> Verdict {
        self.store.commit(vec![commit.into()]).await.remove(0)
    }

    fn key(&self, what: &str) -> String {
        format!("ar:{{{}}}:{what}", self.shard)
    }

    /// How many transactions were tried.
    fn transactions(&self) -> u64 {
        let stats: String = redis::from_redis_value(self.server.cli(&["INFO", "commandstats"]).unwrap()).unwrap();
        let exec = stats.lines().find_map(|line| line.strip_prefix("cmdstat_exec:calls="));
        exec.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    fn fields(&self, what: &str) -> Vec<String> {
        redis::from_redis_value(self.server.cli(&["HGETALL", &self.key(what)]).unwrap()).unwrap()
    }

    fn members(&self, what: &str) -> Vec<String> {
        redis::from_redis_value(self.server.cli(&["ZRANGE", &self.key(what), "0", "-1", "WITHSCORES"]).unwrap()).unwrap()
    }

    /// Everything in the shard, in an order of its own.
    fn content(&self) -> Vec<Vec<String>> {
        let sorted = |fields: Vec<String>| {
            let mut pairs: Vec<String> = fields.chunks(2).map(|pair| pair.join(" = ")).collect();
            pairs.sort_unstable();
            pairs
        };
        let hashes = ["orders", "counts", "terms", "outdata:log"].map(|what| sorted(self.fields(what)));
        hashes.into_iter().chain(["due", "held", "purge", "out:log"].map(|what| self.members(what))).collect()
    }
}

#[tokio::test]
async fn a_commit_of_what_was_watched_leaves_what_the_script_leaves() {
    let ground = Ground::new().await;
    let receipts = ground.receipts("second").await;
    let before = everything(&ground.server);
    let by_script = Commit { changes: receipts.changes.clone(), ..commit(ground.shard, receipts.now, vec![]) };
    let by_script = Commit { entries: receipts.entries.clone(), notes: receipts.notes.clone(), ..by_script };
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (all_done(), 1));
    let watched = ground.content();
    assert_eq!((ground.members("due").len(), ground.members("purge").len(), ground.fields("outdata:log").len()), (0, 2, 4));

    ground.server.cli(&["FLUSHALL"]).unwrap();
    let mut connection = redis::Client::open(ground.server.url()).unwrap().get_connection().unwrap();
    for (key, dump) in before {
        let redis::Value::BulkString(dump) = dump else { panic!("{key} has no content") };
        redis::cmd("RESTORE").arg(key).arg(0).arg(dump).exec(&mut connection).unwrap();
    }
    assert_ne!(ground.content(), watched);
    assert_eq!((ground.commit(by_script).await, ground.transactions()), (all_done(), 1));
    assert_eq!(ground.content(), watched);
}

#[tokio::test]
async fn an_order_that_was_changed_after_the_read_loses_alone() {
    let ground = Ground::new().await;
    let receipts = ground.receipts("second").await;
    let changed = &receipts.changes[7].id.clone();
    ground.cancel(changed).await;
    assert_eq!(ground.commit(receipts).await, Verdict::Done { losers: vec![7] });
    assert_eq!((ground.order(changed).await.status, ground.members("due").len()), (Status::Cancelled, 0));
    let statuses: Vec<String> = ground.fields("counts");
    let count = |what: &str| statuses.chunks(2).find(|pair| pair[0] == what).map(|pair| pair[1].clone());
    assert_eq!(count("PAID"), Some("0".to_owned()));
    assert_eq!(count("order.received/timer"), Some((ORDERS - 1).to_string()), "{statuses:?}");
}

#[tokio::test]
async fn what_was_read_elsewhere_or_in_another_version_is_the_scripts_to_decide() {
    let ground = Ground::new().await;
    let (first, again) = (ground.receipts("second").await, ground.receipts("third").await);
    assert_eq!((ground.commit(again).await, ground.transactions()), (all_done(), 1));
    assert_eq!((ground.commit(first).await, ground.transactions()), (Verdict::Done { losers: (0..ORDERS as u32).collect() }, 1));
    let ground = Ground::new().await;
    let receipts = ground.receipts("second").await;
    ground.cancel(&receipts.changes[7].id).await;
    // Watched now, and read with the cancelled order's new version, which the commit does not expect.
    ground.receipts("third").await;
    assert_eq!(ground.commit(receipts).await, Verdict::Done { losers: vec![7] });
    assert_eq!(ground.transactions(), 0);
}

#[tokio::test]
async fn what_was_decided_before_a_test_clock_was_put_forward_is_stale() {
    let ground = Ground::with(true).await;
    let receipts = ground.receipts("second").await;
    ground.store.advance(Span::from_ms(HOUR)).await.unwrap();
    assert_eq!(ground.commit(receipts).await, Verdict::Done { losers: (0..ORDERS as u32).collect() });
    let receipts = ground.receipts("third").await;
    assert_eq!(ground.commit(receipts).await, all_done());
}

#[tokio::test]
async fn what_was_decided_with_a_time_that_is_not_the_servers_is_the_scripts_to_refuse() {
    for off in [-11_000, 11_000] {
        let ground = Ground::new().await;
        let receipts = ground.receipts("second").await;
        let receipts = Commit { now: Time::from_ms(receipts.now.ms() + off), ..receipts };
        let all_lost = Verdict::Done { losers: (0..ORDERS as u32).collect() };
        assert_eq!((ground.commit(receipts).await, ground.transactions()), (all_lost, 0), "{off} ms");
    }
}

#[tokio::test]
async fn so_many_reads_are_watched_and_no_more() {
    let ground = Ground::new().await;
    let receipts = ground.receipts("second").await;
    for shard in (0..64).filter(|shard| *shard != ground.shard).take(16) {
        ground.place(shard).await;
        ground.store.due(&[Look { shard, extra: 0 }], 500).await.unwrap();
    }
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (all_done(), 0), "the oldest is forgotten");
}

#[tokio::test]
async fn what_goes_wrong_after_the_read_leaves_nothing_half_done() {
    let taken_away = |command: &str| vec!["ACL", "SETUSER", "default", command].into_iter().map(str::to_owned).collect::<Vec<_>>();
    let wrong_type = |what: &'static str| vec!["SET".to_owned(), what.to_owned(), "x".to_owned()];
    let mishaps: Vec<(Vec<String>, &str)> = vec![
        (wrong_type("orders"), "WRONGTYPE"),
        (wrong_type("counts"), "WRONGTYPE"),
        (taken_away("-hset"), "NOPERM"),
        (taken_away("-zadd"), "NOPERM"),
        (taken_away("-zrem"), "NOPERM"),
        (["CONFIG", "SET", "maxmemory", "1"].map(str::to_owned).into(), "OOM"),
    ];
    for (mut mishap, expected) in mishaps {
        let ground = Ground::new().await;
        let receipts = ground.receipts("second").await;
        if mishap[0] == "SET" {
            mishap[1] = ground.key(&mishap[1]);
        }
        ground.server.cli(&mishap.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let before = everything(&ground.server);
        let verdict = ground.commit(receipts).await;
        assert!(matches!(&verdict, Verdict::Refused(why) if why.contains(expected)), "{mishap:?}: {verdict:?}");
        assert_eq!(everything(&ground.server), before, "{mishap:?}");
    }
}

#[tokio::test]
async fn without_the_right_to_transactions_the_script_does_it() {
    for right in ["-multi", "-watch", "-exec"] {
        let ground = Ground::new().await;
        ground.server.cli(&["ACL", "SETUSER", "default", right]).unwrap();
        let receipts = ground.receipts("second").await;
        assert_eq!(ground.commit(receipts).await, all_done(), "{right}");
        assert_eq!((ground.members("due").len(), ground.transactions()), (0, 0), "{right}");
        ground.server.cli(&["ACL", "SETUSER", "default", "+@all"]).unwrap();
        let ids = ground.fields("orders").len();
        assert_eq!(ids, 2 * ORDERS);
    }
}

#[tokio::test]
async fn a_wrong_type_that_stood_there_before_is_found_by_the_script() {
    for what in ["purge", "out:log", "outdata:log"] {
        let ground = Ground::new().await;
        ground.server.cli(&["SET", &ground.key(what), "x"]).unwrap();
        let receipts = ground.receipts("second").await;
        let before = everything(&ground.server);
        let verdict = ground.commit(receipts).await;
        assert!(matches!(&verdict, Verdict::Refused(why) if why.contains("WRONGTYPE")), "{what}: {verdict:?}");
        assert_eq!(everything(&ground.server), before, "{what}");
    }
}

#[tokio::test]
async fn a_connection_that_was_lost_watches_nothing_and_the_next_read_makes_a_new_one() {
    let ground = Ground::new().await;
    let receipts = ground.receipts("second").await;
    let before = everything(&ground.server);
    ground.server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
    let verdict = ground.commit(receipts).await;
    assert!(matches!(verdict, Verdict::Unknown(_) | Verdict::Refused(_)), "{verdict:?}");
    assert_eq!(everything(&ground.server), before);
    // The shared connections find out as well, each for itself.
    for _ in 0..40 {
        let _ = ground.store.due(&[Look { shard: ground.shard, extra: 0 }], 500).await;
    }
    let receipts = ground.receipts("second").await;
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (all_done(), 1));
}
