//! Rights and types that are taken away while a transaction is carried out: no order is left
//! received without its entry.

use std::thread;

use super::proxy::Proxy;
use super::watched::{Ground, ORDERS};
use super::*;

/// Changes something while the transaction stands at its `EXEC`, and changes it back a moment
/// later.
async fn with_mishap(mishap: &[&str], back: &[&str]) -> (Ground, Commit, CommitResult) {
    let server = Arc::new(RedisServer::start(&[]));
    let proxy = Proxy::start(server.port);
    let settings = RedisSettings { url: proxy.url(), ..settings(&server) };
    let store = RedisStore::open(settings).await.unwrap();
    let home = Home { server: server.clone(), prefix: "ar".into(), store };
    let ground = Ground::of(home).await;
    let receipts = ground.receipts("second").await;
    assert!(receipts.read.is_some());
    let (state, round) = (receipts.state.clone(), receipts.round.clone());
    let copy = Commit { state, round, read: None, epoch: None, ..receipts };
    let shard = ground.shard;
    let command = |parts: &[&str]| -> Vec<String> {
        let key = |part: &&str| part.replace("SHARD", &format!("ar:{{{shard}}}"));
        parts.iter().map(key).collect()
    };
    let (mishap, back) = (command(mishap), command(back));
    proxy.before_exec(move || {
        let run = |command: &[String]| {
            server.cli(&command.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        };
        // Everything is queued.
        until_some(&server, &["CLIENT", "LIST"], |line| line.contains(" multi=7 "));
        run(&mishap);
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
    let result = ground.commit(commit).await;
    (ground, copy, result)
}

/// Waits until a line of the answer is as it should be.
fn until_some(server: &RedisServer, command: &[&str], is_right: impl Fn(&str) -> bool) {
    for _ in 0..5_000 {
        let answer: String = redis::from_redis_value(server.cli(command).unwrap()).unwrap();
        if answer.lines().any(&is_right) {
            return;
        }
    }
    panic!("{command:?} does not become right");
}

/// What the shard holds where the same commit went by the script, and nothing happened.
async fn undisturbed(ground: &Ground, commit: &Commit) {
    for change in &commit.round.changes {
        let order = ground.home.load(&change.id).await;
        assert_eq!(order.as_ref(), change.order.as_deref());
    }
    assert!(ground.members("due").is_empty());
    assert_eq!(ground.members("retention").len(), 2);
    let claimed = ground.home.store.claim(&log(), 10, LEASE).await.unwrap().entries;
    let second = claimed.iter().find(|entry| entry.entry.id == "second").expect("its entry");
    assert_eq!(second.read().unwrap().1.len(), ORDERS);
    let counts = ground.fields("counts");
    let count = |name: &str| {
        let found = counts.chunks(2).find(|pair| pair[0] == name);
        found.map(|pair| pair[1].parse::<usize>().unwrap())
    };
    assert_eq!(count("order.received/timer"), Some(ORDERS), "{counts:?}");
    assert_eq!(count("PAID"), Some(0), "{counts:?}");
}

#[tokio::test]
async fn each_right_taken_away_in_the_middle_leaves_nothing_unwritten() {
    for right in ["hset", "zadd", "zrem", "hincrby"] {
        let (without, with) = (format!("-{right}"), format!("+{right}"));
        let user = ["ACL", "SETUSER", "default"];
        let taken: Vec<&str> = user.into_iter().chain([&*without]).collect();
        let given: Vec<&str> = user.into_iter().chain([&*with]).collect();
        let (ground, commit, result) = with_mishap(&taken, &given).await;
        assert!(matches!(result, CommitResult::Unknown(_)), "{right}: {result:?}");
        assert_eq!(ground.transactions(), 1);
        undisturbed(&ground, &commit).await;
    }
}

#[tokio::test]
async fn each_type_replaced_in_the_middle_leaves_nothing_unwritten() {
    for what in ["SHARD:out:log", "SHARD:outdata:log"] {
        let (ground, commit, result) = with_mishap(&["SET", what, "x"], &["DEL", what]).await;
        assert!(matches!(result, CommitResult::Unknown(_)), "{what}: {result:?}");
        assert_eq!(ground.transactions(), 1);
        undisturbed(&ground, &commit).await;
    }
    // These are watched, so that the transaction comes to nothing, and the script refuses.
    for what in ["orders", "due", "counts", "held", "retention"] {
        let key = format!("SHARD:{what}");
        let (ground, commit, result) = with_mishap(&["SET", &key, "x"], &["PING"]).await;
        match what {
            // Nothing is written there.
            "held" => assert_eq!(result, CommitResult::Committed),
            _ => assert!(unavailable(&result).is_some(), "{what}: {result:?}"),
        }
        let second = ground.fields("outdata:log").iter().any(|field| field == "second");
        assert_eq!(second, what == "held", "{what}");
        if !["orders", "held"].contains(&what) {
            let order = ground.home.load(&commit.round.changes[0].id).await.unwrap();
            assert_eq!(order.status, Status::Paid, "{what}");
        }
    }
}

#[tokio::test]
async fn after_a_transaction_that_failed_in_part_the_script_alone_commits_for_a_while() {
    let user = ["ACL", "SETUSER", "default"];
    let taken: Vec<&str> = user.into_iter().chain(["-zadd"]).collect();
    let given: Vec<&str> = user.into_iter().chain(["+zadd"]).collect();
    let (ground, _, _) = with_mishap(&taken, &given).await;
    let other = (ground.shard + 1) % 64;
    let now = ground.home.now().await;
    let orders = ground.home.in_shard(other, now, ORDERS).into_iter();
    ground.home.keep(other, now, orders.map(|order| change(None, order)).collect()).await;
    let at = ground.home.due(other, 500).await;
    assert!(at.value.orders.len() == ORDERS && at.value.read.is_none());
}
