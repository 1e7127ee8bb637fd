//! Failures, and recovery with the next call.

use std::time::{Duration, Instant};

use autoreceive_redis_connection::{Address, Failure, Link, Options, Script};

use crate::server::{Server, client_id, free_port, one, only};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_killed_server_is_used_again_after_its_restart() {
    let mut server = Server::start(&[]);
    let link = server.link(3);
    for _ in 0..3 {
        client_id(&link).await;
    }
    server.kill();
    let first = link.send(&one(&["PING"])).await.unwrap_err();
    assert!(matches!(first, Failure::Unanswered(_)) && !first.timed_out(), "{first:?}");
    assert_eq!(link.era(), 1);
    // The first failure dropped all connections, so later calls are not sent.
    for _ in 0..3 {
        let next = link.send(&one(&["PING"])).await.unwrap_err();
        assert!(matches!(next, Failure::Unreachable(_)) && next.is_passing(), "{next:?}");
    }
    assert!(link.connect_by(link.deadline()).await.is_err());
    assert!(link.subscribe_by(link.deadline(), "*").await.is_err());
    server.restart();
    for _ in 0..6 {
        assert_eq!(only::<String>(link.send(&one(&["PING"])).await), "PONG");
    }
    assert_eq!(link.era(), 1);
}

#[tokio::test]
async fn a_hanging_server_times_out_and_the_next_call_reconnects() {
    let server = Server::start(&[]);
    let link = Link::new(&server.address(), Options::new(SHORT)).unwrap();
    let before = client_id(&link).await;
    let mut dedicated = link.connect_by(link.deadline()).await.unwrap();
    server.freeze();

    let began = Instant::now();
    let sent = link.send(&one(&["PING"])).await.unwrap_err();
    assert!(matches!(sent, Failure::Unanswered(_)) && sent.timed_out(), "{sent:?}");
    assert_eq!(sent.to_string(), "no answer within 200ms");
    let sent = dedicated.exchange(link.deadline(), &one(&["PING"])).await.unwrap_err();
    assert!(matches!(sent, Failure::Unanswered(_)) && sent.timed_out(), "{sent:?}");

    let unsent = link.send(&one(&["PING"])).await.unwrap_err();
    assert!(matches!(unsent, Failure::Unreachable(_)) && unsent.timed_out(), "{unsent:?}");
    assert_eq!(unsent.to_string(), "no connection within 200ms");
    let unsent = link.subscribe_by(link.deadline(), "*").await.err().unwrap();
    assert!(matches!(unsent, Failure::Unreachable(_)) && unsent.timed_out(), "{unsent:?}");
    let took = began.elapsed();
    assert!((4 * SHORT..4 * SHORT + Duration::from_secs(5)).contains(&took), "{took:?}");
    assert_eq!(link.era(), 0, "a hanging server does not start a new era");

    server.thaw();
    let after = loop {
        // A slow machine may need more than the short time-out.
        if let Ok(answers) = link.send(&one(&["CLIENT", "ID"])).await {
            break only::<i64>(Ok(answers));
        }
    };
    assert!(after > before, "connection {after} is not newer than {before}");
}

#[tokio::test]
async fn a_script_has_one_deadline_for_both_of_its_attempts() {
    let server = Server::start(&[]);
    let link = Link::new(&server.address(), Options::new(SHORT)).unwrap();
    client_id(&link).await;
    server.freeze();
    let script = Script::new("return 1");
    let mut calls = autoreceive_redis_connection::redis::pipe();
    calls.add_command(script.call(&[])).add_command(script.call(&[]));
    let began = Instant::now();
    let answers = link.run(&script, &calls).await;
    assert!(began.elapsed() < SHORT + Duration::from_secs(5));
    assert!(answers.len() == 2 && answers.iter().all(|answer| answer.is_err()), "{answers:?}");
}

#[tokio::test]
async fn callers_waiting_for_one_connection_all_fail_at_their_deadline() {
    let server = Server::start(&[]);
    server.freeze();
    let link = Link::new(&server.address(), Options::new(SHORT)).unwrap();
    let ping = one(&["PING"]);
    let began = Instant::now();
    let (a, b, c) = tokio::join!(link.send(&ping), link.send(&ping), link.send(&ping));
    assert!(began.elapsed() < 2 * SHORT + Duration::from_secs(5));
    for answer in [a, b, c] {
        let failure = answer.unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)) && failure.timed_out(), "{failure:?}");
    }
}

#[tokio::test]
async fn the_answer_of_a_cancelled_call_reaches_no_other_caller() {
    let server = Server::start(&[]);
    let link = server.link(1);
    client_id(&link).await;
    server.freeze();
    let ping = one(&["ECHO", "mine"]);
    let left = tokio::time::timeout(Duration::from_millis(20), link.send(&ping)).await;
    assert!(left.is_err());
    server.thaw();
    assert_eq!(only::<String>(link.send(&one(&["ECHO", "yours"])).await), "yours");
}

#[tokio::test]
async fn a_port_without_a_server_is_unreachable() {
    let address: Address = format!("redis://127.0.0.1:{}", free_port()).parse().unwrap();
    let link = Link::new(&address, Options::new(Duration::from_secs(30))).unwrap();
    let failure = link.send(&one(&["PING"])).await.unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)) && !failure.timed_out(), "{failure:?}");
}

#[tokio::test]
async fn a_wrong_password_or_database_is_refused_without_showing_secrets() {
    let server = Server::start(&["--requirepass", "s3cr3t", "--databases", "2"]);
    for rest in ["", "c4n4ry:s3cr3t@", ":c4n4ry@"] {
        let failure = fails(&format!("redis://{rest}127.0.0.1:{}", server.port)).await;
        // Without a password the server answers every command with NOAUTH.
        assert!(matches!(failure, None | Some(Failure::Refused(_))), "{failure:?}");
    }
    let beyond = fails(&format!("redis://:s3cr3t@127.0.0.1:{}/7", server.port)).await;
    assert!(matches!(beyond, Some(Failure::Refused(_))), "{beyond:?}");
    assert!(fails(&format!("redis://:s3cr3t@127.0.0.1:{}/1", server.port)).await.is_none());
}

async fn fails(address: &str) -> Option<Failure> {
    let link = Link::new(&address.parse().unwrap(), Options::new(Duration::from_secs(30))).unwrap();
    let failure = link.send(&one(&["PING"])).await.err();
    let said = format!("{failure:?}");
    assert!(!said.contains("s3cr3t") && !said.contains("c4n4ry"), "{said}");
    failure
}
