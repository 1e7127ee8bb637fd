//! Permissions and types that change during EXEC: no order is received without its entry.

use std::thread;

use super::proxy::Proxy;
use super::watched::{Fixture, ORDERS};
use super::*;

/// Runs a fault before `EXEC`, and reverts it a moment later.
async fn with_fault(fault: &[&str], back: &[&str]) -> (Fixture, Commit, CommitResult) {
    let server = Arc::new(RedisServer::start(&[]));
    let proxy = Proxy::start(server.port);
    let settings = RedisSettings { url: proxy.url(), ..settings(&server) };
    let store = RedisStore::open(settings).await.unwrap();
    let test = TestStore { server: server.clone(), prefix: "ar".into(), store };
    let fixture = Fixture::of(test).await;
    let receipts = fixture.receipts("second").await;
    assert!(receipts.read.is_some());
    let state = receipts.state.clone();
    let round = receipts.round.clone();
    let copy = Commit { state, round, read: None, epoch: None, ..receipts };
    let shard = fixture.shard;
    let command = |parts: &[&str]| -> Vec<String> {
        let key = |part: &&str| part.replace("SHARD", &format!("ar:{{{shard}}}"));
        parts.iter().map(key).collect()
    };
    let fault = command(fault);
    let back = command(back);
    proxy.before_exec(move || {
        let run = |command: &[String]| {
            server.cli(&command.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        };
        // All commands are queued.
        until_some(&server, &["CLIENT", "LIST"], |line| line.contains(" multi=7 "));
        run(&fault);
        let server = server.clone();
        thread::spawn(move || {
            // The script was refused once.
            until_some(&server, &["INFO", "commandstats"], |line| {
                line.starts_with("cmdstat_evalsha:") && !line.contains("failed_calls=0")
            });
            let back: Vec<&str> = back.iter().map(String::as_str).collect();
            server.cli(&back).unwrap();
        });
    });
    let commit = Commit {
        shard: copy.shard,
        now: copy.now,
        state: copy.state.clone(),
        epoch: None,
        read: receipts.read,
        round: copy.round.clone(),
    };
    let result = fixture.commit(commit).await;
    (fixture, copy, result)
}

/// Waits until a line of the answer matches.
fn until_some(server: &RedisServer, command: &[&str], is_right: impl Fn(&str) -> bool) {
    for _ in 0..5_000 {
        let answer: String = redis::from_redis_value(server.cli(command).unwrap()).unwrap();
        if answer.lines().any(&is_right) {
            return;
        }
    }
    panic!("no line of {command:?} matched");
}

/// Checks that the shard has the same content as after an undisturbed commit by the script.
async fn undisturbed(fixture: &Fixture, commit: &Commit) {
    for change in &commit.round.changes {
        let order = fixture.test.load(&change.id).await;
        assert_eq!(order.as_ref(), change.order.as_deref());
    }
    assert!(fixture.members("due").is_empty());
    assert_eq!(fixture.members("retention").len(), 2);
    let claimed = fixture.test.store.claim(&log(), 10, LEASE).await.unwrap().entries;
    let second = claimed.iter().find(|entry| entry.entry.id == "second").expect("its entry");
    assert_eq!(second.read().unwrap().1.len(), ORDERS);
    let counts = fixture.fields("counts");
    let count = |name: &str| {
        let found = counts.chunks(2).find(|pair| pair[0] == name);
        found.map(|pair| pair[1].parse::<usize>().unwrap())
    };
    assert_eq!(count("order.received/timer"), Some(ORDERS), "{counts:?}");
    assert_eq!(count("PAID"), Some(0), "{counts:?}");
}

#[tokio::test]
async fn a_permission_removed_during_exec_leaves_nothing_unwritten() {
    for right in ["hset", "zadd", "zrem", "hincrby"] {
        let without = format!("-{right}");
        let with = format!("+{right}");
        let user = ["ACL", "SETUSER", "default"];
        let taken: Vec<&str> = user.into_iter().chain([&*without]).collect();
        let given: Vec<&str> = user.into_iter().chain([&*with]).collect();
        let (fixture, commit, result) = with_fault(&taken, &given).await;
        assert!(matches!(result, CommitResult::Unknown(_)), "{right}: {result:?}");
        assert_eq!(fixture.transactions(), 1);
        undisturbed(&fixture, &commit).await;
    }
}

#[tokio::test]
async fn a_key_replaced_during_exec_leaves_nothing_unwritten() {
    for what in ["SHARD:out:log", "SHARD:outdata:log"] {
        let (fixture, commit, result) = with_fault(&["SET", what, "x"], &["DEL", what]).await;
        assert!(matches!(result, CommitResult::Unknown(_)), "{what}: {result:?}");
        assert_eq!(fixture.transactions(), 1);
        undisturbed(&fixture, &commit).await;
    }
    // These keys are watched, so the transaction is aborted and the script refuses.
    for what in ["orders", "due", "counts", "held", "retention"] {
        let key = format!("SHARD:{what}");
        let (fixture, commit, result) = with_fault(&["SET", &key, "x"], &["PING"]).await;
        match what {
            // The commit writes nothing to this key.
            "held" => assert_eq!(result, CommitResult::Committed),
            _ => assert!(unavailable(&result).is_some(), "{what}: {result:?}"),
        }
        let second = fixture.fields("outdata:log").iter().any(|field| field == "second");
        assert_eq!(second, what == "held", "{what}");
        if !["orders", "held"].contains(&what) {
            let order = fixture.test.load(&commit.round.changes[0].id).await.unwrap();
            assert_eq!(order.status, Status::Paid, "{what}");
        }
    }
}

#[tokio::test]
async fn after_a_partly_failed_transaction_only_the_script_commits_for_a_while() {
    let user = ["ACL", "SETUSER", "default"];
    let taken: Vec<&str> = user.into_iter().chain(["-zadd"]).collect();
    let given: Vec<&str> = user.into_iter().chain(["+zadd"]).collect();
    let (fixture, _, _) = with_fault(&taken, &given).await;
    let other = (fixture.shard + 1) % 64;
    let now = fixture.test.now().await;
    let orders = fixture.test.in_shard(other, now, ORDERS).into_iter();
    fixture.test.keep(other, now, orders.map(|order| change(None, order)).collect()).await;
    let at = fixture.test.due(other, 500).await;
    assert!(at.value.orders.len() == ORDERS && at.value.read.is_none());
}
