//! The checks before the store is used.

use super::*;

#[tokio::test]
async fn an_unsuitable_server_or_store_is_refused_and_the_error_says_what_to_do() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("allkeys-lru") && why.contains("noeviction"), "{why}");
    assert!(everything(&server, "").is_empty());
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).unwrap();
    RedisStore::open(settings(&server)).await.unwrap();

    let why = why_refused(RedisSettings { shards: 32, ..settings(&server) }).await;
    assert!(why.contains("64") && why.contains("32"), "{why}");
    server.cli(&["HSET", "ar:meta", "format", "3"]).unwrap();
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("format 3") && why.contains("newer"), "{why}");
    server.cli(&["HSET", "ar:meta", "format", "1"]).unwrap();
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("format 1") && why.contains("another prefix"), "{why}");
    server.cli(&["HDEL", "ar:meta", "program"]).unwrap();
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("ar:meta") && why.contains("another prefix"), "{why}");
    server.cli(&["SET", "ar:meta", "x"]).unwrap();
    let why = why_refused(settings(&server)).await;
    assert!(why.contains("WRONGTYPE") && why.contains("ar:meta"), "{why}");
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    assert!(why_refused(settings(&server)).await.contains("replica"));
    for wrong in [
        RedisSettings { prefix: "{x}".into(), ..settings(&server) },
        RedisSettings { prefix: String::new(), ..settings(&server) },
        RedisSettings { shards: 0, ..settings(&server) },
        RedisSettings { connections: 0, ..settings(&server) },
        RedisSettings { timeout: Span::ZERO, ..settings(&server) },
    ] {
        why_refused(wrong).await;
    }
}

#[tokio::test]
async fn a_password_opens_the_store_and_is_in_no_message() {
    let server = RedisServer::start(&["--requirepass", "s3cr3t"]);
    let with = |user: &str, password: &str| RedisSettings {
        url: format!("redis://{user}:{password}@127.0.0.1:{}/1", server.port),
        ..settings(&server)
    };
    RedisStore::open(with("", "s3cr3t")).await.unwrap();
    RedisStore::open(with("default", "s3cr3t")).await.unwrap();
    let mut messages =
        vec![why_refused(settings(&server)).await, format!("{:?}", with("", "s3cr3t"))];
    for wrong in ["c4n4ry", "c4n4ry@x:y/z", "c4n4ry%"] {
        messages.push(why_refused(with("", wrong)).await);
    }
    messages.push(
        why_refused(RedisSettings { url: "c4n4ry://s3cr3t".into(), ..settings(&server) }).await,
    );
    for message in messages {
        assert!(!message.contains("c4n4ry") && !message.contains("s3cr3t"), "{message}");
    }
}

#[tokio::test]
async fn a_tls_address_is_never_used_without_tls() {
    let server = RedisServer::start(&[]);
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let why = why_refused(RedisSettings { url, ..settings(&server) }).await;
    assert!(why.contains("cannot be reached"), "{why}");
    assert!(everything(&server, "").is_empty());
}

#[tokio::test]
async fn a_missing_permission_is_found_at_the_start_and_a_removed_one_leaves_no_partial_write() {
    let rights = ["--user", "default", "on", "nopass", "~*", "&*", "+@all"];
    let server = Arc::new(RedisServer::start(&rights));
    let user = RedisSettings {
        url: format!("redis://shop:pw@127.0.0.1:{}", server.port),
        ..settings(&server)
    };
    let grant = |rights: &[&str]| {
        server
            .cli(
                &[
                    &[
                        "ACL",
                        "SETUSER",
                        "shop",
                        "reset",
                        "on",
                        ">pw",
                        "~ar:*",
                        "+@all",
                        "-@dangerous",
                        "+info",
                    ],
                    rights,
                ]
                .concat(),
            )
            .unwrap()
    };
    for command in
        ["HSET", "HSETNX", "HDEL", "HINCRBY", "ZADD", "ZREM", "HMGET", "ZRANGE", "EVALSHA", "XADD"]
    {
        grant(&[&format!("-{}", command.to_lowercase())]);
        let why = why_refused(user.clone()).await;
        assert!(why.to_uppercase().contains(command), "{why}");
        assert!(everything(&server, "").is_empty());
    }
    grant(&[]);
    let test = TestStore {
        store: RedisStore::open(user).await.unwrap(),
        server: server.clone(),
        prefix: "ar".into(),
    };
    let now = test.now().await;
    let (shard, mut full) = test.full_round(now);
    full.changes.truncate(1);
    assert_eq!(test.commit(shard, now, full).await, CommitResult::Committed);
    let before = test.everything();
    for command in ["-hset", "-hincrby", "-zadd", "-zrem", "-hsetnx", "-hmget", "-hlen", "-zcard"] {
        grant(&[]);
        let (_, mut full) = test.full_round(now);
        full.changes.remove(0);
        full.notes.clear();
        full.notes_done.push(autoreceive_store::NoteRef("A-1".into()));
        let commit = test.commit_of(shard, now, full).await;
        grant(&[command]);
        let result = test.store.commit(vec![commit]).await.remove(0);
        assert!(unavailable(&result).is_some(), "{command}: {result:?}");
        assert_eq!(test.everything(), before, "{command}");
    }
}
