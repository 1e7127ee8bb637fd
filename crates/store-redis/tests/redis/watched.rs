//! Commits of the timer that need no script: the same comes of them as of the script, whatever
//! happens in between.

use super::*;

pub const ORDERS: usize = 100;

/// Orders of one shard that are due, and what may go wrong between the read and the commit.
pub struct Ground {
    pub home: Home,
    pub shard: Shard,
}

impl Ground {
    /// On a server of its own: what is counted and broken there is the test's.
    pub async fn new() -> Ground {
        Ground::of(Home::own(&[]).await).await
    }

    pub async fn of(home: Home) -> Ground {
        let ground = Ground { shard: home.shard_of(&id("n-0")), home };
        ground.place(ground.shard).await;
        ground
    }

    /// Places orders that are due at once, and tells of them.
    async fn place(&self, shard: Shard) {
        let now = self.home.now().await;
        let orders = self.home.in_shard(shard, now, ORDERS).into_iter();
        let round = Round {
            changes: orders.map(|order| change(None, order)).collect(),
            entries: vec![entry("log", "first", now)],
            policies: vec![policy()],
            ..Round::default()
        };
        assert_eq!(self.home.commit(shard, now, round).await, CommitResult::Committed);
    }

    /// Reads what is due, and decides it.
    pub async fn receipts(&self, entry_id: &str) -> Commit {
        let at = self.home.due(self.shard, 500).await;
        let orders = at.value.orders.iter().map(|due| due.order.as_ref().unwrap().as_ref().unwrap());
        let received = |order: &Order| change(Some(order), after(order, &Command::Due, at.now));
        let changes: Vec<Change> = orders.map(received).collect();
        let members = (0..changes.len() as u32).collect();
        let round = Round {
            changes,
            entries: vec![entry("log", entry_id, at.now)],
            notes: vec![RetentionNote { look_at: at.now, members }],
            ..Round::default()
        };
        Commit { shard: self.shard, now: at.now, state: at.shard, epoch: None, read: at.value.read, round: Arc::new(round) }
    }

    async fn cancel(&self, id: &OrderId) {
        let (order, now) = (self.home.load(id).await.unwrap(), self.home.now().await);
        let cancelled = after(&order, &Command::Cancel { reason: word("no stock") }, now);
        self.home.keep(self.shard, now, vec![change(Some(&order), cancelled)]).await;
    }

    pub async fn commit(&self, commit: Commit) -> CommitResult {
        self.home.store.commit(vec![commit]).await.remove(0)
    }

    pub fn key(&self, what: &str) -> String {
        self.home.key(self.shard, what)
    }

    /// How many transactions were tried.
    pub fn transactions(&self) -> u64 {
        let stats = self.home.cli(&["INFO", "commandstats"]);
        let stats: String = redis::from_redis_value(stats).unwrap();
        let exec = stats.lines().find_map(|line| line.strip_prefix("cmdstat_exec:calls="));
        exec.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    pub fn fields(&self, what: &str) -> Vec<String> {
        redis::from_redis_value(self.home.cli(&["HGETALL", &self.key(what)])).unwrap()
    }

    pub fn members(&self, what: &str) -> Vec<String> {
        let range = self.home.cli(&["ZRANGE", &self.key(what), "0", "-1", "WITHSCORES"]);
        redis::from_redis_value(range).unwrap()
    }

    /// Everything in the shard, in an order of its own.
    pub fn content(&self) -> Vec<Vec<String>> {
        let sorted = |fields: Vec<String>| {
            let pairs = fields.chunks(2).map(|pair| pair.join(" = "));
            let mut pairs: Vec<String> = pairs.collect();
            pairs.sort_unstable();
            pairs
        };
        let hashes = ["orders", "counts", "terms", "outdata:log"];
        let hashes = hashes.map(|what| sorted(self.fields(what)));
        let sets = ["due", "held", "retention", "out:log"].map(|what| self.members(what));
        hashes.into_iter().chain(sets).collect()
    }

    /// Whether what is due is committed by a transaction again.
    async fn is_watched(&self) -> bool {
        self.home.due(self.shard, 500).await.value.read.is_some()
    }
}

/// The same commit without its token.
fn by_script(commit: &Commit) -> Commit {
    let (state, round) = (commit.state.clone(), commit.round.clone());
    Commit { shard: commit.shard, now: commit.now, state, epoch: None, read: None, round }
}

fn all_lost(commit: &Commit) -> CommitResult {
    let losers = commit.round.changes.iter().map(|change| change.id.clone()).collect();
    CommitResult::Conflict { losers, why: Why::Version }
}

#[tokio::test]
async fn a_commit_of_what_was_watched_leaves_what_the_script_leaves() {
    let ground = Ground::new().await;
    let receipts = ground.receipts("second").await;
    let before = ground.home.everything();
    let by_script = by_script(&receipts);
    let result = ground.commit(receipts).await;
    assert_eq!((result, ground.transactions()), (CommitResult::Committed, 1));
    let watched = ground.content();
    let sizes = (ground.members("due").len(), ground.members("retention").len());
    assert_eq!((sizes, ground.fields("outdata:log").len()), ((0, 2), 4));

    ground.home.cli(&["FLUSHALL"]);
    let client = redis::Client::open(ground.home.server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    for (key, dump) in before {
        let redis::Value::BulkString(dump) = dump else { panic!("{key} has no content") };
        redis::cmd("RESTORE").arg(key).arg(0).arg(dump).exec(&mut connection).unwrap();
    }
    assert_ne!(ground.content(), watched);
    let result = ground.commit(by_script).await;
    assert_eq!((result, ground.transactions()), (CommitResult::Committed, 1));
    assert_eq!(ground.content(), watched);
}

#[tokio::test]
async fn an_order_that_was_held_once_goes_this_way_too() {
    let ground = Ground::new().await;
    let now = ground.home.now().await;
    let order = ground.home.in_shard(ground.shard, now, 1).remove(0);
    let order = ground.home.load(&order.id).await.unwrap();
    let held = after(&order, &Command::Hold { id: word("a"), reason: word("a") }, now);
    let released = after(&held, &Command::Release { id: word("a") }, now);
    ground.home.keep(ground.shard, now, vec![change(Some(&order), held.clone())]).await;
    // Its clock as it was, so that it is due at once.
    let mut released = change(Some(&held), released);
    let mut order = (**released.order.as_ref().unwrap()).clone();
    order.clock = ground.home.in_shard(ground.shard, now, 1).remove(0).clock;
    let order = Arc::new(order);
    released.events = vec![Event(order.clone())];
    released.order = Some(order);
    ground.home.keep(ground.shard, now, vec![released]).await;
    let receipts = ground.receipts("second").await;
    assert_eq!(receipts.round.changes.len(), ORDERS);
    let result = ground.commit(receipts).await;
    assert_eq!((result, ground.transactions()), (CommitResult::Committed, 1));
    assert!(ground.members("held").is_empty());
}

#[tokio::test]
async fn an_order_that_was_changed_after_the_read_is_named_by_the_script() {
    let ground = Ground::new().await;
    let receipts = ground.receipts("second").await;
    let changed = receipts.round.changes[7].id.clone();
    ground.cancel(&changed).await;
    let before = ground.home.everything();
    let expected = CommitResult::Conflict { losers: vec![changed], why: Why::Version };
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (expected, 1));
    assert_eq!(ground.home.everything(), before);
}

#[tokio::test]
async fn of_two_reads_of_one_shard_the_first_to_commit_wins() {
    let ground = Ground::new().await;
    let first = ground.receipts("second").await;
    let again = ground.receipts("third").await;
    let lost = all_lost(&first);
    assert_eq!((ground.commit(again).await, ground.transactions()), (CommitResult::Committed, 1));
    assert_eq!((ground.commit(first).await, ground.transactions()), (lost, 2));
}

#[tokio::test]
async fn a_token_of_another_read_is_no_help_and_no_harm() {
    let ground = Ground::new().await;
    let mut receipts = ground.receipts("second").await;
    let changed = receipts.round.changes[7].id.clone();
    ground.cancel(&changed).await;
    // This read found the cancelled order's new version, which the commit does not expect.
    receipts.read = ground.receipts("third").await.read;
    assert!(receipts.read.is_some());
    let expected = CommitResult::Conflict { losers: vec![changed], why: Why::Version };
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (expected, 0));

    let other = Ground::new().await;
    let mut receipts = ground.receipts("fourth").await;
    receipts.read = other.receipts("x").await.read;
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (CommitResult::Committed, 0));
    let mut receipts = other.receipts("fifth").await;
    receipts.read = Some(ReadToken::new("of no store"));
    assert_eq!((other.commit(receipts).await, other.transactions()), (CommitResult::Committed, 0));
}

#[tokio::test]
async fn what_was_decided_before_a_test_clock_was_put_forward_is_stale() {
    let server = Arc::new(RedisServer::start(&[]));
    let ground = Ground::of(Home::on(server, "ar".into(), true).await).await;
    let receipts = ground.receipts("second").await;
    ground.home.store.advance(Span::from_ms(HOUR)).await.unwrap();
    let stale = CommitResult::Conflict { losers: vec![], why: Why::Stale };
    assert_eq!(ground.commit(receipts).await, stale);
    let receipts = ground.receipts("third").await;
    assert_eq!(ground.commit(receipts).await, CommitResult::Committed);
}

#[tokio::test]
async fn what_was_decided_with_a_time_that_is_not_the_servers_is_the_scripts_to_refuse() {
    let ground = Ground::new().await;
    let stale = CommitResult::Conflict { losers: vec![], why: Why::Stale };
    for off in [-11_000, 11_000] {
        let receipts = ground.receipts("second").await;
        let receipts = Commit { now: Time::from_ms(receipts.now.ms() + off), ..receipts };
        let result = ground.commit(receipts).await;
        assert_eq!((result, ground.transactions()), (stale.clone(), 0), "{off} ms");
    }
}

#[tokio::test]
async fn so_many_reads_are_watched_and_a_dropped_one_makes_room() {
    let ground = Ground::new().await;
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(ground.receipts("held").await);
    }
    assert!(held.iter().all(|commit| commit.read.is_some()));
    assert!(ground.receipts("one too many").await.read.is_none());
    held.pop();
    let receipts = ground.receipts("second").await;
    assert!(receipts.read.is_some());
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (CommitResult::Committed, 1));
    drop(held);
    let clients = ground.home.cli(&["CLIENT", "LIST"]);
    let clients: String = redis::from_redis_value(clients).unwrap();
    // One is the test's own.
    assert!(clients.lines().count() <= 16 + 8 + 1, "{clients}");
}

#[tokio::test]
async fn what_goes_wrong_after_the_read_leaves_nothing_half_done() {
    let right = |right: &str| ["ACL", "SETUSER", "default", right].map(str::to_owned).to_vec();
    let mut mishaps: Vec<(Vec<String>, &str)> = Vec::new();
    for what in ["orders", "due", "counts", "held", "retention"] {
        mishaps.push((vec!["SET".to_owned(), what.to_owned(), "x".to_owned()], "WRONGTYPE"));
    }
    for command in ["-hset", "-zadd", "-zrem", "-hincrby"] {
        mishaps.push((right(command), "NOPERM"));
    }
    mishaps.push((["CONFIG", "SET", "maxmemory", "1"].map(str::to_owned).to_vec(), "OOM"));
    for (mut mishap, expected) in mishaps {
        let ground = Ground::new().await;
        let receipts = ground.receipts("second").await;
        assert!(receipts.read.is_some());
        // The commit needs every kind of write.
        if mishap[0] == "SET" {
            mishap[1] = ground.key(&mishap[1]);
        }
        ground.home.cli(&mishap.iter().map(String::as_str).collect::<Vec<_>>());
        let before = ground.home.everything();
        let result = ground.commit(receipts).await;
        // Nothing is written to the held ones, so that they do not matter.
        if mishap[1] == ground.key("held") {
            assert_eq!(result, CommitResult::Committed);
            continue;
        }
        let why = unavailable(&result).unwrap_or_else(|| panic!("{mishap:?}: {result:?}"));
        assert!(why.contains(expected), "{mishap:?}: {why}");
        assert_eq!(ground.home.everything(), before, "{mishap:?}");
    }
}

#[tokio::test]
async fn without_the_right_to_transactions_the_script_does_it() {
    for right in ["-multi", "-watch", "-exec", "-discard"] {
        let ground = Ground::new().await;
        ground.home.cli(&["ACL", "SETUSER", "default", right]);
        let _dropped = ground.receipts("dropped").await.read.is_some();
        let receipts = ground.receipts("second").await;
        assert_eq!(ground.commit(receipts).await, CommitResult::Committed, "{right}");
        assert_eq!((ground.members("due").len(), ground.transactions()), (0, 0), "{right}");
    }
}

#[tokio::test]
async fn a_wrong_type_or_a_missing_right_that_was_there_before_is_found_by_the_script() {
    for what in ["retention", "out:log", "outdata:log", "counts", "-hincrby"] {
        let ground = Ground::new().await;
        match what.strip_prefix('-') {
            Some(_) => ground.home.cli(&["ACL", "SETUSER", "default", what]),
            None => ground.home.cli(&["SET", &ground.key(what), "x"]),
        };
        let receipts = ground.receipts("second").await;
        // Redis asks for rights when it queues a command: a missing one is no reason not to watch.
        assert_eq!(receipts.read.is_some(), what.starts_with('-'), "{what}");
        let before = ground.home.everything();
        let result = ground.commit(receipts).await;
        assert!(unavailable(&result).is_some(), "{what}: {result:?}");
        assert_eq!(ground.home.everything(), before, "{what}");
    }
}

#[tokio::test]
async fn a_connection_that_was_lost_watches_nothing_and_the_next_read_makes_a_new_one() {
    let ground = Ground::new().await;
    let receipts = ground.receipts("second").await;
    let before = ground.home.everything();
    ground.home.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let result = ground.commit(receipts).await;
    let is_open = matches!(result, CommitResult::Unknown(_) | CommitResult::Refused(_));
    assert!(is_open, "{result:?}");
    assert_eq!(ground.home.everything(), before);
    // The shared connections find out as well, each for itself.
    let looks = [Look { shard: ground.shard, extra: 0 }];
    for _ in 0..40 {
        drop(ground.home.store.due(&looks, 500).await);
    }
    assert!(ground.is_watched().await);
    let receipts = ground.receipts("second").await;
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (CommitResult::Committed, 1));
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_is_watched_all_the_same() {
    let ground = Ground::new().await;
    ground.home.cli(&["SCRIPT", "FLUSH"]);
    assert!(ground.is_watched().await);
}

#[tokio::test]
async fn reads_that_are_cut_off_anywhere_leave_a_connection_that_can_be_used() {
    let ground = Ground::new().await;
    let looks = [Look { shard: ground.shard, extra: 0 }];
    // Each is polled once more than the one before, and dropped there.
    for polls in 0..40 {
        let mut due = std::pin::pin!(ground.home.store.due(&looks, 500));
        let mut left = polls;
        let cut = std::future::poll_fn(|cx| {
            if left == 0 {
                return std::task::Poll::Ready(true);
            }
            left -= 1;
            due.as_mut().poll(cx).map(|_| false)
        });
        let done = tokio::time::timeout(std::time::Duration::from_secs(10), cut).await;
        assert!(done.is_ok(), "a read hangs");
    }
    let receipts = ground.receipts("second").await;
    assert!(receipts.read.is_some());
    assert_eq!((ground.commit(receipts).await, ground.transactions()), (CommitResult::Committed, 1));
}
