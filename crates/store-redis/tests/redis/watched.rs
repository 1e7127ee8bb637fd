//! Commits of the timer by a transaction: the result is the same as by the script, whatever happens
//! between read and commit.

use super::*;

pub const ORDERS: usize = 100;

/// Due orders of one shard, on a server that the test may change.
pub struct Fixture {
    pub test: TestStore,
    pub shard: Shard,
}

impl Fixture {
    /// On a server of its own, because the test counts its commands and breaks it.
    pub async fn new() -> Fixture {
        Fixture::of(TestStore::own(&[]).await).await
    }

    pub async fn of(test: TestStore) -> Fixture {
        let fixture = Fixture { shard: test.shard_of(&id("n-0")), test };
        fixture.place(fixture.shard).await;
        fixture
    }

    /// Places orders that are due at once, and reports them in entries.
    async fn place(&self, shard: Shard) {
        let now = self.test.now().await;
        let orders = self.test.in_shard(shard, now, ORDERS).into_iter();
        let round = Round {
            changes: orders.map(|order| change(None, order)).collect(),
            entries: vec![entry("log", "first", now)],
            policies: vec![policy()],
            ..Round::default()
        };
        assert_eq!(self.test.commit(shard, now, round).await, CommitResult::Committed);
    }

    /// Reads the due orders and decides their receipts.
    pub async fn receipts(&self, entry_id: &str) -> Commit {
        let at = self.test.due(self.shard, 500).await;
        let orders =
            at.value.orders.iter().map(|due| due.order.as_ref().unwrap().as_ref().unwrap());
        let received = |order: &Order| change(Some(order), after(order, &Command::Due, at.now));
        let changes: Vec<Change> = orders.map(received).collect();
        let members = (0..changes.len() as u32).collect();
        let round = Round {
            changes,
            entries: vec![entry("log", entry_id, at.now)],
            notes: vec![RetentionNote { look_at: at.now, members }],
            ..Round::default()
        };
        Commit {
            shard: self.shard,
            now: at.now,
            state: at.shard,
            epoch: None,
            read: at.value.read,
            round: Arc::new(round),
        }
    }

    async fn cancel(&self, id: &OrderId) {
        let order = self.test.load(id).await.unwrap();
        let now = self.test.now().await;
        let cancelled = after(&order, &Command::Cancel { reason: word("no stock") }, now);
        self.test.keep(self.shard, now, vec![change(Some(&order), cancelled)]).await;
    }

    pub async fn commit(&self, commit: Commit) -> CommitResult {
        self.test.store.commit(vec![commit]).await.remove(0)
    }

    pub fn key(&self, what: &str) -> String {
        self.test.key(self.shard, what)
    }

    /// The number of EXEC calls.
    pub fn transactions(&self) -> u64 {
        let stats = self.test.cli(&["INFO", "commandstats"]);
        let stats: String = redis::from_redis_value(stats).unwrap();
        let exec = stats.lines().find_map(|line| line.strip_prefix("cmdstat_exec:calls="));
        exec.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    pub fn fields(&self, what: &str) -> Vec<String> {
        redis::from_redis_value(self.test.cli(&["HGETALL", &self.key(what)])).unwrap()
    }

    pub fn members(&self, what: &str) -> Vec<String> {
        let range = self.test.cli(&["ZRANGE", &self.key(what), "0", "-1", "WITHSCORES"]);
        redis::from_redis_value(range).unwrap()
    }

    /// The content of the shard, sorted.
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

    /// Whether due orders are read for a transaction again.
    async fn is_watched(&self) -> bool {
        self.test.due(self.shard, 500).await.value.read.is_some()
    }
}

/// The same commit without its token.
fn by_script(commit: &Commit) -> Commit {
    let state = commit.state.clone();
    let round = commit.round.clone();
    Commit { shard: commit.shard, now: commit.now, state, epoch: None, read: None, round }
}

fn all_lost(commit: &Commit) -> CommitResult {
    let losers = commit.round.changes.iter().map(|change| change.id.clone()).collect();
    CommitResult::Conflict { losers, why: Why::Version }
}

#[tokio::test]
async fn a_transaction_writes_the_same_as_the_script() {
    let fixture = Fixture::new().await;
    let receipts = fixture.receipts("second").await;
    let before = fixture.test.everything();
    let by_script = by_script(&receipts);
    let result = fixture.commit(receipts).await;
    assert_eq!((result, fixture.transactions()), (CommitResult::Committed, 1));
    let watched = fixture.content();
    let sizes = (fixture.members("due").len(), fixture.members("retention").len());
    assert_eq!((sizes, fixture.fields("outdata:log").len()), ((0, 2), 4));

    fixture.test.cli(&["FLUSHALL"]);
    let client = redis::Client::open(fixture.test.server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    for (key, dump) in before {
        let redis::Value::BulkString(dump) = dump else { panic!("{key} has no content") };
        redis::cmd("RESTORE").arg(key).arg(0).arg(dump).exec(&mut connection).unwrap();
    }
    assert_ne!(fixture.content(), watched);
    let result = fixture.commit(by_script).await;
    assert_eq!((result, fixture.transactions()), (CommitResult::Committed, 1));
    assert_eq!(fixture.content(), watched);
}

#[tokio::test]
async fn a_transaction_also_commits_orders_with_released_holds() {
    let fixture = Fixture::new().await;
    let now = fixture.test.now().await;
    let order = fixture.test.in_shard(fixture.shard, now, 1).remove(0);
    let order = fixture.test.load(&order.id).await.unwrap();
    let held = after(&order, &Command::Hold { id: word("a"), reason: word("a") }, now);
    let released = after(&held, &Command::Release { id: word("a") }, now);
    fixture.test.keep(fixture.shard, now, vec![change(Some(&order), held.clone())]).await;
    // Keep its clock, so that it is due at once.
    let mut released = change(Some(&held), released);
    let mut order = (**released.order.as_ref().unwrap()).clone();
    order.clock = fixture.test.in_shard(fixture.shard, now, 1).remove(0).clock;
    let order = Arc::new(order);
    released.events = vec![Event(order.clone())];
    released.order = Some(order);
    fixture.test.keep(fixture.shard, now, vec![released]).await;
    let receipts = fixture.receipts("second").await;
    assert_eq!(receipts.round.changes.len(), ORDERS);
    let result = fixture.commit(receipts).await;
    assert_eq!((result, fixture.transactions()), (CommitResult::Committed, 1));
    assert!(fixture.members("held").is_empty());
}

#[tokio::test]
async fn an_order_changed_after_the_read_is_reported_by_the_script() {
    let fixture = Fixture::new().await;
    let receipts = fixture.receipts("second").await;
    let changed = receipts.round.changes[7].id.clone();
    fixture.cancel(&changed).await;
    let before = fixture.test.everything();
    let expected = CommitResult::Conflict { losers: vec![changed], why: Why::Version };
    assert_eq!((fixture.commit(receipts).await, fixture.transactions()), (expected, 1));
    assert_eq!(fixture.test.everything(), before);
}

#[tokio::test]
async fn of_two_reads_of_one_shard_the_first_commit_wins() {
    let fixture = Fixture::new().await;
    let first = fixture.receipts("second").await;
    let again = fixture.receipts("third").await;
    let lost = all_lost(&first);
    assert_eq!((fixture.commit(again).await, fixture.transactions()), (CommitResult::Committed, 1));
    assert_eq!((fixture.commit(first).await, fixture.transactions()), (lost, 2));
}

#[tokio::test]
async fn a_token_of_another_read_is_ignored() {
    let fixture = Fixture::new().await;
    let mut receipts = fixture.receipts("second").await;
    let changed = receipts.round.changes[7].id.clone();
    fixture.cancel(&changed).await;
    // This read found the cancelled order's new version, which the commit does not expect.
    receipts.read = fixture.receipts("third").await.read;
    assert!(receipts.read.is_some());
    let expected = CommitResult::Conflict { losers: vec![changed], why: Why::Version };
    assert_eq!((fixture.commit(receipts).await, fixture.transactions()), (expected, 0));

    let other = Fixture::new().await;
    let mut receipts = fixture.receipts("fourth").await;
    receipts.read = other.receipts("x").await.read;
    assert_eq!(
        (fixture.commit(receipts).await, fixture.transactions()),
        (CommitResult::Committed, 0)
    );
    let mut receipts = other.receipts("fifth").await;
    receipts.read = Some(ReadToken::new("of no store"));
    assert_eq!((other.commit(receipts).await, other.transactions()), (CommitResult::Committed, 0));
}

#[tokio::test]
async fn a_decision_before_an_advance_of_the_test_clock_is_stale() {
    let server = Arc::new(RedisServer::start(&[]));
    let fixture = Fixture::of(TestStore::on(server, "ar".into(), true).await).await;
    let receipts = fixture.receipts("second").await;
    fixture.test.store.advance(Span::from_ms(HOUR)).await.unwrap();
    let stale = CommitResult::Conflict { losers: vec![], why: Why::Stale };
    assert_eq!(fixture.commit(receipts).await, stale);
    let receipts = fixture.receipts("third").await;
    assert_eq!(fixture.commit(receipts).await, CommitResult::Committed);
}

#[tokio::test]
async fn a_decision_with_a_wrong_time_is_refused_by_the_script() {
    let fixture = Fixture::new().await;
    let stale = CommitResult::Conflict { losers: vec![], why: Why::Stale };
    for off in [-11_000, 11_000] {
        let receipts = fixture.receipts("second").await;
        let receipts = Commit { now: Time::from_ms(receipts.now.ms() + off), ..receipts };
        let result = fixture.commit(receipts).await;
        assert_eq!((result, fixture.transactions()), (stale.clone(), 0), "{off} ms");
    }
}

#[tokio::test]
async fn the_number_of_watched_reads_is_bounded_and_a_dropped_one_makes_room() {
    let fixture = Fixture::new().await;
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(fixture.receipts("held").await);
    }
    assert!(held.iter().all(|commit| commit.read.is_some()));
    assert!(fixture.receipts("one too many").await.read.is_none());
    held.pop();
    let receipts = fixture.receipts("second").await;
    assert!(receipts.read.is_some());
    assert_eq!(
        (fixture.commit(receipts).await, fixture.transactions()),
        (CommitResult::Committed, 1)
    );
    drop(held);
    let clients = fixture.test.cli(&["CLIENT", "LIST"]);
    let clients: String = redis::from_redis_value(clients).unwrap();
    // One is the test's own connection.
    assert!(clients.lines().count() <= 16 + 8 + 1, "{clients}");
}

#[tokio::test]
async fn a_fault_after_the_read_leaves_no_partial_write() {
    let right = |right: &str| ["ACL", "SETUSER", "default", right].map(str::to_owned).to_vec();
    let mut faults: Vec<(Vec<String>, &str)> = Vec::new();
    for what in ["orders", "due", "counts", "held", "retention"] {
        faults.push((vec!["SET".to_owned(), what.to_owned(), "x".to_owned()], "WRONGTYPE"));
    }
    for command in ["-hset", "-zadd", "-zrem", "-hincrby"] {
        faults.push((right(command), "NOPERM"));
    }
    faults.push((["CONFIG", "SET", "maxmemory", "1"].map(str::to_owned).to_vec(), "OOM"));
    for (mut fault, expected) in faults {
        let fixture = Fixture::new().await;
        let receipts = fixture.receipts("second").await;
        assert!(receipts.read.is_some());
        // The commit needs every kind of write.
        if fault[0] == "SET" {
            fault[1] = fixture.key(&fault[1]);
        }
        fixture.test.cli(&fault.iter().map(String::as_str).collect::<Vec<_>>());
        let before = fixture.test.everything();
        let result = fixture.commit(receipts).await;
        // The commit writes nothing to this key, so its type does not matter.
        if fault[1] == fixture.key("held") {
            assert_eq!(result, CommitResult::Committed);
            continue;
        }
        let why = unavailable(&result).unwrap_or_else(|| panic!("{fault:?}: {result:?}"));
        assert!(why.contains(expected), "{fault:?}: {why}");
        assert_eq!(fixture.test.everything(), before, "{fault:?}");
    }
}

#[tokio::test]
async fn without_permission_for_transactions_the_script_commits() {
    for right in ["-multi", "-watch", "-exec", "-discard"] {
        let fixture = Fixture::new().await;
        fixture.test.cli(&["ACL", "SETUSER", "default", right]);
        let _dropped = fixture.receipts("dropped").await.read.is_some();
        let receipts = fixture.receipts("second").await;
        assert_eq!(fixture.commit(receipts).await, CommitResult::Committed, "{right}");
        assert_eq!((fixture.members("due").len(), fixture.transactions()), (0, 0), "{right}");
    }
}

#[tokio::test]
async fn a_wrong_type_or_missing_permission_before_the_read_is_found_by_the_script() {
    for what in ["retention", "out:log", "outdata:log", "counts", "-hincrby"] {
        let fixture = Fixture::new().await;
        match what.strip_prefix('-') {
            Some(_) => fixture.test.cli(&["ACL", "SETUSER", "default", what]),
            None => fixture.test.cli(&["SET", &fixture.key(what), "x"]),
        };
        let receipts = fixture.receipts("second").await;
        // Redis checks permissions when it queues a command. A missing one does not stop a watch.
        assert_eq!(receipts.read.is_some(), what.starts_with('-'), "{what}");
        let before = fixture.test.everything();
        let result = fixture.commit(receipts).await;
        assert!(unavailable(&result).is_some(), "{what}: {result:?}");
        assert_eq!(fixture.test.everything(), before, "{what}");
    }
}

#[tokio::test]
async fn a_lost_connection_watches_nothing_and_the_next_read_opens_a_new_one() {
    let fixture = Fixture::new().await;
    let receipts = fixture.receipts("second").await;
    let before = fixture.test.everything();
    fixture.test.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let result = fixture.commit(receipts).await;
    let is_open = matches!(result, CommitResult::Unknown(_) | CommitResult::Refused(_));
    assert!(is_open, "{result:?}");
    assert_eq!(fixture.test.everything(), before);
    // Each shared connection notices the loss at its next use.
    let looks = [Look { shard: fixture.shard, extra: 0 }];
    for _ in 0..40 {
        drop(fixture.test.store.due(&looks, 500).await);
    }
    assert!(fixture.is_watched().await);
    let receipts = fixture.receipts("second").await;
    assert_eq!(
        (fixture.commit(receipts).await, fixture.transactions()),
        (CommitResult::Committed, 1)
    );
}

#[tokio::test]
async fn a_read_is_watched_after_script_flush() {
    let fixture = Fixture::new().await;
    fixture.test.cli(&["SCRIPT", "FLUSH"]);
    assert!(fixture.is_watched().await);
}

#[tokio::test]
async fn cancelled_reads_leave_a_usable_connection() {
    let fixture = Fixture::new().await;
    let looks = [Look { shard: fixture.shard, extra: 0 }];
    // Each read is polled once more than the one before, and then dropped.
    for polls in 0..40 {
        let mut due = std::pin::pin!(fixture.test.store.due(&looks, 500));
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
    let receipts = fixture.receipts("second").await;
    assert!(receipts.read.is_some());
    assert_eq!(
        (fixture.commit(receipts).await, fixture.transactions()),
        (CommitResult::Committed, 1)
    );
}
